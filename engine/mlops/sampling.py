"""Generate rows from a schema: any number of valid ones, and one for each way to be invalid."""

import datetime
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlops.columns import LONGEST, Column, Schema
from mlops.validation import frame_schema

FIRST_DAY, DAYS = datetime.date(2006, 1, 1), 4 * 365
"""Event times of generated rows: the first day, and the number of days."""

_ATTEMPTS = 1000


def valid_rows(schema: Schema, n_rows: int, seed: int = 0, missing: float = 0.02) -> pd.DataFrame:
    """Generate rows that the schema accepts.

    Numbers are uniform within their bounds and the target rises with the numeric features, so
    that a model has something to learn. `missing`, 0 to 1, is the share of missing values in each
    nullable column. Keys count from 1. The same seed gives the same rows.

    Raises:
        ValueError: no random row meets the rules (they contradict the bounds).
    """
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({c.name: _values(c, n_rows, rng, missing) for c in schema.columns})
    rows[schema.target.name] = _target(rows, schema, rng)
    rules = frame_schema(schema).checks
    for _ in range(_ATTEMPTS):
        broken = np.zeros(n_rows, dtype=bool)
        for rule in rules:
            broken |= ~rule(rows).check_output.to_numpy()
        if not broken.any():
            return rows
        for column in (c for c in schema.columns if c.role not in ("key", "target")):
            drawn = _values(column, int(broken.sum()), rng, missing)
            rows.loc[broken, column.name] = drawn.to_numpy()
    raise ValueError(f"no row meets all of {', '.join(rule.name for rule in schema.rules)}")


def _values(column: Column, n_rows: int, rng: np.random.Generator, missing: float) -> pd.Series:
    if column.role == "key":
        keys = np.arange(1, n_rows + 1)
        return pd.Series(keys if column.type is int else [f"row-{key}" for key in keys])
    if issubclass(column.type, datetime.date):
        days = rng.integers(0, DAYS, n_rows).astype("timedelta64[D]")
        times = (np.datetime64(FIRST_DAY) + days).astype("datetime64[us]")
        if column.type is datetime.datetime:
            times += rng.integers(0, 86_400, n_rows).astype("timedelta64[s]")
        values = pd.Series(times)
        return values.mask(rng.random(n_rows) < missing) if column.nullable else values
    if column.type is bool:
        drawn = rng.integers(0, 2, n_rows).astype("float64")
    elif column.type is str and not column.choices:
        drawn = np.array([f"text {n}" for n in rng.integers(0, 1000, n_rows)], dtype=object)
    elif column.choices:
        drawn = np.array(column.choices, dtype=object)[rng.integers(0, len(column.choices), n_rows)]
    else:
        low, high = _bounds(column)
        drawn = np.round(rng.uniform(low, high, n_rows), 0 if column.type is int else 2)
    values = pd.Series(drawn, dtype=column.dtype)
    return values.mask(rng.random(n_rows) < missing) if column.nullable else values


def _bounds(column: Column) -> tuple[float, float]:
    """Return a column's bounds, finite even where it has none."""
    low = column.low if column.low is not None else min(0.0, (column.high or 0.0) - 1000.0)
    return low, column.high if column.high is not None else low + 1000.0


def _target(rows: pd.DataFrame, schema: Schema, rng: np.random.Generator) -> pd.Series:
    """Generate the target from the mean of the scaled numeric features, with noise."""
    scaled = [
        (rows[c.name].fillna(_bounds(c)[0]) - _bounds(c)[0]) / (_bounds(c)[1] - _bounds(c)[0])
        for c in schema.columns
        if c.role == "feature" and c.type in (float, int)
    ]
    level = np.mean(scaled, axis=0) if scaled else np.full(len(rows), 0.5)
    level = np.clip(level + rng.normal(0, 0.03, len(rows)), 0.0, 1.0)
    target = schema.target
    if target.choices:
        ranks = np.minimum((level * len(target.choices)).astype(int), len(target.choices) - 1)
        return pd.Series(np.array(target.choices, dtype=object)[ranks], dtype="str")
    low, high = _bounds(target)
    return pd.Series(low + level * (high - low)).round(0 if target.type is int else 2)


class InvalidRow(NamedTuple):
    """A row with exactly one invalid value, in `column`, and the reason."""

    row: dict[str, Any]
    column: str
    reason: str


def invalid_rows(schema: Schema, seed: int = 0) -> list[InvalidRow]:
    """Generate one row for every way in which a column can be invalid; rules are not covered."""
    good = {str(k): v for k, v in valid_rows(schema, 1, seed, missing=0.0).iloc[0].items()}
    found = []
    for column in schema.columns:
        wrong: dict[str, Any] = {}
        if not column.nullable and column.role != "key":
            wrong["missing"] = None
        if column.choices:
            wrong["unknown choice"] = "no such choice"
        elif column.open:
            wrong["too long"] = "x" * (LONGEST + 1)
        elif column.type in (int, float) and column.role != "key":
            wrong["infinite"] = float("inf")
            if column.low is not None:
                wrong["below the bound"] = column.low - 1
            if column.high is not None:
                wrong["above the bound"] = column.high + 1
            if column.type is int:
                wrong["not whole"] = (column.low or 0) + 0.5
        found += [InvalidRow(good | {column.name: v}, column.name, r) for r, v in wrong.items()]
    return found
