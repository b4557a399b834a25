"""Find added rows that are copies of others under a new key."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from mlops.columns import Schema
from mlops.review.column_pairs import KeyPairs, Rows, Values

_MIX = np.uint64(0x100000001B3)
_MISSING = np.uint64(0xA5A5A5A5A5A5A5A5)
_MOST = 0.95


class RowHashes:
    """A hash of each row over the columns that were added so far."""

    def __init__(self, n_rows: int) -> None:
        self.hashes = np.full(n_rows, 0xCBF29CE484222325, dtype=np.uint64)

    def add(self, values: Values) -> None:
        """Add a column to the hashes."""
        if values.kind == "text":
            labels = pd.util.hash_array(values.labels)
            mixed = np.append(labels, _MISSING)[values.data]
        elif values.kind == "time":
            mixed = values.data.astype(np.int64).view(np.uint64)
        else:
            mixed = (values.data.astype(np.float64) + 0.0).view(np.uint64)  # -0.0 is 0.0
            mixed = np.where(values.missing, _MISSING, mixed)
        with np.errstate(over="ignore"):
            self.hashes = (self.hashes ^ mixed ^ (mixed >> np.uint64(29))) * _MIX
            self.hashes ^= self.hashes >> np.uint64(32)


def repeated_rows(
    hashes: RowHashes, pairs: KeyPairs, times: Callable[[], Values | None], schema: Schema
) -> Iterator[dict[str, Any]]:
    """Yield a guess if rows, or a whole partition of them, were added twice."""
    added, kept = hashes.hashes.take(pairs.added), hashes.hashes.take(pairs.new)
    repeats_kept = np.isin(added, kept)
    first = ~pd.Series(added).duplicated().to_numpy()
    repeated = repeats_kept | ~first
    n_rows = int(repeated.sum())
    if not n_rows:
        return
    text = f"added rows repeat others in all but {schema.key.name}"
    values = times()
    if values is not None and repeats_kept.any():
        text += _period(values, pairs, pairs.added[repeats_kept])
    yield {"columns": [schema.key.name], "rows": n_rows, "text": text}


def _period(times: Values, pairs: KeyPairs, repeated: Rows) -> str:
    """Describe the period of the repeated rows if nearly all rows in it are repeated."""
    days = times.data.astype("datetime64[D]")
    first, last = days[repeated].min(), days[repeated].max()
    kept = days.take(pairs.new)
    n_there = int(((kept >= first) & (kept <= last)).sum())
    whole = len(repeated) >= _MOST * n_there and first != last
    return f": all of {first} to {last}, a partition given twice?" if whole else ""
