"""Derived features: one computation for training, serving, scoring and monitoring alike."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.dtypes import StringDType
from numpy.typing import NDArray

from mlops.columns import Derived, Feature, Schema
from mlops.errors import BadInput

Arrays = dict[str, NDArray[Any]]

_TEXT = StringDType()
_MISSING: dict[str, Callable[[NDArray[Any]], NDArray[np.bool_]]] = {
    "f": np.isnan,
    "M": np.isnat,
    _TEXT.kind: lambda texts: texts == "",
}


def as_array(values: Any, column: Feature) -> NDArray[Any]:
    """Make an array, shape (n_rows,), of a column's values as `derive` takes them; None for a gap.

    Numbers and booleans become float64 with NaN for a gap, times datetime64[us] with NaT, texts
    StringDType with an empty one.
    """
    if column.type is str:
        return np.array(["" if value is None else value for value in values], dtype=_TEXT)
    if column.type in (float, int, bool):
        return np.array(values, dtype=np.float64)
    return np.array(values, dtype="datetime64[us]")


def derive(columns: Mapping[str, NDArray[Any]], schema: Schema) -> Arrays:
    """Compute the derived features.

    Args:
        columns: name -> values as `as_array` makes them, of all that the features need.

    Returns:
        Name -> values, shape (n_rows,): float64 with NaN for a gap, or objects with None.

    Raises:
        BadInput: a function fails, or gives something else than a value for each row.
    """
    known, found = dict(columns), Arrays()
    of: dict[str, Feature] = {column.name: column for column in schema.columns}
    of |= {feature.name: feature for feature in schema.derived}
    for feature in schema.derived:
        given = [(known[name], of[name]) for name in feature.needs]
        found[feature.name] = _checked(feature, given)
        if any(feature.name in later.needs for later in schema.derived):
            known[feature.name] = as_array(found[feature.name], feature)
    return found


def _checked(feature: Derived, given: list[tuple[NDArray[Any], Feature]]) -> NDArray[Any]:
    """Call a feature's function for the rows whose needs are all known, or for all of them."""
    n_rows = len(given[0][0])
    gaps = np.zeros(n_rows, dtype=bool)
    for values, _ in given:
        gaps |= _MISSING[values.dtype.kind](values)
    some = bool(gaps.any())
    if some and not feature.takes_missing:
        empty = np.full(n_rows, None) if feature.choices else np.full(n_rows, np.nan)
        if not gaps.all():
            known = ~gaps
            empty[known] = _called(feature, [(values[known], of) for values, of in given], False)
        return empty
    return _called(feature, given, some)


def _called(
    feature: Derived, given: list[tuple[NDArray[Any], Feature]], gaps: bool
) -> NDArray[Any]:
    arguments = []
    for values, column in given:
        own = values.view() if column.type is not bool or gaps else values != 0
        own.flags.writeable = False
        arguments.append(own)
    where = f"src/project/features.py: feature {feature.name!r}"
    try:
        with np.errstate(all="ignore"):
            made = np.asarray(feature.make(*arguments))
    except Exception as error:
        raise BadInput(f"{where}: its function fails: {type(error).__name__}: {error}") from error
    n_rows = len(arguments[0])
    if made.shape != (n_rows,):
        raise BadInput(f"{where}: found shape {made.shape}, wanted a value a row, ({n_rows},)")
    try:
        return _typed(made, feature)
    except (TypeError, ValueError) as error:
        wanted = "texts" if feature.choices else "numbers"
        raise BadInput(f"{where}: found {made.dtype}, wanted {wanted}: {error}") from error


def _typed(made: NDArray[Any], feature: Derived) -> NDArray[Any]:
    if feature.choices:
        known = {choice: choice for choice in feature.choices}
        texts = np.empty(len(made), dtype=object)
        texts[:] = [known.get(value) for value in made.tolist()]
        return texts
    if made.dtype.kind not in "fiub":
        raise TypeError("no number")
    numbers = made.astype(np.float64)
    if not (finite := np.isfinite(numbers)).all():
        numbers[~finite] = np.nan
    return numbers
