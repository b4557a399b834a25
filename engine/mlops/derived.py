"""Derived features: one computation for training, serving, scoring and monitoring."""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

import numpy as np
from numpy.dtypes import StringDType
from numpy.typing import NDArray

from mlops.columns import LONGEST, Derived, Feature, Schema
from mlops.errors import UserError

Arrays = dict[str, NDArray[Any]]

_FEW = 32

_TEXT = StringDType()
_TIME = "datetime64[us]"
_FLOAT = np.dtype(np.float64)
_DTYPES = {"float64": _FLOAT, _TIME: np.dtype(_TIME)}
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
        values = _iso_texts(values)
    return np.array(values, dtype=_DTYPES.get(kind, kind))


def _iso_texts(times: list[Any]) -> list[str | None]:
    """Format times, which numpy parses in half the time in which it converts objects."""
    texts, last, text = [], None, None
    for time in times:
        if time is not last:  # rows of requests often have the same time, the present one
            last, text = time, time and time.isoformat()
        texts.append(text)
    return texts


@np.errstate(all="ignore")
def derive(columns: Mapping[str, Any], schema: Schema) -> Arrays:
    """Compute the derived features.

    Args:
        columns: name -> values as `as_array` takes them, for all columns that features need.

    Returns:
        Name -> values, shape (n_rows,): float64 with NaN for missing, or objects with None.

    Raises:
        UserError: a function fails, or returns anything but one value per row.
    """
    found, known = Arrays(), _Known(columns, schema)
    for feature in schema.derived:
        arguments = [known.values[name] for name in feature.needs]
        if known.gaps or schema.needed_booleans:
            made = _called_where_known(feature, arguments, known.gaps, schema.needed_booleans)
        else:  # quicker for few rows
            made = _called(feature, arguments)
        found[feature.name] = made
        if feature.name in schema.needed:
            known.add(made, feature)
    return found


class _Known:
    """Columns that features need.

    Attributes:
        gaps: for a column with missing values, a mask of their rows.
    """

    def __init__(self, columns: Mapping[str, Any], schema: Schema) -> None:
        self.values, self.gaps = Arrays(), Arrays()
        if numbers := schema.needed_numbers:
            given = [columns[name] for name in numbers]
            # For few rows, one array is quicker than one for each column.
            block = _read_only(np.array(given, _FLOAT))
            for name, own, values in zip(numbers, block, given, strict=True):
                self.values[name] = own
                self._find_gaps(name, values)
        for column in schema.needed_others:
            self.add(columns[column.name], column)

    def add(self, values: Any, column: Feature) -> None:
        """Add a column, or a derived feature."""
        self.values[column.name] = _read_only(as_array(values, column))
        self._find_gaps(column.name, values)

    def _find_gaps(self, name: str, given: Any) -> None:
        if type(given) is list and None not in given:  # quicker for few rows
            return
        own = self.values[name]
        if (gaps := _MISSING[own.dtype.kind](own)).any():
            self.gaps[name] = gaps


def _called_where_known(
    feature: Derived, given: list[NDArray[Any]], gaps: Arrays, bools: frozenset[str]
) -> NDArray[Any]:
    """Call a feature's function for the rows without missing needed values, or for all rows."""
    missing = [gaps[name] for name in feature.needs if name in gaps]
    if missing and feature.takes_missing:
        return _called(feature, given)
    pairs = zip(feature.needs, given, strict=True)
    given = [_read_only(v != 0) if name in bools else v for name, v in pairs]
    if not missing:
        return _called(feature, given)
    empty = np.logical_or.reduce(missing)
    made = np.full(len(empty), None) if feature.type is str else np.full(len(empty), np.nan)
    if not empty.all():
        made[~empty] = _called(feature, [_read_only(values[~empty]) for values in given])
    return made


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
        if feature.type is str:
            return _texts(made, feature)
        numbers = made if made.dtype is _FLOAT else _numbers(made)
    except (TypeError, ValueError) as error:
        wanted = "texts" if feature.type is str else "numbers"
        raise _fault(feature, f"found {made.dtype}, wanted {wanted}: {error}") from error
    # A sum of a list is quicker for a few rows. That of large numbers may be infinite, too.
    total = sum(numbers.tolist()) if len(numbers) <= _FEW else np.add.reduce(numbers)
    return numbers if isfinite(total) else np.where(np.isfinite(numbers), numbers, np.nan)


def _fault(feature: Derived, text: str) -> UserError:
    return UserError(f"src/project/features.py: feature {feature.name!r}: {text}")


def _texts(made: NDArray[Any], feature: Derived) -> NDArray[Any]:
    known = {choice: choice for choice in feature.choices}
    texts = np.empty(len(made), dtype=object)
    texts[:] = [_text(v) if feature.open else known.get(v) for v in made.tolist()]
    return texts


def _numbers(made: NDArray[Any]) -> NDArray[Any]:
    if made.dtype.kind not in "fiub":
        raise TypeError("not numeric")
    return made.astype(_FLOAT)


def _text(value: Any) -> str | None:
    """Return an open feature's text, truncated; None for an empty one."""
    if value is None or value != value:
        return None
    if not isinstance(value, str):
        raise TypeError(f"not a text: {value!r}")
    return value[:LONGEST] or None
