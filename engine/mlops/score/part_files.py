"""Part files of a long scoring run: complete ones only, and only of this run's input and model."""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from joblib import Parallel, cpu_count, delayed
from tqdm import tqdm

from mlops.errors import LISTED, UserError
from mlops.files import atomic_write, write_json
from mlops.inference.loaded_model import Served
from mlops.score.rows import PROBLEMS, columns, layout, score_rows

BATCH_ROWS = 131_072  # in memory at once, per core
PART_ROWS = 1_000_000  # a part ends with the row group that reaches this number

_ORIGIN = "origin.json"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Lock a folder against other runs; the kernel releases it when this process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"{folder}: another run is using it; wait until it ends") from error
        yield
    finally:
        os.close(handle)


def drop_parts_of_others(folder: Path, origin: dict[str, str]) -> None:
    """Empty the folder unless its parts come from this input and this model."""
    record = folder / _ORIGIN
    earlier = json.loads(record.read_text(encoding="utf-8")) if record.exists() else None
    if earlier and earlier != origin:
        print(f"score: restarted: the parts in {folder} belong to another input or model")
    if earlier != origin:
        for part in folder.iterdir():
            part.unlink()
        write_json(record, origin)


def score_parts(file: Any, folder: Path, served: Served) -> list[Path]:
    """Score the missing parts one by one, each part's batches on all cores."""
    done, names = list[Path](), [column.name for column in columns(served.schema)]
    workers = Parallel(cpu_count(), backend="threading", return_as="generator")
    total = file.metadata.num_rows
    with tqdm(total=total, desc="score", unit="rows", unit_scale=True, disable=None) as bar:
        for groups in _cut(file.metadata):
            path = folder / f"{groups[0]}.parquet"
            if not path.exists():
                given = read_tables(file, names, groups)
                scored = workers(delayed(score_rows)(rows, served) for rows in given)
                write(path, layout(served), scored)
            bar.update(sum(file.metadata.row_group(group).num_rows for group in groups))
            done.append(path)
    return done


def _cut(metadata: Any) -> list[list[int]]:
    """Group row groups into parts, in order."""
    cut, rows = list[list[int]](), PART_ROWS
    for group in range(metadata.num_row_groups):
        if rows >= PART_ROWS:
            cut.append([])
            rows = 0
        cut[-1].append(group)
        rows += metadata.row_group(group).num_rows
    return cut


def read_tables(
    file: Any, columns: list[str] | None = None, groups: list[int] | None = None
) -> Iterator[pa.Table]:
    """Read a Parquet file, or some of its columns and row groups, BATCH_ROWS at a time.

    Raises:
        UserError: the file is damaged.
    """
    try:
        for batch in file.iter_batches(BATCH_ROWS, row_groups=groups, columns=columns):
            yield pa.Table.from_batches([batch])
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"the Parquet file is damaged: {error}") from error


def read_all(parts: list[Path]) -> Iterator[pa.Table]:
    """Read the parts in order."""
    for part in parts:
        yield from read_tables(pq.ParquetFile(part))


def failing(parts: list[Path], key: str) -> tuple[int, list[str]]:
    """Count the invalid rows, and describe the first ones."""
    failing, examples = 0, list[str]()
    for rows in read_all(parts):
        failed = rows.filter(rows[PROBLEMS].is_valid())
        failing += len(failed)
        lines = failed.slice(0, LISTED - len(examples)).to_pylist()
        examples += [f"{key} {line[key]}: {line[PROBLEMS]}" for line in lines]
    return failing, examples


def write(path: Path, layout: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Write a stream of tables into one Parquet file, atomically."""
    with (
        atomic_write(path) as temporary,
        pq.ParquetWriter(temporary, layout, compression="zstd") as writer,
    ):
        for rows in tables:
            writer.write_table(rows)
