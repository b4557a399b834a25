"""Which values of a column differ between the rows of equal keys, and a sample of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops.columns import Column
from mlops.review.column_pairs import Rows, Values

DEFAULT_TOLERANCE = 1.2e-7
"""Numbers that differ by a smaller share are equal: float32 tells no finer ones apart."""

_SAMPLED = 5_000
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Changed:
    """The values of one column that differ.

    Attributes:
        rows: their places among the rows that both tables have.
        sample: some of `rows`: of all columns those of the same rows, if these differ.
        before, after: the sample's values.
        neighbours: the old values of the rows before and after each of the sample.
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
        old_rows: the places of these rows in the base's table, `whole`.
        tolerance: numbers that differ by at most this share are equal.
    """
    rows = _differing(old, new, tolerance)
    sample = _sampled(rows)
    last = len(whole.data) - 1
    places = old_rows.take(sample)
    around = tuple(whole.take(np.clip(places + step, 0, max(last, 0))) for step in (-1, 1))
    return Changed(column, rows, sample, old.take(sample), new.take(sample), around)  # type: ignore[arg-type]


def tolerance_of(column: Column, tolerances: dict[str, float]) -> float:
    """Give how far values of a column may differ: what params.yaml says, or by its type."""
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
    """Choose rows by a hash of their place, so that columns that changed in the same rows agree."""
    if len(rows) <= _SAMPLED:
        return rows
    with np.errstate(over="ignore"):
        order = rows.astype(np.uint64) * _SPREAD
    chosen = np.argpartition(order, _SAMPLED)[:_SAMPLED]
    return np.sort(rows[chosen])


def examples(changed: Changed, keys: list[Any], most: int) -> list[dict[str, Any]]:
    """Show some changes: those of the sample's first rows."""
    few = np.arange(min(most, len(changed.sample)))
    shown = zip(keys, changed.before.shown(few), changed.after.shown(few), strict=False)
    return [{"key": key, "before": before, "after": after} for key, before, after in shown]


def equal_values(first: Values, second: Values) -> NDArray[np.bool_]:
    """Tell of two columns' values, row by row, whether they are equal; a missing one never is."""
    present = ~first.missing & ~second.missing
    if first.kind != second.kind:
        return np.zeros(len(first.data), dtype=bool)
    if first.kind == "text":
        texts = (first.labels.take(first.data), second.labels.take(second.data))
        return present & (texts[0] == texts[1])
    if first.kind == "number":
        return present & np.isclose(first.data, second.data, rtol=DEFAULT_TOLERANCE, atol=0)
    return present & (first.data == second.data)
