"""Encode the features of a request as the matrix that a model takes, by plain tables."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Coded(NamedTuple):
    """A categorical feature of many rows: `choices[codes[i]]` in row i; code -1 if missing."""

    choices: Sequence[str]
    codes: NDArray[np.integer[Any]]

    def texts(self) -> NDArray[Any]:
        """Return each row's choice, None if missing, as objects."""
        return np.array([*self.choices, None], dtype=object)[self.codes]


Columns = Mapping[str, NDArray[Any] | Coded | Sequence[Any]]
"""Many rows, input or feature by name: each an array of shape (n_rows,), NaN for a missing number;
or a list of values as in a request, None for any missing value.
"""


def count_rows(columns: Columns) -> int:
    """Return the number of rows."""
    first = next(iter(columns.values()))
    return len(first.codes if isinstance(first, Coded) else first)


@dataclass(frozen=True)
class Number:
    """A numeric feature: `(value - mean) / scale` in column `at`; `fill` replaces missing values.

    Attributes:
        fill: None leaves missing values as NaN, for models that support them.
        indicator: (column, its value for a known number, its value for a missing one), or None.
    """

    name: str
    at: int
    fill: float | None = None
    mean: float = 0.0
    scale: float = 1.0
    indicator: tuple[int, float, float] | None = None


@dataclass(frozen=True)
class Category:
    """A categorical feature: the columns `at` are set to the choice's line of `table`.

    Attributes:
        choices: may include None, if missing values have a line of their own.
        table: a line for each of `choices`, and a last one for any other value, including missing
            ones without a line of their own; None means NaN.
    """

    name: str
    at: list[int]
    choices: list[str | None]
    table: list[list[float | None]]


class Encoding:
    """All features' tables, and arrays precomputed from them.

    Args:
        width: number of columns of the matrix.
    """

    def __init__(self, width: int, numbers: Sequence[Number], categories: Sequence[Category]):
        self.width, self.numbers, self.categories = width, numbers, categories
        self._names = [number.name for number in numbers]
        self._at = np.array([number.at for number in numbers], dtype=np.intp)
        self._fill = _row(n.fill for n in numbers)
        self._mean, self._scale = _row(n.mean for n in numbers), _row(n.scale for n in numbers)
        self.plain = all(n.fill is None and n.mean == 0 and n.scale == 1 for n in numbers)
        marked = [(i, *n.indicator) for i, n in enumerate(numbers) if n.indicator]
        self._marked = np.array([i for i, *_ in marked], dtype=np.intp)
        self._marked_at = np.array([at for _, at, *_ in marked], dtype=np.intp)
        self._known, self._gap = _row(k for *_, k, _ in marked), _row(g for *_, g in marked)
        self._tables = [
            (c.name, np.array(c.at, dtype=np.intp), _places(c), np.array(c.table, dtype=np.float64))
            for c in categories
        ]

    def matrix(self, columns: Columns) -> Floats:
        """Encode rows, a feature at a time: shape (n_rows, width)."""
        values = np.empty((count_rows(columns), len(self._names)))
        for i, name in enumerate(self._names):
            values[:, i] = np.asarray(columns[name], dtype=np.float64)
        lines = []
        for name, _, places, _ in self._tables:
            found = columns[name]
            choices: Any = found.choices if isinstance(found, Coded) else found
            line = [places.get(choice, len(places)) for choice in choices]
            if isinstance(found, Coded):
                line = np.array([*line, places.get(None, len(places))])[found.codes]
            lines.append(line)
        return self._encoded(values, lines)

    def _encoded(self, values: Floats, lines: Iterable[Any]) -> Floats:
        """Fill the matrix: numbers filled and scaled, categories by their lines in the tables."""
        matrix = np.empty((len(values), self.width))
        if self.plain:
            matrix[:, self._at] = values
        else:
            gaps = np.isnan(values)
            filled = np.where(gaps, self._fill, values)
            matrix[:, self._at] = (filled - self._mean) / self._scale
            matrix[:, self._marked_at] = np.where(gaps[:, self._marked], self._gap, self._known)
        for (_, at, _, table), line in zip(self._tables, lines, strict=True):
            matrix[:, at] = table[line]
        return matrix

    def as_json(self) -> dict[str, Any]:
        """Return the tables as JSON-serializable values."""
        return {
            "width": self.width,
            "numbers": [asdict(number) for number in self.numbers],
            "categories": [asdict(category) for category in self.categories],
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Encoding":
        """Create from the result of `as_json`."""
        return cls(
            content["width"],
            [Number(**number) for number in content["numbers"]],
            [Category(**category) for category in content["categories"]],
        )


def listed(values: NDArray[Any] | Coded | Sequence[Any]) -> Sequence[Any]:
    """Return the values of a column one by one; a missing number may be NaN or None."""
    plain = values.texts() if isinstance(values, Coded) else values
    return plain.tolist() if isinstance(plain, np.ndarray) else plain


def _row(values: Any) -> Floats:
    return np.array(list(values), dtype=np.float64)


def _places(category: Category) -> dict[str | None, int]:
    return {choice: place for place, choice in enumerate(category.choices)}
