"""A production to watch: real sales as predictions and feedback in a prediction log."""

import itertools
import json
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from mlops.database import open_database
from mlops.metrics import Predictions
from mlops.params import load_params
from mlops.pipeline.export import describe_reference
from mlops.serving.tables import FEEDBACK, PREDICTIONS, REFUSALS, TIME, migrate
from paths import DEMO
from project.schema import SCHEMA
from standard import PRICES

NOW = 1_300_000_000.0
DAY = 86_400.0
VERSION = "0123456789ab"
MANIFEST = {"model_version": VERSION}
PARAMS = load_params(DEMO / "params.yaml", SCHEMA)
_FEATURES = [column.name for column in SCHEMA.features]


def sales() -> pd.DataFrame:
    """Read all sales, in an order of their own that is always the same."""
    parts = [pd.read_csv(path) for path in sorted((DEMO / "data/source").glob("*.csv"))]
    rows = pd.concat(parts, ignore_index=True).astype({"price": "float64", "size": "float64"})
    return rows.sample(frac=1, random_state=0, ignore_index=True)


def predicted(rows: pd.DataFrame, seed: int = 0) -> np.ndarray:
    """Predict as a model does that is off by ten per cent."""
    noise = np.random.default_rng(seed).normal(0, 0.1, len(rows))
    return np.asarray(rows["price"] * np.exp(noise))


def reference(rows: pd.DataFrame) -> dict[str, Any]:
    """Describe the rows as the stage export does."""
    tested = Predictions("regression", rows["price"].to_numpy(), predicted(rows, seed=1))
    return describe_reference(rows, tested, SCHEMA, PRICES)


class Log:
    """A prediction log that tests write to as they like."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = open_database(url, 5)
        migrate(self._engine)
        self._random = np.random.default_rng(0)

    def predict(
        self,
        rows: pd.DataFrame,
        values: Any = None,
        at: float = NOW - DAY / 2,
        version: str = VERSION,
        step: float = 1.0,
        together: int = 1,
        request_id: str | None = None,
    ) -> list[str]:
        """Log a prediction for each row; give the ids.

        Of up to `together` rows, as those of one request, the ids begin alike, with the time as
        those of the API do; `request_id` is a client's own.
        """
        values = predicted(rows) if values is None else values
        times = [int((at + step * n) * 1000) for n in range(0, len(rows), together)]
        tokens = [f"{time:0{TIME}x}{self._random.bytes(8).hex()}" for time in times]
        ids = [f"{tokens[n // together]}{n % together:04x}" for n in range(len(rows))]
        features = json.loads(rows[_FEATURES].to_json(orient="records"))
        records = [
            {
                "prediction_id": name,
                "at": at + step * place,
                "model_version": version,
                "request_id": request_id or name[:24],
                "features": json.dumps(row),
                "predicted": json.dumps(value if isinstance(value, dict) else float(value)),
            }
            for place, (name, row, value) in enumerate(zip(ids, features, values, strict=True))
        ]
        self._insert(PREDICTIONS, records)
        return ids

    def tell(self, ids: list[str], actual: Any, at: float = NOW - DAY / 4) -> None:
        """Log what really happened."""
        pairs = zip(itertools.count(), ids, actual, strict=False)
        self._insert(
            FEEDBACK,
            [
                {"prediction_id": name, "at": at + place, "actual": json.dumps(float(value))}
                for place, name, value in pairs
            ],
        )

    def refuse(self, reason: str, requests: int, at: float = NOW - DAY / 2) -> None:
        """Log refused requests."""
        minute = at // 60 * 60
        counts = [{"at": minute, "reason": r, "requests": requests} for r in ("any", reason)]
        self._insert(REFUSALS, counts)

    def _insert(self, table: sa.Table, records: list[dict[str, Any]]) -> None:
        if records:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(table), records)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()
