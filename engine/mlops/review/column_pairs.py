"""Read one column of two tables in a comparable form, and match the rows of equal keys."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

Rows = NDArray[np.int64]

_DENSE = 8
"""Keys whose range is at most this many times their number use an array for lookups, not a hash."""


@dataclass(frozen=True)
class Values:
    """A column's values.

    Attributes:
        data: numbers, datetime64[us], or for texts indices into `labels`; a missing value is NaN,
            NaT or -1.
        labels: the distinct texts of both tables.
    """

    kind: Literal["number", "time", "text"]
    data: NDArray[Any]
    labels: NDArray[np.object_]

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Mark the missing values."""
        if self.kind == "text":
            return self.data == -1
        return np.isnat(self.data) if self.kind == "time" else np.isnan(self.data)

    def take(self, rows: Rows) -> "Values":
        """Return the values of some rows."""
        return Values(self.kind, self.data.take(rows), self.labels)

    def shown(self, rows: Rows) -> list[Any]:
        """Return the values of a few rows as JSON types."""
        taken, gaps = self.data.take(rows), self.missing.take(rows)
        if self.kind == "text":
            taken = self.labels.take(taken)
        plain = np.datetime_as_string(taken, unit="s") if self.kind == "time" else taken.tolist()
        return [
            None if gap else str(value).removesuffix("T00:00:00") if self.kind == "time" else value
            for value, gap in zip(plain, gaps, strict=True)
        ]


def read_pair(name: str, base: Path, candidate: Path) -> tuple[Values, Values]:
    """Read a column of two Parquet files; no values for a file without it."""
    return pair_of(_read(base, name), _read(candidate, name))


def pair_of(old: pa.ChunkedArray, new: pa.ChunkedArray) -> tuple[Values, Values]:
    """Convert two columns to one type; a number column and a text column are compared as texts."""
    sides = [side for side in (old, new) if not pa.types.is_null(side.type)]
    types = [side.type for side in sides]
    if types and all(map(_is_number, types)):
        exact = all(pa.types.is_integer(side.type) and not side.null_count for side in sides)
        wanted, kind = pa.int64() if exact else pa.float64(), "number"
    elif types and all(map(_is_time, types)):
        wanted, kind = pa.timestamp("us"), "time"
    else:
        return _texts(old, new)
    nothing = np.array([], dtype=object)
    first, second = (
        Values(kind, side.cast(wanted).to_numpy(), nothing)  # type: ignore[arg-type]
        for side in (old, new)
    )
    return first, second


def _texts(old: pa.ChunkedArray, new: pa.ChunkedArray) -> tuple[Values, Values]:
    chunks = [*old.cast(pa.large_string()).chunks, *new.cast(pa.large_string()).chunks]
    coded = pa.chunked_array(chunks, pa.large_string()).dictionary_encode().combine_chunks()
    if isinstance(coded, pa.ChunkedArray):  # there are no chunks
        coded = pa.array([], pa.large_string()).dictionary_encode()
    codes = coded.indices.fill_null(-1).to_numpy()
    labels = coded.dictionary.to_numpy(zero_copy_only=False)
    return (
        Values("text", codes[: len(old)], labels),
        Values("text", codes[len(old) :], labels),
    )


def _read(path: Path, name: str) -> pa.ChunkedArray:
    if name not in pq.read_schema(path).names:
        return pa.chunked_array([], pa.null())
    return pq.read_table(path, columns=[name], partitioning=None)[name]


def _is_number(kind: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
    return any(test(kind) for test in tests)


def _is_time(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind) or pa.types.is_date(kind)


@dataclass(frozen=True)
class KeyPairs:
    """Row indices: `old` and `new` for rows that both tables have, in the new one's order."""

    old: Rows
    new: Rows
    added: Rows
    removed: Rows
    aligned: bool

    def kept(self, old: Values, new: Values) -> tuple[Values, Values]:
        """Return both values of each row that both tables have."""
        return (old, new) if self.aligned else (old.take(self.old), new.take(self.new))


def pair_keys(old: Values, new: Values) -> KeyPairs:
    """Match the rows of equal keys."""
    if np.array_equal(old.data, new.data):
        all_rows, none = np.arange(len(new.data)), np.array([], dtype=np.int64)
        return KeyPairs(all_rows, all_rows, none, none, aligned=True)
    places = _places(old.data, new.data)
    kept = np.flatnonzero(places >= 0)
    seen = np.zeros(len(old.data), dtype=bool)
    seen[places[kept]] = True
    added, removed = np.flatnonzero(places < 0), np.flatnonzero(~seen)
    return KeyPairs(places[kept], kept, added, removed, aligned=False)


def _places(old: NDArray[Any], new: NDArray[Any]) -> Rows:
    """Return the index of each new key among the old ones, or -1."""
    if old.dtype.kind == "i" and len(old) and len(new):
        low, high = min(old.min(), new.min()), max(old.max(), new.max())
        if int(high) - int(low) < _DENSE * (len(old) + len(new)):
            table = np.full(int(high) - int(low) + 1, -1, dtype=np.int64)
            table[old - low] = np.arange(len(old))
            return table[new - low]
    found = pc.index_in(pa.array(new), value_set=pa.array(old))
    return found.fill_null(-1).to_numpy().astype(np.int64)
