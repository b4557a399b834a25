"""Predict with small trees by masks of their leaves: all trees of a model at once, in numpy.

Each value of a feature rules out the leaves that it can't reach; of the leaves that remain after
all features, the leftmost is the one that the row falls in. Source: Lucchese et al., QuickScorer,
SIGIR 2015, with a table of the masks instead of the scan over thresholds.
"""

import sys
from bisect import bisect_left
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from mlops.inference.encoding import Category, Columns, Encoding, Floats, count_rows, listed

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
        starts = accumulate((len(values) + 2 for _, values in thresholds), initial=0)
        self.searched = [
            (column, start, np.array(values, dtype=np.float64))
            for (column, values), start in zip(thresholds, starts, strict=False)
        ]
        self.table, self._leaves = masks, leaves.ravel()
        n_trees, n_leaves = leaves.shape
        self._n_rounds = n_trees // len(baseline)
        self._first = np.arange(n_trees, dtype=np.intp) * n_leaves
        self._baseline, self._one = np.array(baseline, dtype=np.float64), masks.dtype.type(1)

    def raw(self, matrix: Floats) -> Floats:
        """Return the sums of the leaves: shape (n_rows, n_outputs)."""
        places = self._places(matrix)
        sums = [
            self._sums(places[start : start + _BLOCK]) for start in range(0, len(places), _BLOCK)
        ]
        return sums[0] if len(sums) == 1 else np.concatenate(sums)

    def _places(self, matrix: Floats) -> NDArray[np.intp]:
        places = np.empty((len(matrix), len(self.searched)), dtype=np.intp)
        for i, (column, start, values) in enumerate(self.searched):
            found = np.searchsorted(values, matrix[:, column])
            found[np.isnan(matrix[:, column])] = len(values) + 1
            places[:, i] = start + found
        return places

    def _sums(self, places: NDArray[np.intp]) -> Floats:
        left = self.table.take(places[:, 0], axis=0)
        other = np.empty_like(left)
        for column in places.T[1:]:
            left &= self.table.take(column, axis=0, out=other, mode="clip")
        return self.total(np.bitwise_count(~left & (left - self._one)))

    def total(self, zeros: NDArray[np.uint8]) -> Floats:
        """Return the sums of the leaves with so many before them, shape (n_rows, n_trees)."""
        outputs = self._leaves.take(self._first + zeros).reshape(
            -1, self._n_rounds, len(self._baseline)
        )
        return self._baseline + np.add.reduce(outputs, axis=1)


class FewRows:
    """The same trees for a few rows, bit for bit.

    Python integers of a few hundred bytes, with the bits of all trees, are faster than arrays of
    that size. A text's integer combines those of all its columns in the matrix.

    Args:
        encoding: with numbers as they are (`plain`).
    """

    def __init__(self, masks: Masks, encoding: Encoding) -> None:
        self._masks = masks
        wide = [int.from_bytes(line.tobytes(), sys.byteorder) for line in masks.table]
        self._ones = int.from_bytes(np.ones_like(masks.table[0]).tobytes(), sys.byteorder)
        searched = {
            column: (values.tolist(), wide[start : start + len(values) + 2])
            for column, start, values in masks.searched
        }

        def of_line(category: Category, line: list[float | None]) -> int:
            left = -1
            for at, value in zip(category.at, line, strict=True):
                if at in searched:
                    thresholds, masks = searched[at]
                    left &= masks[-1 if value is None else bisect_left(thresholds, value)]
            return left

        self._numbers = [(n.name, *searched[n.at]) for n in encoding.numbers if n.at in searched]
        self._texts = []
        for category in encoding.categories:
            *left, other = [of_line(category, line) for line in category.table]
            known = dict(zip(category.choices, left, strict=True))
            self._texts.append((category.name, known, other))

    def raw(self, columns: Columns) -> Floats:
        """Return the sums of the leaves: shape (n_rows, n_outputs)."""
        numbers = [(listed(columns[name]), at, masks) for name, at, masks in self._numbers]
        texts = [(listed(columns[name]), known, other) for name, known, other in self._texts]
        n_bytes, below = self._masks.table[0].nbytes, []
        for row in range(count_rows(columns)):
            left = -1
            for values, thresholds, masks in numbers:
                v = values[row]
                left &= masks[-1 if v is None or v != v else bisect_left(thresholds, float(v))]
            for values, known, other in texts:
                left &= known.get(values[row], other)
            # For each tree, a bit for each leaf before the first one that is left. There is no
            # borrow between trees: each has a leaf left.
            below.append((~left & (left - self._ones)).to_bytes(n_bytes, sys.byteorder))
        zeros = np.frombuffer(b"".join(below), self._masks.table.dtype).reshape(len(below), -1)
        return self._masks.total(np.bitwise_count(zeros))
