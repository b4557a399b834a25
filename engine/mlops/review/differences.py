"""Differences between two sides other than models and data: parameters, stages."""

from collections.abc import Iterator
from typing import Any

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
    """Return for each of the candidate's stages whether it differs from the base's."""
    return {name: base.get(name) != stage for name, stage in candidate.items()}
