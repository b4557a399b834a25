"""What the tests of ingestion share: rows, partitions of them, parameters, a slow writer."""

import datetime
import io
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from mlops.columns import Column, Schema
from mlops.params import PARAMS_FILE
from mlops.sampling import valid_rows
from paths import ROOT
from project.schema import SCHEMA

SALES = Schema(
    columns=(
        Column("id", "Number of the sale", int, low=1, role="key"),
        Column("day", "Day of the sale", datetime.date, role="time"),
        Column("size", "Living area", float, "square feet", 10, 6000, nullable=True),
        Column("kind", "Kind of house", str, choices=("house", "flat"), nullable=True),
        Column("price", "Price paid", float, "US dollars", 1, role="target"),
    )
)
"""A small table of columns, so that a test can show whole files and whole messages."""

HEADER = "id,day,size,kind,price\n"

KEY, TARGET = SCHEMA.key.name, SCHEMA.target.name
TIME = SCHEMA.time.name if SCHEMA.time else KEY

SETTLED = 60.0
"""Age in seconds that partitions get, so that no test waits for them to be still."""


def sales(*lines: str) -> str:
    """Write lines under the header of SALES."""
    return HEADER + "".join(f"{line}\n" for line in lines)


def put(path: Path, content: str | bytes, age: float = SETTLED) -> Path:
    """Write a partition that was last written to `age` seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    then = time.time() - age
    os.utime(path, (then, then))
    return path


def csv_bytes(rows: pd.DataFrame, line_end: str = "\n") -> bytes:
    """Write rows as the demo's partitions are written."""
    return rows.to_csv(index=False, date_format="%Y-%m-%d", lineterminator=line_end).encode()


def parquet_bytes(rows: pd.DataFrame | pa.Table) -> bytes:
    """Write rows as a Parquet file."""
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pandas(rows, preserve_index=False)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def shipped_rows(n_rows: int, seed: int = 0) -> tuple[pd.DataFrame, str]:
    """Make up rows of the repository's own schema, oldest first, and name the newest one's day."""
    rows = valid_rows(SCHEMA, n_rows, seed).sort_values([TIME, KEY], ignore_index=True)
    return rows, str(rows[TIME].max().date())


def put_params(folder: Path, source: str, until: str, max_gap_days: int = 45) -> None:
    """Write the shipped params.yaml with another source into `folder`."""
    params = yaml.safe_load((ROOT / PARAMS_FILE).read_text(encoding="utf-8"))
    params["ingest"] = {"source": source, "until": until, "max_gap_days": max_gap_days}
    (folder / PARAMS_FILE).write_text(yaml.safe_dump(params), encoding="utf-8")


@contextmanager
def slow_writer(path: Path, parts: Sequence[str], pause: float) -> Iterator[None]:
    """Write `parts` to `path` from a thread, each a pause after the other; begin with the first."""
    begun = threading.Event()

    def write() -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            for part in parts:
                file.write(part)
                file.flush()
                begun.set()
                time.sleep(pause)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert begun.wait(10)
        yield
    finally:
        thread.join()


def plain(rows: Any) -> list[tuple[Any, ...]]:
    """Give a frame's or a table's rows as tuples, None for what is missing."""
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pandas(rows, preserve_index=False)
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))
