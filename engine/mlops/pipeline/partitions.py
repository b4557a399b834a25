"""Read a folder of CSV or Parquet partitions, local or remote; reject incomplete ones."""

import datetime
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import fsspec
import pyarrow as pa
from tqdm import tqdm

from mlops.columns import Schema, Table
from mlops.errors import UserError
from mlops.files import unpack
from mlops.pipeline.csv_parsing import parse_csv
from mlops.pipeline.export_parsing import parse_export
from mlops.pipeline.parquet_parsing import parse_parquet
from mlops.pipeline.parsing import FILE, LINE, arrow_type

_LACKING = b"lacking"

STILL_SECONDS = 1.0
WAIT_SECONDS = 30.0

_EXTRAS = {"gcs": "gs", "az": "azure", "abfs": "azure", "abfss": "azure", "sftp": "ssh"}
"""Extras of pyproject.toml whose name differs from the scheme of their library."""

_GITS = {".gitignore", ".gitkeep", ".gitattributes"}

_MARKS = (
    # File attributes of storages that change when a file is written to or replaced.
    *("size", "mtime", "created", "ino", "ETag", "etag", "Last-Modified", "LastModified"),
    *("last_modified", "updated", "generation"),
)

MOST_BYTES = 4_000_000_000  # of a partition after decompression

PARSERS: dict[str, Callable[[bytes, Table], tuple[pa.Table | None, list[str]]]] = {
    ".csv": parse_csv,
    ".csv.gz": parse_csv,
    ".parquet": parse_parquet,
    ".pq": parse_parquet,
}


@dataclass(frozen=True)
class Partition:
    """A file of the source, and the attributes that change when it is written again.

    `modified`, in seconds since 1970, is None if the storage has no such time. A file that is not
    `plain` is a link or a device: reading it could expose another file, or never end.
    """

    path: str
    state: tuple[str, ...]
    modified: float | None
    plain: bool = True

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]


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
    with _access(source):
        filesystem, folder = fsspec.core.url_to_fs(source)
        before = _wait_until_still(filesystem, folder, source, without)
        if not before:
            raise UserError(
                f"ingest.source {source}: no partition found, wanted *.csv or *.parquet"
            )
        tables: list[pa.Table] = []
        problems: list[str] = []
        lacks: dict[str, list[str]] = {}
        for partition in tqdm(before, desc="ingest", unit="partition", disable=None):
            table, found = _read(filesystem, partition, schema)
            problems += [f"{partition.name}: {problem}" for problem in found]
            if table is None:
                continue
            for name in schema.names:
                if name not in table.column_names:
                    lacks.setdefault(name, []).append(partition.name)
            tables.append(_with_all(table, schema))
        after = _list(filesystem, folder, without)
        _tell_unread(filesystem, folder, before)
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


class _access:  # noqa: N801 - reads as a verb where it is used
    """Convert any error of a storage library to a message about the source."""

    def __init__(self, source: str) -> None:
        self.source = source

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, ImportError):
            scheme = self.source.split("://", 1)[0]
            raise UserError(
                f"ingest.source {self.source}: the library for {scheme}:// is not installed",
                advice=f"Install it: pip install '.[{_EXTRAS.get(scheme, scheme)}]' ({error})",
            ) from error
        if isinstance(error, Exception) and not isinstance(error, UserError):
            raise UserError(
                f"ingest.source {self.source}: can't be read: {type(error).__name__}: {error}",
                advice="Ingestion stopped. Check the address, the network and the credentials.",
            ) from error


def _list(filesystem: Any, folder: str, without: str = "") -> list[Partition]:
    """List the partitions by name, without hidden files and files with other endings."""
    filesystem.invalidate_cache()
    found = []
    for entry in filesystem.ls(folder, detail=True):
        path = entry["name"]
        if _name(path) == without:
            continue
        if path.lower().endswith(tuple(PARSERS)) and not _name(path).startswith((".", "_")):
            info = filesystem.info(path)
            state = tuple(str(info.get(mark)) for mark in _MARKS)
            plain = not info.get("islink") and info.get("type") in ("file", "directory")
            found.append(Partition(path, state, _modified(info), plain))
    return sorted(found, key=lambda partition: partition.path)


def _name(path: str) -> str:
    return path.rstrip("/").rsplit("/", 1)[-1]


def _tell_unread(filesystem: Any, folder: str, read: list[Partition]) -> None:
    """Print the files that are not read, because a user may think that they are partitions."""
    taken = {partition.path for partition in read} | {folder.rstrip("/")}
    paths = {entry["name"].rstrip("/") for entry in filesystem.ls(folder, detail=True)} - taken
    if names := sorted({_name(path) for path in paths} - _GITS):
        wanted = ", ".join(f"*{ending}" for ending in PARSERS)
        print(f"ingest: not read: {', '.join(names)} (wanted {wanted}; not beginning with . or _)")


def _modified(info: dict[str, Any]) -> float | None:
    """Return when a file was written to, from a number, a datetime or HTTP's text."""
    value = info.get("mtime", info.get("Last-Modified"))
    if isinstance(value, str):
        value = parsedate_to_datetime(value)
    if isinstance(value, datetime.datetime):
        value = value.timestamp()
    # A time in whole seconds may be almost one second too early.
    return value + 1 if value is not None and value % 1 == 0 else value


def _wait_until_still(filesystem: Any, folder: str, source: str, without: str) -> list[Partition]:
    """Return the partitions once none was written to within the last second.

    A file that is still being written may end at a line's end and then look complete. Object
    stores show an object only when it is complete; most give no time, and none is needed.

    Raises:
        UserError: some are still being written to after WAIT_SECONDS.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    earlier = None
    while True:
        partitions, now = _list(filesystem, folder, without), time.time()
        fresh = [p.name for p in partitions if p.modified and now - p.modified < STILL_SECONDS]
        # If clocks differ, a file may seem new for hours: then it must not change for a second.
        if not fresh or partitions == earlier:
            return partitions
        if time.monotonic() > deadline:
            raise UserError(
                f"ingest.source {source}: {', '.join(fresh)} still being written to",
                advice=f"Ingestion stopped after {WAIT_SECONDS:g} seconds. Run again when the "
                "writer has finished.",
            )
        earlier = partitions
        time.sleep(STILL_SECONDS)


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
