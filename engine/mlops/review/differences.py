"""What differs between two sides beside their models: parameters, stages, rows."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from mlops.columns import Schema

ABSENT = "—"


def flattened(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested dicts with their paths, as 'train.search.folds'."""
    if isinstance(tree, dict) and tree:
        for key, branch in tree.items():
            yield from flattened(branch, f"{path}.{key}" if path else str(key))
    else:
        yield path, tree


def params_diff(base: dict[str, Any], candidate: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """List path, old and new value of every parameter that differs."""
    old, new = dict(flattened(base)), dict(flattened(candidate))
    return [
        (path, old.get(path, ABSENT), new.get(path, ABSENT))
        for path in [*old, *(path for path in new if path not in old)]
        if old.get(path, ABSENT) != new.get(path, ABSENT)
    ]


def stages_diff(base: dict[str, Any], candidate: dict[str, Any]) -> dict[str, bool]:
    """Tell of each of the candidate's stages whether it is anything but the base's."""
    return {name: base.get(name) != stage for name, stage in candidate.items()}


def rows_diff(base: pd.DataFrame, candidate: pd.DataFrame, schema: Schema) -> dict[str, Any]:
    """Compare rows by key: how many were added, removed, changed, and in which columns.

    Raises:
        KeyError: a side has no column of the schema's key.
    """
    key = schema.key.name
    old, new = base.set_index(key), candidate.set_index(key)
    kept = new.index.intersection(old.index)
    in_old, in_new = old.index.get_indexer(kept), new.index.get_indexer(kept)
    changed = {}
    for name in new.columns.intersection(old.columns):
        before, after = old[name].take(in_old), new[name].take(in_new)
        differs = (before != after) & ~(before.isna() & after.isna())
        if differs.any():
            changed[name] = differs
    return {
        "rows": [len(old), len(new)],
        "added": len(new) - len(kept),
        "removed": len(old) - len(kept),
        "changed": int(pd.DataFrame(changed).any(axis=1).sum()) if changed else 0,
        "changed_columns": {name: int(differs.sum()) for name, differs in changed.items()},
        "columns": [
            _column_diff(name, old, new)
            for name in schema.names
            if name != key and name in new.columns
        ],
    }


def _column_diff(name: str, old: pd.DataFrame, new: pd.DataFrame) -> dict[str, Any]:
    """Describe a column on both sides by its missing share and its range or choices."""
    sides = [side[name] if name in side else pd.Series(dtype="float64") for side in (old, new)]
    return {"column": name, "base": _described(sides[0]), "candidate": _described(sides[1])}


def _described(values: pd.Series) -> dict[str, Any]:
    present = values.dropna()
    described: dict[str, Any] = {"missing": float(values.isna().mean()) if len(values) else None}
    if present.empty:
        return {**described, "text": ABSENT}
    if pd.api.types.is_numeric_dtype(present):
        low, middle, high = present.min(), present.median(), present.max()
        return {**described, "text": f"{low:,.6g} … {middle:,.6g} … {high:,.6g}"}
    if pd.api.types.is_datetime64_dtype(present):
        return {**described, "text": f"{present.min().date()} … {present.max().date()}"}
    shares = present.value_counts(normalize=True)
    return {**described, "text": f"{len(shares)} choices, {shares.index[0]} {shares.iloc[0]:.0%}"}
