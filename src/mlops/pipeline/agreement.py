"""Does an exported model predict what the pipeline predicts? On real rows, and on hard ones."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from mlops.columns import Column
from mlops.metrics import Floats, Task
from mlops.pipeline.model import predict
from mlops.schema import SCHEMA
from mlops.serving.engine import Engine

EDGE_ROWS = 10_000
LIMITS: dict[Task, float] = {"regression": 1e-9, "classification": 1e-6}
"""Largest relative error of a value; largest absolute error of a probability."""

_BLOCK = 5_000  # rows that stand as requests at a time
_UNKNOWN = "no such choice"


def edge_rows(thresholds: dict[str, Floats], n_rows: int = EDGE_ROWS, seed: int = 0) -> Any:
    """Make up rows of gaps, unknown choices, bounds and values on and beside split thresholds.

    The same seed gives the same rows. Rules between columns don't hold in them.
    """
    rng = np.random.default_rng(seed)
    drawn: dict[str, Any] = {}
    for column in SCHEMA.features:
        if column.is_categorical:
            pool = np.array([*column.choices, _UNKNOWN, None], dtype=object)
            drawn[column.name] = pool[rng.integers(0, len(pool), n_rows)]
            continue
        split = thresholds.get(column.name, np.array([]))
        beside = [split, np.nextafter(split, np.inf), np.nextafter(split, -np.inf)]
        hard = np.concatenate([*beside, _bounds(column), [np.nan, np.nan]])
        low, high = _bounds(column)
        plain = rng.uniform(low, high, n_rows)
        drawn[column.name] = np.where(
            rng.random(n_rows) < 0.5, hard[rng.integers(0, len(hard), n_rows)], plain
        )
    return pd.DataFrame(drawn)


def as_requests(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Give the features of each row as a request has them: None for a gap."""
    names = [column.name for column in SCHEMA.features]
    features = rows[names].astype(object)
    values = features.where(features.notna(), None).to_numpy()
    return [dict(zip(names, line, strict=True)) for line in values]


def largest_error(engine: Engine, model: Pipeline, rows: pd.DataFrame, task: Task) -> float:
    """Compare engine and pipeline on every row; a value that is not finite counts as infinite."""
    worst, predicted = 0.0, predict(model, rows, task)
    for start in range(0, len(rows), _BLOCK):
        block = slice(start, start + _BLOCK)
        wanted, found = predicted[block], engine.predict(as_requests(rows.iloc[block]))
        error = np.abs(found - wanted)
        if task == "regression":
            error = error / np.maximum(np.abs(wanted), np.finfo(float).tiny)
        worst = max(worst, float(np.where(np.isfinite(error), error, np.inf).max(initial=0.0)))
    return worst


def _bounds(column: Column) -> tuple[float, float]:
    low = -1e6 if column.low is None else column.low
    return low, low + 1e6 if column.high is None else column.high
