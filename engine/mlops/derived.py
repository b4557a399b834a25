"""Derived features: one computation for training, serving, scoring and monitoring."""

from collections.abc import Callable, Container, Mapping
from math import isfinite
from typing import Any

import numpy as np
from numpy.dtypes import StringDType
from numpy.typing import NDArray

from mlops.columns import LONGEST, Derived, Feature, Schema
from mlops.errors import UserError

Arrays = dict[str, NDArray[Any]]

_TEXT = StringDType()
_DTYPES = {"float64": np.dtype(np.float64), "datetime64[us]": np.dtype("datetime64[us]")}
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
    kind = column.dtype
    if kind == "str":
        return np.array(["" if value is None else value for value in values], dtype=_TEXT)
    return np.array(values, dtype=_DTYPES.get(kind, kind))


class _Given:
    """A needed column: its values, and whether any is missing."""

    __slots__ = ("is_bool", "some", "values")

    def __init__(self, values: NDArray[Any], column: Feature, complete: bool) -> None:
        self.values, self.is_bool = values.view(), column.type is bool
        self.values.setflags(write=False)  # functions must not write to them
        self.some = not complete and bool(self.gaps.any())

    @property
    def gaps(self) -> NDArray[np.bool_]:
        """A mask of the rows in which it is missing."""
        return _MISSING[self.values.dtype.kind](self.values)

    def argument(self, rows: Any, with_gaps: bool) -> NDArray[Any]:
        """Return a function's argument for all rows or some, as a read-only array."""
        if rows is None and not self.is_bool:
            return self.values
        own = self.values if rows is None else self.values[rows]
        if self.is_bool and not with_gaps:
            own = own != 0
        own.setflags(write=False)
        return own


def derive(
    columns: Mapping[str, NDArray[Any]], schema: Schema, complete: Container[str] = ()
) -> Arrays:
    """Compute the derived features.

    Args:
        columns: name -> values as `as_array` returns them, for all columns that features need.
        complete: columns known to have no missing value; to find out takes longer, for few rows,
            than most features.

    Returns:
        Name -> values, shape (n_rows,): float64 with NaN for missing, or objects with None.

    Raises:
        UserError: a function fails, or returns anything but one value per row.
    """
    needed, found = schema.needed, Arrays()
    known = {c.name: _Given(columns[c.name], c, c.name in complete) for c in schema.needed_inputs}
    with np.errstate(all="ignore"):
        for feature in schema.derived:
            found[feature.name] = _checked(feature, [known[name] for name in feature.needs])
            if feature.name in needed:
                made = as_array(found[feature.name], feature)
                known[feature.name] = _Given(made, feature, complete=False)
    return found


def _checked(feature: Derived, given: list[_Given]) -> NDArray[Any]:
    """Call a feature's function for the rows without missing needed values, or for all rows."""
    some = True in [one.some for one in given]
    if not some or feature.takes_missing:
        return _called(feature, [one.argument(None, some) for one in given])
    gaps = np.logical_or.reduce([one.gaps for one in given])
    empty = np.full(len(gaps), None) if feature.type is str else np.full(len(gaps), np.nan)
    if not gaps.all():
        empty[~gaps] = _called(feature, [one.argument(~gaps, False) for one in given])
    return empty


def _called(feature: Derived, arguments: list[NDArray[Any]]) -> NDArray[Any]:
    try:
        made = np.asarray(feature.make(*arguments))
    except Exception as error:
        raise _fault(feature, f"its function fails: {type(error).__name__}: {error}") from error
    if made.shape != (shape := arguments[0].shape):
        raise _fault(feature, f"found shape {made.shape}, wanted one value per row, {shape}")
    try:
        return _typed(made, feature)
    except (TypeError, ValueError) as error:
        wanted = "texts" if feature.type is str else "numbers"
        raise _fault(feature, f"found {made.dtype}, wanted {wanted}: {error}") from error


def _fault(feature: Derived, text: str) -> UserError:
    return UserError(f"src/project/features.py: feature {feature.name!r}: {text}")


def _typed(made: NDArray[Any], feature: Derived) -> NDArray[Any]:
    if feature.type is str:
        known = {choice: choice for choice in feature.choices}
        texts = np.empty(len(made), dtype=object)
        texts[:] = [_text(v) if feature.open else known.get(v) for v in made.tolist()]
        return texts
    if made.dtype.kind not in "fiub":
        raise TypeError("not numeric")
    numbers = made.astype(np.float64)
    if not isfinite(np.add.reduce(numbers)):  # one is not finite, or the sum is too large
        numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def _text(value: Any) -> str | None:
    """Return an open feature's text, truncated; None for an empty one."""
    if value is None or value != value:
        return None
    if not isinstance(value, str):
        raise TypeError(f"not a text: {value!r}")
    return value[:LONGEST] or None
