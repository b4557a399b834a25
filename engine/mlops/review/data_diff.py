"""Differences between the contents of two tables: rows by key, cells by column.

Reads one column at a time, so memory is that of a few columns, however wide the table is.
`engine/benchmarks/data_diff.py` measures time and memory.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from mlops.columns import Column, Schema
from mlops.review.changed_values import Changed, changed_values, examples, tolerance_of
from mlops.review.column_guesses import added_guesses, column_guesses, renamed
from mlops.review.column_pairs import KeyPairs, Values, pair_keys, read_pair
from mlops.review.distributions import distributions
from mlops.review.repeated_rows import RowHashes, repeated_rows
from mlops.review.value_guesses import value_guesses

EXAMPLES = 3
"""Number of changed cells shown per column, and of keys shown of added and of removed rows."""

_SAMPLED = 10_000

Told = dict[str, Any]


@dataclass
class _Tables:
    """Two tables, and the state of their comparison column by column."""

    base: Path
    candidate: Path
    schema: Schema
    pairs: KeyPairs
    keys: tuple[Values, Values]
    changed: list[Changed] = field(default_factory=list)
    hashes: RowHashes | None = None

    def kept_keys(self, rows: Any) -> list[Any]:
        """Return the keys of a few of the rows that both tables have."""
        return self.keys[1].shown(self.pairs.new.take(rows))


def data_diff(
    base: Path, candidate: Path, schema: Schema, tolerances: Mapping[str, float], *, shown: bool
) -> Told:
    """Compare two Parquet files of the same schema, or of two versions of it.

    Args:
        schema: the candidate's.
        tolerances: column -> largest relative difference of values that count as equal.
        shown: include example keys and values of rows.

    Returns:
        Plain data, as in verdict.json.
    """
    keys = read_pair(schema.key.name, base, candidate)
    pairs = pair_keys(*keys)
    tables = _Tables(base, candidate, schema, pairs, keys)
    if len(pairs.added):
        tables.hashes = RowHashes(len(keys[1].data))
    columns = [column for column in schema.columns if column is not schema.key]
    here = set(pq.read_schema(candidate).names)
    told = [_column(tables, c, tolerances) for c in columns if c.name in here]
    found = {
        **nothing_differs(len(keys[0].data), len(keys[1].data)),
        "added": len(pairs.added),
        "added_days": _added_days(tables),
        "removed": len(pairs.removed),
        "changed": _rows_changed(tables),
        "changed_columns": {c.column.name: len(c.rows) for c in tables.changed},
        "columns": told,
        "guesses": list(_guesses(tables, told)),
    }
    found["same"] = not (found["added"] or found["removed"] or found["changed"])
    return found if not shown else found | _examples(tables)


def nothing_differs(before: int, now: int) -> Told:
    """Return a result without differences, given both tables' numbers of rows."""
    return {
        "same": True,
        "rows": [before, now],
        "added": 0,
        "added_days": None,
        "removed": 0,
        "changed": 0,
        "changed_columns": {},
        "columns": [],
        "guesses": [],
        "examples": {"added": [], "removed": [], "changed": {}},
        "schema": [],
        "quarantine": None,
    }


def _column(tables: _Tables, column: Column, tolerances: Mapping[str, float]) -> Told:
    """Compare one column, and record its changed values."""
    old, new = read_pair(column.name, tables.base, tables.candidate)
    told = {"column": column.name, **distributions(old, new), "added": None}
    if tables.hashes is not None:
        tables.hashes.add(new)
        told["added"] = added_guesses(column, new, tables.pairs)
    if len(old.data) and len(tables.pairs.new):
        kept = tables.pairs.kept(old, new)
        tolerance = tolerance_of(column, dict(tolerances))
        changed = changed_values(column, *kept, tables.pairs.old, old, tolerance)
        if len(changed.rows):
            tables.changed.append(changed)
    return told


def _rows_changed(tables: _Tables) -> int:
    marked = np.zeros(len(tables.pairs.new), dtype=bool)
    for changed in tables.changed:
        marked[changed.rows] = True
    return int(marked.sum())


def _guesses(tables: _Tables, told: list[Told]) -> Iterator[Told]:
    """Yield guesses of the changes' causes, each with its columns and number of rows."""
    for text in _renamed(tables):
        yield {"columns": [], "rows": len(tables.pairs.new), "text": text}
    between, explained = column_guesses(tables.changed)
    yield from between
    for changed in tables.changed:
        if changed.column.name not in explained:
            for text in value_guesses(changed):
                yield {"columns": [changed.column.name], "rows": len(changed.rows), "text": text}
    for column in told:
        if text := column.pop("added"):
            rows = len(tables.pairs.added)
            yield {"columns": [column["column"]], "rows": rows, "text": text}
    if tables.hashes is not None:
        yield from repeated_rows(tables.hashes, tables.pairs, _times(tables), tables.schema)


def _renamed(tables: _Tables) -> list[str]:
    """Find renamed columns: compare columns that only one side has on a sample of common rows."""
    before, now = (pq.read_schema(path).names for path in (tables.base, tables.candidate))
    gone = [name for name in before if name not in now]
    new = [name for name in now if name not in before]
    if not gone or not new:
        return []
    rows = tables.pairs.old[:_SAMPLED], tables.pairs.new[:_SAMPLED]
    sides = [(n, read_pair(n, tables.base, tables.base)[0].take(rows[0])) for n in gone]
    others = [(n, read_pair(n, tables.candidate, tables.candidate)[1].take(rows[1])) for n in new]
    return renamed(sides, others)


def _added_days(tables: _Tables) -> list[str] | None:
    """Return the first and the last day of the added rows."""
    if (times := _times(tables)()) is None or not len(tables.pairs.added):
        return None
    days = times.data.take(tables.pairs.added).astype("datetime64[D]")
    days = days[~np.isnat(days)]
    return [str(days.min()), str(days.max())] if len(days) else None


def _times(tables: _Tables) -> Callable[[], Values | None]:
    """Return a function that reads the candidate's times, or returns None without a time column."""
    time = tables.schema.time
    return lambda: read_pair(time.name, tables.base, tables.candidate)[1] if time else None


def _examples(tables: _Tables) -> Told:
    pairs = tables.pairs
    return {
        "examples": {
            "added": tables.keys[1].shown(pairs.added[:EXAMPLES]),
            "removed": tables.keys[0].shown(pairs.removed[:EXAMPLES]),
            "changed": {
                c.column.name: examples(c, tables.kept_keys(c.sample[:EXAMPLES]), EXAMPLES)
                for c in tables.changed
            },
        }
    }
