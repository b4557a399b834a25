"""Read a folder of CSV or Parquet partitions, local or remote, each of them whole."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import fsspec
import pyarrow as pa
from tqdm import tqdm

from mlops.columns import Schema
from mlops.errors import BadInput
from mlops.pipeline.parsing import parse_csv, parse_parquet

FILE, LINE = "__file__", "__line__"
"""Columns that tell where a row stands, for messages; no column of a schema is named so."""

STILL_SECONDS = 1.0
WAIT_SECONDS = 30.0

_PARSERS: dict[str, Callable[[bytes, Schema], tuple[pa.Table | None, list[str]]]] = {
    ".csv": parse_csv,
    ".parquet": parse_parquet,
}


@dataclass(frozen=True)
class Partition:
    """A file of the source, and what of its state tells that it was written again."""

    path: str
    state: tuple[Any, ...]
    modified: float | None

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]


def read_partitions(source: str, schema: Schema) -> pa.Table:
    """Read all partitions of `source` into one table, with FILE and LINE beside the columns.

    Raises:
        BadInput: the source can't be reached, has no partition, a partition is faulty (every
            fault of every partition is named), or partitions kept changing while they were read.
    """
    with _access(source):
        filesystem, folder = fsspec.core.url_to_fs(source)
        before = _wait_until_still(filesystem, folder)
        if not before:
            raise BadInput(f"ingest.source {source}: no partition found, wanted *.csv or *.parquet")
        tables: list[pa.Table] = []
        problems: list[str] = []
        for partition in tqdm(before, desc="ingest", unit="partition", disable=None):
            table, found = _read(filesystem, partition, schema)
            problems += [f"{partition.name}: {problem}" for problem in found]
            if table is not None:
                tables.append(table)
        after = _list(filesystem, folder)
    if after != before:
        changed = sorted({partition.name for partition in set(before) ^ set(after)})
        raise BadInput(
            f"ingest.source {source}: {', '.join(changed)} changed while being read",
            advice="Nothing was taken in. Run again when the writer has finished; writers should "
            "write under another ending and rename.",
        )
    if problems:
        raise BadInput(
            f"ingest.source {source}: {len(problems)} problem(s) in its partitions",
            problems,
            "Nothing was taken in. Mend these files or take them out of the folder.",
        )
    return pa.concat_tables(
        table.append_column(FILE, pa.repeat(partition.name, len(table)).dictionary_encode())
        for partition, table in zip(before, tables, strict=True)
    )


class _access:  # noqa: N801 - reads as a verb where it is used
    """Turn whatever a storage library raises into a message about the source."""

    def __init__(self, source: str) -> None:
        self.source = source

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, ImportError):
            scheme = self.source.split("://", 1)[0]
            raise BadInput(
                f"ingest.source {self.source}: the library for {scheme}:// is not installed",
                advice=f"Install it: pip install '.[{scheme}]' ({error})",
            ) from error
        if isinstance(error, Exception) and not isinstance(error, BadInput):
            raise BadInput(
                f"ingest.source {self.source}: can't be read: {type(error).__name__}: {error}",
                advice="Nothing was taken in. Check the address, the network and the credentials.",
            ) from error


def _list(filesystem: Any, folder: str) -> list[Partition]:
    """List the partitions by name; hidden files and those with another ending are no partitions."""
    filesystem.invalidate_cache()
    found = []
    for entry in filesystem.ls(folder, detail=True):
        path = entry["name"]
        if path.endswith(tuple(_PARSERS)) and not path.rsplit("/", 1)[-1].startswith((".", "_")):
            info = filesystem.info(path)
            marks = ("size", "mtime", "ETag", "LastModified", "last_modified", "updated")
            state = tuple(str(info.get(mark)) for mark in marks)
            found.append(Partition(path, state, info.get("mtime")))
    return sorted(found, key=lambda partition: partition.path)


def _wait_until_still(filesystem: Any, folder: str) -> list[Partition]:
    """List the partitions once no local file was written to within the last second.

    A file that is still being written may end at a line's end and then looks whole. Object
    stores show an object only when it is whole, so only local files are waited for.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        partitions = _list(filesystem, folder)
        newest = max((p.modified for p in partitions if p.modified is not None), default=0.0)
        # A clock set back gives times in the future: such a file counts as still.
        if not 0 <= time.time() - newest < STILL_SECONDS or time.monotonic() > deadline:
            return partitions
        time.sleep(STILL_SECONDS / 5)


def _read(
    filesystem: Any, partition: Partition, schema: Schema
) -> tuple[pa.Table | None, list[str]]:
    content = filesystem.cat_file(partition.path)
    ending = next(ending for ending in _PARSERS if partition.path.endswith(ending))
    table, problems = _PARSERS[ending](content, schema)
    if table is not None:
        table = table.append_column(LINE, pa.array(range(2, len(table) + 2), pa.int64()))
    return table, problems


def places(files: Any, lines: Any) -> Iterator[str]:
    """Write where rows stand, as '2009-q4.csv line 8'."""
    for file, line in zip(files, lines, strict=True):
        yield f"{file} line {line}"
