"""Guesses that use more than one column, or the added rows."""

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from mlops.columns import Column
from mlops.review.changed_values import Changed, equal_values
from mlops.review.column_pairs import KeyPairs, Values
from mlops.review.rescaling import factor_between
from mlops.review.units import unit_of
from mlops.review.value_guesses import ENOUGH

_MOST = 0.95
_SAMPLED = 100_000


def column_guesses(changed: list[Changed]) -> tuple[list[dict[str, Any]], set[str]]:
    """Find columns whose values were swapped or moved into the next column.

    Returns:
        Guesses, and the names of the columns that they explain.
    """
    source = {
        after.column.name: before.column.name
        for after, before in itertools.permutations(changed, 2)
        if _came_from(after, before)
    }
    rows = {one.column.name: len(one.rows) for one in changed}
    guesses, explained = [], set()
    for name, other in source.items():
        if source.get(other) == name and name not in explained:
            explained |= {name, other}
            text = f"values of {name} and {other} were swapped"
            guesses.append({"columns": [name, other], "rows": rows[name], "text": text})
    if moved := {n: other for n, other in source.items() if n not in explained}:
        columns = [name for name in rows if name in moved or name in moved.values()]
        explained |= set(columns)
        pairs = ", ".join(f"{name} has those of {other}" for name, other in moved.items())
        text = f"values moved into another column: {pairs}"
        n_rows = max(rows[name] for name in columns)
        guesses.append({"columns": columns, "rows": n_rows, "text": text})
    return guesses, explained


def _came_from(after: Changed, before: Changed) -> bool:
    """Return whether a column's new values are another column's old ones, in the same rows."""
    if after.after.kind != before.before.kind:
        return False
    _, first, second = np.intersect1d(after.sample, before.sample, return_indices=True)
    if len(first) < max(ENOUGH, 0.5 * len(after.sample)):
        return False
    values = before.before.take(second)
    if len(np.unique(values.data)) < ENOUGH:  # so few may be equal by chance
        return False
    return bool(equal_values(after.after.take(first), values).mean() >= _MOST)


def renamed(gone: Iterable[tuple[str, Values]], new: Iterable[tuple[str, Values]]) -> list[str]:
    """Find columns with another's values under a new name; all values are of the same rows."""
    found = []
    candidates = list(new)
    for old_name, old in gone:
        for name, values in candidates:
            present = ~old.missing | ~values.missing
            equal = equal_values(old, values)[present]
            if len(equal) >= ENOUGH and equal.mean() >= _MOST:
                found.append(f"column {old_name} was renamed to {name}: its values are the same")
    return found


def added_guesses(column: Column, new: Values, pairs: KeyPairs) -> str:
    """Guess from the added rows' quantiles whether they have another unit than the rest."""
    if new.kind != "number" or column.role == "key":
        return ""
    usual, added = (
        new.data.take(rows[:: -(-len(rows) // _SAMPLED) or 1]).astype(np.float64)
        for rows in (pairs.new, pairs.added)
    )
    factor = factor_between(usual, added)
    if factor is None:
        return ""
    return f"added rows have about {factor:,.4g} times the usual values{unit_of(factor)}"
