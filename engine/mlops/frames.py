"""Frames of rows on disk: Parquet, the same bytes for the same rows."""

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mlops.columns import Schema
from mlops.derived import derive
from mlops.files import atomic_write

_NOTES = b"notes"

GROUP_ROWS = 250_000
"""Rows per row group, the unit that a stage reads where it needs no whole frame."""


def read_rows(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a Parquet file that a stage wrote, or only some of its columns."""
    return as_frame(pq.read_table(path, columns=columns, partitioning=None))


def read_group(path: Path, group: int, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a row group of a Parquet file on this thread; the index is the position in the file."""
    with pq.ParquetFile(path) as file:
        rows = as_frame(file.read_row_group(group, columns, use_threads=False))
    start = group_starts(path)[group]
    return rows.set_axis(pd.RangeIndex(start, start + len(rows)))


def read_groups(path: Path, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
    """Read a Parquet file a row group at a time."""
    for group in range(len(group_starts(path))):
        yield read_group(path, group, columns)


def group_starts(path: Path) -> list[int]:
    """Return the position of each row group's first row, from the metadata alone."""
    metadata = pq.read_metadata(path)
    sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    return [0, *itertools.accumulate(sizes[:-1])]


def count_rows(path: Path) -> int:
    """Count the rows of a Parquet file without reading them."""
    return int(pq.read_metadata(path).num_rows)


def read_notes(path: Path) -> list[str]:
    """Return the notes that a stage wrote with its rows."""
    found = (pq.read_schema(path).metadata or {}).get(_NOTES, b"[]")
    notes: list[str] = json.loads(found)
    return notes


def as_frame(table: pa.Table) -> pd.DataFrame:
    """Convert a table to a frame and destroy it, so that both are never whole in memory."""
    return table.to_pandas(split_blocks=True, self_destruct=True)


def with_derived(rows: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Add the derived features to rows that have the schema's inputs.

    Raises:
        UserError: a feature's function fails.
    """
    if not schema.derived:
        return rows
    given = {column.name: rows[column.name].to_numpy() for column in schema.needed_inputs}
    return rows.assign(**derive(given, schema))


def write_rows(path: Path, rows: pd.DataFrame, notes: Sequence[str] = ()) -> None:
    """Write rows and notes as Parquet, atomically and without any other metadata."""
    table = pa.Table.from_pandas(rows, preserve_index=False)
    said = {_NOTES: json.dumps(list(notes))} if notes else None
    with atomic_write(path) as temporary:
        # pandas' own metadata contains its version, which would change the bytes of equal rows.
        pq.write_table(
            table.replace_schema_metadata(said),
            temporary,
            compression="zstd",
            row_group_size=GROUP_ROWS,
        )
