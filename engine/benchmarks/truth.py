"""Populations with a known truth: the target, and the predictions of many pairs of models.

Rows are the demo's own, resampled with their areas varied a little; the target is the prediction of
the demo's fitted model, times a residual drawn from its test rows. Models are then trained on such
rows as on real ones, and made worse until their true regression is a given one.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from bench_paths import DEMO, PYTHONPATH
from fitted import chosen
from mlops import paths
from mlops.frames import read_rows
from mlops.metric_registry import Metrics
from mlops.metrics import Floats, Predictions, Task
from mlops.params import Params
from mlops.pipeline.model import build_model, fit_model, predict
from project.schema import SCHEMA

VARIED = 0.05
CHANGES: dict[str, tuple[float, dict[str, Any]]] = {
    # share of the training rows, parameters of `train:`
    "half of the training rows": (0.5, {}),
    "a quarter of the training rows": (0.25, {}),
    "overgrown leaves": (1.0, {"max_leaf_nodes": 31, "min_samples_leaf": 5}),
    "too few and small trees": (1.0, {"max_leaf_nodes": 3, "max_iter": 100}),
    "no logarithm of the target": (1.0, {"log_target": False}),
    "ridge": (1.0, {"name": "ridge"}),
}
RARE = ("ridge", "1 row in 100 far off")
"""Changes that harm so few rows that most small test sets contain none of them."""


@dataclass(frozen=True)
class Population:
    """All rows that a test set could contain.

    Attributes:
        base: predictions of the base.
        directions: change -> its effect on the prediction of each row: by exp(scale x direction)
            for a regression; for a classification, added to the log odds.
    """

    task: Task
    actual: Floats
    base: Floats
    directions: dict[str, Floats]

    def moved(self, change: str, scale: float) -> Floats:
        """Return the base's predictions, changed by `scale` times the direction."""
        if self.task == "regression":
            return self.base * np.exp(scale * self.directions[change])
        odds = np.log(self.base[:, 1] / self.base[:, 0]) + scale * self.directions[change]
        positive = 1 / (1 + np.exp(-odds))
        return np.column_stack([1 - positive, positive])

    @property
    def metrics(self) -> Metrics:
        """The engine's metrics, for a regression or for two classes."""
        return Metrics(self.task, () if self.task == "regression" else ("no", "yes"))

    def truth(self, predicted: Floats) -> dict[str, float]:
        """Score predictions on all rows."""
        return self.metrics.score(Predictions(self.task, self.actual, predicted))

    def worsened(self, change: str, metric: str, by: float) -> Floats:
        """Return predictions with an error metric truly worse than the base's by the share `by`."""
        wanted = self.truth(self.base)[metric] * (1 + by)
        return self.moved(
            change, _root(lambda s: self.truth(self.moved(change, s))[metric] - wanted)
        )

    def no_worse(self, change: str, than: Floats, metrics: list[str]) -> Floats:
        """Return the worst predictions with no error metric worse than that of `than`."""
        limits = self.truth(than)

        def excess(scale: float) -> float:
            found = self.truth(self.moved(change, scale))
            return max(found[metric] / limits[metric] - 1 for metric in metrics)

        return self.moved(change, _root(excess))


def _root(excess: Callable[[float], float]) -> float:
    """Return a scale just below the one at which an increasing function crosses 0."""
    high = 0.05
    while excess(high) < 0:
        high *= 1.3
    low = high / 1.3 if high > 0.05 else 0.0
    for _ in range(25):
        middle = (low + high) / 2
        low, high = (low, middle) if excess(middle) > 0 else (middle, high)
    return low


def regression(params: Params, n_rows: int, seed: int) -> Population:
    """Create the population of the demo."""
    rng = np.random.default_rng(seed)
    train, test, model = _demo()
    residuals = np.log(test[SCHEMA.target.name] / predict(model, test, SCHEMA.target)).to_numpy()
    real = pd.concat([train, test], ignore_index=True)

    def draw(n: int) -> pd.DataFrame:
        rows = real.iloc[rng.integers(0, len(real), n)].reset_index(drop=True)
        for column in (c for c in SCHEMA.features if c.type is float):
            varied = rows[column.name] * np.exp(rng.normal(0, VARIED, n))
            rows[column.name] = varied.clip(column.low, column.high)
        expected = predict(model, rows, SCHEMA.target)
        return rows.assign(**{SCHEMA.target.name: expected * np.exp(rng.choice(residuals, n))})

    rows, training = draw(n_rows), draw(len(train))

    def predicted(share: float, changes: dict[str, Any]) -> Floats:
        own, train = chosen(params, **{"name": params.train.kind, **changes})
        part = training.iloc[: int(share * len(training))]
        fitted = fit_model(build_model(own, train, SCHEMA), part, SCHEMA.target)
        return np.maximum(predict(fitted, rows, SCHEMA.target), 1.0)

    base = predicted(1.0, {})
    kinds = rows[next(c for c in SCHEMA.features if c.is_categorical).name]
    directions = {
        "noise": rng.normal(0, 1, n_rows),
        "all too high": np.ones(n_rows),
        "the largest slice too high": (kinds == kinds.mode()[0]).to_numpy(dtype=float),
        "1 row in 100 far off": (rng.random(n_rows) < 0.01).astype(float),
    }
    directions |= {name: np.log(predicted(*how) / base) for name, how in CHANGES.items()}
    return Population("regression", rows[SCHEMA.target.name].to_numpy(), base, directions)


def classification(n_rows: int, seed: int) -> Population:
    """Create two classes, one of them in about 1 of 10 rows, and a base with small errors."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-3.2, 1.8, n_rows)
    actual = (rng.random(n_rows) < 1 / (1 + np.exp(-odds))).astype(float)
    seen = 1 / (1 + np.exp(-(odds + rng.normal(0, 0.5, n_rows))))
    directions = {
        "noise": rng.normal(0, 1, n_rows),
        "all too high": np.ones(n_rows),
        "too sure": odds - odds.mean(),
        "1 row in 10 far off": (rng.random(n_rows) < 0.1) * rng.normal(0, 1, n_rows),
    }
    return Population("classification", actual, np.column_stack([1 - seen, seen]), directions)


def _demo() -> tuple[pd.DataFrame, pd.DataFrame, Any]:
    """Run the demo's stages in a copy; return training rows, test rows and the fitted model."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shutil.copytree(DEMO / "data", folder / "data")
        shutil.copy(DEMO / "params.yaml", folder)
        for stage in ("ingest", "validate", "prepare", "split", "train"):
            subprocess.run(
                [sys.executable, "-m", f"mlops.pipeline.{stage}"],
                cwd=folder,
                env=os.environ | {"PYTHONPATH": PYTHONPATH},
                check=True,
                stdout=subprocess.DEVNULL,
            )
        rows = (read_rows(folder / name) for name in (paths.TRAIN_ROWS, paths.TEST_ROWS))
        return (*rows, joblib.load(folder / paths.MODEL))
