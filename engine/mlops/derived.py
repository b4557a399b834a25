"""Derived features: one computation for training, serving, scoring and monitoring."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.dtypes import StringDType
from numpy.typing import NDArray

from mlops.columns import LONGEST, Derived, Feature, Schema
from mlops.errors import UserError

Arrays = dict[str, NDArray[Any]]

_TEXT = StringDType()
_MISSING: dict[str, Callable[[NDArray[Any]], NDArray[np.bool_]]] = {
    "f": np.isnan,
    "M": np.isnat,
    _TEXT.kind: lambda texts: texts == "",
}


def as_array(values: Any, column: Feature) -> NDArray[Any]:
    """Convert a column's values, None if missing, to an array for `derive`, shape (n_rows,).

    Numbers and booleans become float64 with NaN for a missing value, times datetime64[us] with
    NaT, texts StringDType with an empty one.
    """
    if column.dtype == "str":
        return np.array(["" if value is None else value for value in values], dtype=_TEXT)
    return np.array(values, dtype=column.dtype)


class _Given(NamedTuple):
    """A needed column: its values, a mask of missing ones, and whether any is missing."""

    values: NDArray[Any]
    gaps: NDArray[np.bool_]
    some: bool
    is_bool: bool

    def argument(self, rows: Any, with_gaps: bool) -> NDArray[Any]:
        """Return a function's argument for all rows or some, as a read-only array."""
        own = self.values.view() if rows is None else self.values[rows]
        if self.is_bool and not with_gaps:
            own = own != 0
        own.flags.writeable = False
        return own


def derive(columns: Mapping[str, NDArray[Any]], schema: Schema) -> Arrays:
    """Compute the derived features.

    Args:
        columns: name -> values as `as_array` returns them, for all columns that features need.

    Returns:
        Name -> values, shape (n_rows,): float64 with NaN for missing, or objects with None.

    Raises:
        UserError: a function fails, or returns anything but one value per row.
    """
    needed, found = schema.needed, Arrays()
    known = {
        column.name: _given(columns[column.name], column)
        for column in schema.inputs
        if column.name in needed
    }
    with np.errstate(all="ignore"):
        for feature in schema.derived:
            found[feature.name] = _checked(feature, [known[name] for name in feature.needs])
            if feature.name in needed:
                values = as_array(found[feature.name], feature)
                known[feature.name] = _given(values, feature)
    return found


def _given(values: NDArray[Any], column: Feature) -> _Given:
    gaps = _MISSING[values.dtype.kind](values)
    return _Given(values, gaps, _any(gaps), column.type is bool)


def _any(truths: NDArray[np.bool_]) -> bool:
    """Return whether any is true; much faster for a single row, the usual request."""
    return bool(truths[0] if len(truths) == 1 else truths.any())


def _checked(feature: Derived, given: list[_Given]) -> NDArray[Any]:
    """Call a feature's function for the rows without missing needed values, or for all rows."""
    some = any(one.some for one in given)
    if not some or feature.takes_missing:
        return _called(feature, [one.argument(None, some) for one in given])
    gaps = np.logical_or.reduce([one.gaps for one in given])
    empty = np.full(len(gaps), None) if feature.type is str else np.full(len(gaps), np.nan)
    if not gaps.all():
        empty[~gaps] = _called(feature, [one.argument(~gaps, False) for one in given])
    return empty


def _called(feature: Derived, arguments: list[NDArray[Any]]) -> NDArray[Any]:
    where = f"src/project/features.py: feature {feature.name!r}"
    try:
        made = np.asarray(feature.make(*arguments))
    except Exception as error:
        raise UserError(f"{where}: its function fails: {type(error).__name__}: {error}") from error
    n_rows = len(arguments[0])
    if made.shape != (n_rows,):
        raise UserError(f"{where}: found shape {made.shape}, wanted a value a row, ({n_rows},)")
    try:
        return _typed(made, feature)
    except (TypeError, ValueError) as error:
        wanted = "texts" if feature.type is str else "numbers"
        raise UserError(f"{where}: found {made.dtype}, wanted {wanted}: {error}") from error


def _typed(made: NDArray[Any], feature: Derived) -> NDArray[Any]:
    if feature.type is str:
        known = {choice: choice for choice in feature.choices}
        texts = np.empty(len(made), dtype=object)
        texts[:] = [_text(v) if feature.open else known.get(v) for v in made.tolist()]
        return texts
    if made.dtype.kind not in "fiub":
        raise TypeError("no number")
    numbers = made.astype(np.float64)
    if _any(infinite := ~np.isfinite(numbers)):
        numbers[infinite] = np.nan
    return numbers


def _text(value: Any) -> str | None:
    """Return an open feature's text, truncated; None for an empty one."""
    if value is None or value != value:
        return None
    if not isinstance(value, str):
        raise TypeError(f"no text: {value!r}")
    return value[:LONGEST] or None
