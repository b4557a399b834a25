"""Read a folder of CSV or Parquet partitions, local or remote; reject incomplete ones."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
from tqdm import tqdm

from mlops.columns import Schema, Table
from mlops.errors import UserError
from mlops.files import unpack
from mlops.pipeline.csv_parsing import parse_csv
from mlops.pipeline.export_parsing import parse_export
from mlops.pipeline.parquet_parsing import parse_parquet
from mlops.pipeline.parsing import FILE, LINE, arrow_type
from mlops.pipeline.source_folder import Partition, SourceFolder, source_errors

_LACKING = b"lacking"

MOST_BYTES = 4_000_000_000  # of a partition after decompression

PARSERS: dict[str, Callable[[bytes, Table], tuple[pa.Table | None, list[str]]]] = {
    ".csv": parse_csv,
    ".csv.gz": parse_csv,
    ".parquet": parse_parquet,
    ".pq": parse_parquet,
}


def read_partitions(source: str, schema: Schema, without: str = "") -> pa.Table:
    """Read all partitions of `source` into one table, with FILE and LINE beside the columns.

    If a partition lacks an optional column, its rows have missing values there: see `lacking`.
    A file in the form of the adopted one is read in that form.

    Args:
        without: the name of a partition to skip.

    Raises:
        UserError: the source can't be reached, has no partition, a partition is faulty (every
            fault of every partition is named), or partitions kept changing while they were read.
    """
    with source_errors(source):
        folder = SourceFolder(source, [*PARSERS], without)
        before = folder.still_partitions()
        if not before:
            raise UserError(
                f"ingest.source {source}: no partition found, wanted *.csv or *.parquet"
            )
        tables: list[pa.Table] = []
        problems: list[str] = []
        lacks: dict[str, list[str]] = {}
        for partition in tqdm(before, desc="ingest", unit="partition", disable=None):
            table, found = _read(folder.filesystem, partition, schema)
            problems += [f"{partition.name}: {problem}" for problem in found]
            if table is None:
                continue
            for name in schema.names:
                if name not in table.column_names:
                    lacks.setdefault(name, []).append(partition.name)
            tables.append(_with_all(table, schema))
        after = folder.partitions()
        folder.print_unread(before)
    if after != before:
        changed = sorted({partition.name for partition in set(before) ^ set(after)})
        raise UserError(
            f"ingest.source {source}: {', '.join(changed)} changed while being read",
            advice="Ingestion stopped. Run again when the writer has finished; writers should "
            "write under another ending and rename.",
        )
    if problems:
        raise UserError(
            f"ingest.source {source}: {len(problems)} problem(s) in its partitions",
            problems,
            "Ingestion stopped. Fix these files or remove them from the folder.",
        )
    read = pa.concat_tables(
        table.append_column(FILE, pa.repeat(partition.name, len(table)).dictionary_encode())
        for partition, table in zip(before, tables, strict=True)
    )
    return read.replace_schema_metadata({_LACKING: json.dumps(lacks)})


def lacking(table: pa.Table) -> dict[str, list[str]]:
    """Return the columns that partitions of a newly read table lack: name -> partitions."""
    found: dict[str, list[str]] = json.loads(table.schema.metadata[_LACKING])
    return found


def _with_all(table: pa.Table, schema: Schema) -> pa.Table:
    """Return a table with all columns of the schema, in its order, and LINE."""
    for column in schema.columns:
        if column.name not in table.column_names:
            empty = pa.nulls(len(table), arrow_type(column))
            table = table.append_column(column.name, empty)
    return table.select([*schema.names, LINE])


def _read(
    filesystem: Any, partition: Partition, schema: Schema
) -> tuple[pa.Table | None, list[str]]:
    if not partition.plain:
        return None, ["is a link or no file, wanted a plain file"]
    try:
        content = filesystem.cat_file(partition.path)
        if partition.path.lower().endswith(".gz"):
            content = unpack(content, MOST_BYTES)
    except Exception as error:  # each storage has its own
        return None, [f"can't be read: {type(error).__name__}: {error}"]
    ending = next(ending for ending in PARSERS if partition.path.lower().endswith(ending))
    table, problems = PARSERS[ending](content, schema)
    if table is None and (export := parse_export(content, partition.path, schema)):
        return export
    if table is not None:
        first = 2 if ".csv" in ending else 1  # below the header
        table = table.append_column(LINE, pa.array(range(first, len(table) + first), pa.int64()))
    return table, problems


def places(files: Any, lines: Any) -> Iterator[str]:
    """Yield the places of rows, as '2009-q4.csv line 8' or '2009-q4.parquet row 8'."""
    for file, line in zip(files, lines, strict=True):
        yield f"{file} {'line' if file.lower().endswith(('.csv', '.csv.gz')) else 'row'} {line}"
