"""Convert trees of histogram gradient boosting to leaf masks for `mlops.inference.quickscorer`."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlops.metrics import Floats

MOST_LEAVES = 64
MOST_BYTES = 32_000_000


class LeafMasks(NamedTuple):
    """The arguments of `mlops.inference.quickscorer.Masks`."""

    thresholds: list[tuple[int, list[float]]]
    masks: NDArray[np.unsignedinteger]
    leaves: Floats
    baseline: list[float]


class _Split(NamedTuple):
    """An inner node: the leaves of its left side, as bits, and the places that it sends there."""

    tree: int
    left: int
    places: NDArray[np.bool_]


def leaf_masks(estimator: Any) -> LeafMasks | None:
    """Convert a boosted estimator's trees to masks; None if they are too large."""
    trees = [tree for step in estimator._predictors for tree in step]
    n_leaves = max(int(tree.nodes["is_leaf"].sum()) for tree in trees)
    thresholds = _thresholds(trees, estimator)
    n_places = sum(len(values) + 2 for values in thresholds.values())
    dtype = np.dtype(f"u{2 if n_leaves <= 16 else 4 if n_leaves <= 32 else 8}")
    if n_leaves > MOST_LEAVES or n_places * len(trees) * dtype.itemsize > MOST_BYTES:
        return None
    every = (1 << n_leaves) - 1
    tables = {
        column: np.full((len(values) + 2, len(trees)), every, dtype=dtype)
        for column, values in thresholds.items()
    }
    leaves = np.zeros((len(trees), n_leaves))
    for number, tree in enumerate(trees):
        found, splits = _walk(number, tree, thresholds)
        leaves[number, : len(found)] = found
        for column, split in splits:
            tables[column][~split.places, number] &= dtype.type(every & ~split.left)
    baseline = np.atleast_1d(np.squeeze(estimator._baseline_prediction)).tolist()
    listed = [(column, values.tolist()) for column, values in thresholds.items()]
    return LeafMasks(listed, np.concatenate(list(tables.values())), leaves, baseline)


def _thresholds(trees: list[Any], estimator: Any) -> dict[int, Floats]:
    """Return each column's thresholds; for categories, the codes, so that place equals code."""
    inner = np.concatenate([tree.nodes[tree.nodes["is_leaf"] == 0] for tree in trees])
    found = {}
    for column in range(estimator.n_features_in_):
        own = inner[inner["feature_idx"] == column]
        if own["is_categorical"].any():
            known = estimator._bin_mapper.bin_thresholds_[column]
            found[column] = np.arange(int(max(known, default=0)) + 1, dtype=np.float64)
        else:
            values = np.unique(own["num_threshold"])
            # An infinite one only separates gaps, which have the last place, from numbers.
            found[column] = values[np.isfinite(values)]
    return found


def _walk(
    number: int, tree: Any, thresholds: dict[int, Floats]
) -> tuple[list[float], list[tuple[int, _Split]]]:
    """List a tree's leaves from left to right, and its splits."""
    leaves: list[float] = []
    splits: list[tuple[int, _Split]] = []

    def visit(place: int) -> int:
        node = tree.nodes[place]
        if node["is_leaf"]:
            leaves.append(float(node["value"]))
            return 1 << (len(leaves) - 1)
        left, right = visit(int(node["left"])), visit(int(node["right"]))
        column = int(node["feature_idx"])
        goes_left = _goes_left(node, tree.raw_left_cat_bitsets, thresholds[column])
        splits.append((column, _Split(number, left, goes_left)))
        return left | right

    visit(0)
    return leaves, splits


def _goes_left(node: Any, bitsets: Any, thresholds: Floats) -> NDArray[np.bool_]:
    """Return which places of a column a split sends to the left; the last place is for gaps."""
    places = np.arange(len(thresholds) + 2)
    if node["is_categorical"]:
        words = bitsets[node["bitset_idx"]]
        goes = np.array([bool(words[p // 32] >> (p % 32) & 1) for p in range(len(thresholds))])
        goes = np.concatenate([goes, [False, False]])
    else:
        goes = places <= np.searchsorted(thresholds, node["num_threshold"])
    goes[-1] = bool(node["missing_go_to_left"])
    return goes
