"""A production to watch: real sales as predictions and feedback in a prediction log."""

import itertools
import json
from typing import Any

import numpy as np
import pandas as pd

from mlops.database import Database
from mlops.database_address import parse_address
from mlops.metrics import Predictions
from mlops.params import load_params
from mlops.pipeline.export import describe_reference
from mlops.prediction_log.tables import TIME, Record, insert, migrate
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
        self._database = Database(parse_address(url), 5)
        migrate(self._database)
        self._random = np.random.default_rng(0)
        self._record_ids: dict[str, str] = {}  # prediction -> record

    def predict(
        self,
        rows: pd.DataFrame,
        values: Any = None,
        at: float = NOW - DAY / 2,
        version: str = VERSION,
        step: float = 1.0,
        together: int = 1,
        request_id: str | None = None,
        one_record: bool = True,
    ) -> list[str]:
        """Log a prediction for each row; give the ids.

        Up to `together` rows are of one request: their ids begin alike, with the time as those of
        the API do, and they are `one_record`, or one each as of earlier releases; `request_id`
        is a client's own.
        """
        values = predicted(rows) if values is None else values
        times = [int((at + step * n) * 1000) for n in range(0, len(rows), together)]
        tokens = [f"{time:0{TIME}x}{self._random.bytes(8).hex()}" for time in times]
        ids = [f"{tokens[n // together]}{n % together:04x}" for n in range(len(rows))]
        features = json.loads(rows[_FEATURES].to_json(orient="records"))
        predictions = [value if isinstance(value, dict) else float(value) for value in values]
        size, records = together if one_record else 1, list[Record]()
        for first in range(0, len(rows), size):
            own = slice(first, first + size)
            n_rows = len(ids[own])
            of_rows = {name: [row[name] for row in features[own]] for name in _FEATURES}
            written: tuple[Any, Any] = (of_rows, predictions[own])
            if n_rows == 1:
                written = (features[first], predictions[first])
            request = request_id or ids[first][:24]
            start = (ids[first], at + step * first, version, request)
            records.append((*start, *map(json.dumps, written), n_rows))
            self._record_ids |= dict.fromkeys(ids[own], ids[first])
        with self._database.transaction() as log:
            insert(log, records)
        return ids

    def tell(self, ids: list[str], actual: Any, at: float = NOW - DAY / 4) -> None:
        """Log what really happened."""
        with self._database.transaction() as log:
            for place, name, value in zip(itertools.count(), ids, actual, strict=False):
                record_id = self._record_ids.get(name, name)
                log.execute(
                    "INSERT INTO feedback (prediction_id, at, actual, record_id)"
                    " VALUES (?, ?, ?, ?)",
                    name, at + place, json.dumps(value if isinstance(value, str) else float(value)),
                    None if record_id == name else record_id,
                )  # fmt: skip

    def refuse(self, reason: str, requests: int, at: float = NOW - DAY / 2) -> None:
        """Log refused requests."""
        with self._database.transaction() as log:
            for one in ("any", reason):
                log.execute("INSERT INTO refusals VALUES (?, ?, ?)", at // 60 * 60, one, requests)

    def close(self) -> None:
        """Close the connection."""
        self._database.close()
