"""Compare the predictions of an exported model and its pipeline, on real and on edge rows."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from mlops.columns import Column, Schema
from mlops.frames import with_derived
from mlops.inference.encoding import Coded, Columns
from mlops.inference.engine import FEW, Engine
from mlops.metrics import Floats, Task
from mlops.pipeline.model import predict

EDGE_ROWS = 10_000
LIMITS: dict[Task, float] = {"regression": 1e-9, "classification": 1e-6}
"""Largest relative error of a value; largest absolute error of a probability."""

_UNKNOWN = "no such choice"


def edge_rows(
    thresholds: dict[str, Floats],
    schema: Schema,
    n_rows: int = EDGE_ROWS,
    seed: int = 0,
    texts: Mapping[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """Generate inputs: gaps, unknown texts, bounds, values on and beside split thresholds.

    The same seed gives the same rows. They need not satisfy the rules between columns.

    Args:
        texts: open feature -> texts that the model knows.
    """
    rng = np.random.default_rng(seed)
    drawn: dict[str, Any] = {}
    for column in schema.inputs:
        if column.type not in (float, int):
            pool = _pool(column, rng, (texts or {}).get(column.name, ()))
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


def _pool(column: Column, rng: np.random.Generator, texts: Sequence[str]) -> Any:
    """Return booleans, texts or times to draw from, including a gap."""
    if column.type is bool:
        return np.array([0.0, 1.0, np.nan])
    if column.choices:
        return np.array([*column.choices, _UNKNOWN, None], dtype=object)
    if texts:
        return np.array([*texts, _UNKNOWN, *[None] * (1 + len(texts) // 10)], dtype=object)
    if column.type is str:
        return np.array(["a", "Zwölf Wörter, und mehr", " ", "0", None], dtype=object)
    times = rng.integers(-(10**9), 4 * 10**9, 1000).astype("datetime64[s]")
    unit = "datetime64[D]" if column.type is datetime.date else "datetime64[s]"
    return np.append(times.astype(unit), np.datetime64("NaT")).astype("datetime64[us]")


def as_requests(rows: pd.DataFrame, schema: Schema) -> list[dict[str, Any]]:
    """Return each row's inputs as those of a parsed request: None for a gap."""
    names = [column.name for column in schema.inputs]
    values = rows[names].astype(object)
    values = values.where(values.notna(), None)
    for column in schema.inputs:
        if column.type is bool:
            values[column.name] = [v if v is None else bool(v) for v in values[column.name]]
        elif issubclass(column.type, datetime.date):
            plain = [v if v is None else v.to_pydatetime() for v in values[column.name]]
            values[column.name] = pd.Series(plain, values.index, dtype=object)
    return [dict(zip(names, line, strict=True)) for line in values.to_numpy()]


def columns_of(requests: Sequence[Mapping[str, Any]]) -> Columns:
    """Return the values of requests' rows by input, as the API passes them to the engine."""
    return {name: [row[name] for row in requests] for name in requests[0]}


def as_columns(rows: pd.DataFrame, schema: Schema) -> Columns:
    """Return the inputs of many rows in the engine's form; unknown choices are kept."""
    columns: dict[str, NDArray[Any] | Coded] = {}
    for column in schema.inputs:
        values = rows[column.name]
        if column.type is str:
            coded = values.astype("category").cat
            columns[column.name] = Coded(list(coded.categories), coded.codes.to_numpy())
        else:
            columns[column.name] = values.to_numpy(dtype=column.dtype)
    return columns


def largest_error(
    engine: Engine, model: Pipeline, rows: pd.DataFrame, schema: Schema, as_requested: bool = True
) -> float:
    """Return the largest error of the engine against the pipeline.

    A value that is not finite counts as infinite.

    Args:
        as_requested: also predict the rows as requests of a few rows.
    """
    wanted, task = predict(model, with_derived(rows, schema), schema.target), schema.task
    error = _error(engine.predict_columns(as_columns(rows, schema)), wanted, task)
    if not as_requested:
        return error
    requests = as_requests(rows, schema)
    few = [requests[at : at + FEW] for at in range(0, len(requests), FEW)]
    found = np.concatenate([engine.predict_columns(columns_of(several)) for several in few])
    return max(error, _error(found, wanted, task))


def _error(found: Floats, wanted: Floats, task: Task) -> float:
    error = np.abs(found - wanted)
    if task == "regression":
        error = error / np.maximum(np.abs(wanted), np.finfo(float).tiny)
    return float(np.where(np.isfinite(error), error, np.inf).max(initial=0.0))


def _bounds(column: Column) -> tuple[float, float]:
    low = -1e6 if column.low is None else column.low
    return low, low + 1e6 if column.high is None else column.high
