"""Derived features: one computation for training, serving, scoring and monitoring."""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
from numpy.dtypes import StringDType
from numpy.typing import NDArray

from mlops.columns import LONGEST, Column, Derived, Feature, Schema
from mlops.errors import UserError

Arrays = dict[str, NDArray[Any]]

_FEW = 32

_TEXT = StringDType()
_TIME = "datetime64[us]"
_DTYPES = {"float64": np.dtype(np.float64), _TIME: np.dtype(_TIME)}
_MISSING: dict[str, Callable[[NDArray[Any]], NDArray[np.bool_]]] = {
    "f": np.isnan,
    "M": np.isnat,
    _TEXT.kind: lambda texts: texts == "",
}


def as_array(values: Any, column: Feature) -> NDArray[Any]:
    """Convert a column's values to a new array, shape (n_rows,).

    Missing values are None, in an array also NaN. They become NaN in numbers and booleans, which
    are float64; NaT in times, datetime64[us]; and empty texts in StringDType.
    """
    kind = column.dtype
    if kind == "str":
        texts = ["" if value is None or value != value else value for value in values]
        return np.array(texts, dtype=_TEXT)
    if kind == _TIME and isinstance(values, list):
        # numpy parses a text in half the time in which it converts an object.
        values = [value and value.isoformat() for value in values]
    return np.array(values, dtype=_DTYPES.get(kind, kind))


def derive(columns: Mapping[str, Any], schema: Schema) -> Arrays:
    """Compute the derived features.

    Args:
        columns: name -> values as `as_array` takes them, for all columns that features need.

    Returns:
        Name -> values, shape (n_rows,): float64 with NaN for missing, or objects with None.

    Raises:
        UserError: a function fails, or returns anything but one value per row.
    """
    needed, found, known = schema.needed, Arrays(), _Known()
    with np.errstate(all="ignore"):
        known.add_numbers(columns, schema.needed_numbers)
        for column in schema.needed_others:
            known.add(columns[column.name], column)
        for feature in schema.derived:
            found[feature.name] = made = _made(feature, known)
            if feature.name in needed:
                known.add(made, feature)
    return found


class _Known:
    """Columns that features need.

    Attributes:
        gaps: for a column with missing values, a mask of their rows.
    """

    def __init__(self) -> None:
        self.values, self.gaps, self.bools = Arrays(), Arrays(), set[str]()

    def add_numbers(self, columns: Mapping[str, Any], needed: Sequence[Column]) -> None:
        """Add numbers and booleans, by one array: quicker for few rows than one for each."""
        if not needed:
            return
        values = [columns[column.name] for column in needed]
        block = np.array(values, dtype=np.float64)
        block.setflags(write=False)
        for column, own, given in zip(needed, block, values, strict=True):
            self._put(column, own, given)

    def add(self, values: Any, column: Feature) -> None:
        """Add any other column, or a derived feature."""
        own = as_array(values, column)
        own.setflags(write=False)
        self._put(column, own, values)

    def _put(self, column: Feature, own: NDArray[Any], given: Any) -> None:
        self.values[column.name] = own
        if column.type is bool:
            self.bools.add(column.name)
        if type(given) is list and None not in given:  # quicker for few rows
            return
        if (gaps := _MISSING[own.dtype.kind](own)).any():
            self.gaps[column.name] = gaps


def _made(feature: Derived, known: _Known) -> NDArray[Any]:
    """Call a feature's function for the rows without missing needed values, or for all rows."""
    given = [known.values[name] for name in feature.needs]
    missing = known.gaps and [known.gaps[name] for name in feature.needs if name in known.gaps]
    if missing and feature.takes_missing:
        return _called(feature, given)
    if known.bools:
        pairs = zip(feature.needs, given, strict=True)
        given = [_read_only(v != 0) if name in known.bools else v for name, v in pairs]
    if not missing:
        return _called(feature, given)
    gaps = np.logical_or.reduce(missing)
    empty = np.full(len(gaps), None) if feature.type is str else np.full(len(gaps), np.nan)
    if not gaps.all():
        empty[~gaps] = _called(feature, [_read_only(values[~gaps]) for values in given])
    return empty


def _read_only(values: NDArray[Any]) -> NDArray[Any]:
    """Return the array itself, to which a feature's function must not write."""
    values.setflags(write=False)
    return values


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
    numbers = made.astype(np.float64, copy=False)
    # A sum of a list is quicker for a few rows.
    total = sum(numbers.tolist()) if len(numbers) <= _FEW else np.add.reduce(numbers)
    if not isfinite(total):  # one is not finite, or the sum of large ones is not
        return np.where(np.isfinite(numbers), numbers, np.nan)
    return numbers


def _text(value: Any) -> str | None:
    """Return an open feature's text, truncated; None for an empty one."""
    if value is None or value != value:
        return None
    if not isinstance(value, str):
        raise TypeError(f"not a text: {value!r}")
    return value[:LONGEST] or None
