"""Find a column's values that differ between rows of equal keys, and sample them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops.columns import Column
from mlops.review.column_pairs import Rows, Values

DEFAULT_TOLERANCE = 1.2e-7
"""Numbers with a smaller relative difference are equal: it is the precision of float32."""

_SAMPLED = 5_000
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Changed:
    """The values of one column that differ.

    Attributes:
        rows: their indices among the rows that both tables have.
        sample: some of `rows`; columns that changed in the same rows have the same sample.
        before, after: the sample's values.
        neighbours: the old values of the rows before and after each sampled row.
    """

    column: Column
    rows: Rows
    sample: Rows
    before: Values
    after: Values
    neighbours: tuple[Values, Values]


def changed_values(
    column: Column, old: Values, new: Values, old_rows: Rows, whole: Values, tolerance: float
) -> Changed:
    """Compare a column's values in the rows that both tables have.

    Args:
        old_rows: the indices of these rows in the base's whole column, `whole`.
        tolerance: numbers that differ by at most this share are equal.
    """
    rows = _differing(old, new, tolerance)
    sample = _sampled(rows)
    last = len(whole.data) - 1
    places = old_rows.take(sample)
    around = tuple(whole.take(np.clip(places + step, 0, max(last, 0))) for step in (-1, 1))
    return Changed(column, rows, sample, old.take(sample), new.take(sample), around)  # type: ignore[arg-type]


def tolerance_of(column: Column, tolerances: dict[str, float]) -> float:
    """Return a column's tolerance: from params.yaml, or by its type."""
    return tolerances.get(column.name, DEFAULT_TOLERANCE if column.type is float else 0.0)


def _differing(old: Values, new: Values, tolerance: float) -> Rows:
    rows = np.flatnonzero(old.data != new.data)
    before, after = old.take(rows), new.take(rows)
    equal = before.missing & after.missing
    if old.kind == "number" and tolerance:
        first, second = before.data, after.data
        with np.errstate(invalid="ignore", over="ignore"):
            far = np.abs(first - second) > tolerance * np.maximum(np.abs(first), np.abs(second))
        equal |= ~far & ~before.missing & ~after.missing
    return rows[~equal]


def _sampled(rows: Rows) -> Rows:
    """Choose rows by a hash of their index, so that columns that changed in the same rows agree."""
    if len(rows) <= _SAMPLED:
        return rows
    with np.errstate(over="ignore"):
        order = rows.astype(np.uint64) * _SPREAD
    chosen = np.argpartition(order, _SAMPLED)[:_SAMPLED]
    return np.sort(rows[chosen])


def examples(changed: Changed, keys: list[Any], most: int) -> list[dict[str, Any]]:
    """Return the changes of the sample's first rows."""
    few = np.arange(min(most, len(changed.sample)))
    shown = zip(keys, changed.before.shown(few), changed.after.shown(few), strict=False)
    return [{"key": key, "before": before, "after": after} for key, before, after in shown]


def equal_values(first: Values, second: Values) -> NDArray[np.bool_]:
    """Return row by row whether two columns' values are equal; a missing one never is."""
    present = ~first.missing & ~second.missing
    if first.kind != second.kind:
        return np.zeros(len(first.data), dtype=bool)
    if first.kind == "text":
        texts = (first.labels.take(first.data), second.labels.take(second.data))
        return present & (texts[0] == texts[1])
    if first.kind == "number":
        return present & np.isclose(first.data, second.data, rtol=DEFAULT_TOLERANCE, atol=0)
    return present & (first.data == second.data)
