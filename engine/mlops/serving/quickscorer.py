"""Predict with small trees by masks of their leaves: all trees of a model at once, in numpy.

Each value of a feature rules out the leaves that it can't reach; of the leaves that remain after
all features, the leftmost is the one that the row falls in. Source: Lucchese et al., QuickScorer,
SIGIR 2015, with a table of the masks instead of the scan over thresholds.
"""

import sys
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlops.serving.encoding import Floats

_BLOCK = 64  # rows whose arrays stay in the processor's cache, and in memory that is reused


class Masks:
    """Trees of at most 64 leaves.

    Args:
        thresholds: (column of the matrix, ascending values at which trees split it). A value's
            place is the number of thresholds below it; for a missing value it is one more than
            their number.
        masks: shape (n_places, n_trees), unsigned: the places of the first column, then those of
            the second, ...; a bit is set for each leaf that a value in this place can reach.
        leaves: values of the leaves, shape (n_trees, n_leaves).
        baseline: initial values of the sums, shape (n_outputs,); tree t adds to output
            t % n_outputs.
    """

    def __init__(
        self,
        thresholds: list[tuple[int, list[float]]],
        masks: NDArray[np.unsignedinteger],
        leaves: Floats,
        baseline: list[float],
    ) -> None:
        self._columns = [column for column, _ in thresholds]
        lists = [values for _, values in thresholds]
        self._arrays = [np.array(values, dtype=np.float64) for values in lists]
        places = [len(values) + 2 for values in lists]
        self._starts = np.cumsum([0, *places[:-1]]).tolist()
        self._masks, self._leaves = masks, leaves.ravel()
        n_trees, n_leaves = leaves.shape
        self._n_rounds, self._bytes = n_trees // len(baseline), masks[0].nbytes
        self._first = np.arange(n_trees, dtype=np.intp) * n_leaves
        self._baseline, self._one = np.array(baseline, dtype=np.float64), masks.dtype.type(1)
        # For each place, the masks of all trees as one integer; and a one per tree, likewise.
        self._wide = [int.from_bytes(line.tobytes(), sys.byteorder) for line in masks]
        self._ones = int.from_bytes(np.ones_like(masks[0]).tobytes(), sys.byteorder)
        self._searched = list(zip(self._columns, self._starts, lists, strict=True))

    def raw(self, matrix: Floats) -> Floats:
        """Return the sums of the leaves: shape (n_rows, n_outputs)."""
        places = self._places(matrix)
        sums = [
            self._sums(places[start : start + _BLOCK]) for start in range(0, len(places), _BLOCK)
        ]
        return sums[0] if len(sums) == 1 else np.concatenate(sums)

    def raw_of(self, lines: Sequence[Sequence[float]]) -> Floats:
        """Return the sums of the leaves for a few rows, bit for bit as `raw`.

        Python integers of a few hundred bytes are faster than arrays of that size.
        """
        below = b"".join([self._below(line) for line in lines])
        zeros = np.frombuffer(below, self._masks.dtype).reshape(len(lines), -1)
        return self._total(self._first + np.bitwise_count(zeros))

    def _below(self, line: Sequence[float]) -> bytes:
        """Return, for each tree, a bit for each leaf before the first one that is left."""
        left = -1
        for column, start, values in self._searched:
            value = line[column]
            gap = value != value
            left &= self._wide[start + (len(values) + 1 if gap else bisect_left(values, value))]
        below = ~left & (left - self._ones)  # no borrow between trees: each has a leaf left
        return below.to_bytes(self._bytes, sys.byteorder)

    def _places(self, matrix: Floats) -> NDArray[np.intp]:
        places = np.empty((len(matrix), len(self._columns)), dtype=np.intp)
        searched = zip(self._columns, self._starts, self._arrays, strict=True)
        for i, (column, start, values) in enumerate(searched):
            found = np.searchsorted(values, matrix[:, column])
            found[np.isnan(matrix[:, column])] = len(values) + 1
            places[:, i] = start + found
        return places

    def _sums(self, places: NDArray[np.intp]) -> Floats:
        left = self._masks.take(places[:, 0], axis=0)
        other = np.empty_like(left)
        for column in places.T[1:]:
            left &= self._masks.take(column, axis=0, out=other, mode="clip")
        leaf = np.bitwise_count(~left & (left - self._one))  # zeros below the lowest set bit
        return self._total(self._first + leaf)

    def _total(self, leaf: NDArray[np.intp]) -> Floats:
        outputs = self._leaves.take(leaf).reshape(-1, self._n_rounds, len(self._baseline))
        return self._baseline + np.add.reduce(outputs, axis=1)
