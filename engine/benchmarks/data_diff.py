"""Time and memory of the data diff on generated tables, each diff in a separate process.

python engine/benchmarks/data_diff.py [--rows 10000000]
"""

import argparse
import datetime
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench_paths import PYTHONPATH  # noqa: F401
from mlops.columns import Column, Schema
from mlops.frames import GROUP_ROWS
from mlops.review.data_diff import data_diff

_TEXTS = tuple(f"place {n}" for n in range(50))
_NUMBERS = tuple(f"number_{n}" for n in range(12))
_PLACES = tuple(f"place_{n}" for n in range(3))
_SEED = 0

SCHEMA = Schema(
    columns=(
        Column("row_id", "Key", int, role="key"),
        Column("day", "Day", datetime.date, role="time"),
        *(Column(name, "A number", float) for name in _NUMBERS),
        *(Column(name, "A place", str, choices=_TEXTS) for name in _PLACES),
        Column("price", "Target", float, role="target"),
    )
)

CHANGES = {
    "nothing": "the same rows in another order",
    "cells": "one price in a thousand, one number times 10.764 in all rows",
    "rows": "a tenth of the rows added, a tenth removed",
}


def make(path: Path, n_rows: int, change: str) -> None:
    """Write a table by row groups; the rows of a group depend only on its number and change."""
    first = n_rows // 10 if change == "rows" else 0
    groups = range(first // GROUP_ROWS, -(-(first + n_rows) // GROUP_ROWS))
    writer = None
    for group in reversed(groups) if change == "nothing" else groups:
        columns = rows_of(group, change)
        table = pa.table({name: pa.array(values) for name, values in columns.items()})
        start = max(first - group * GROUP_ROWS, 0)
        table = table.slice(start, first + n_rows - group * GROUP_ROWS - start)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
    if writer:
        writer.close()


def rows_of(group: int, change: str) -> dict[str, Any]:
    """Draw the rows of one group."""
    rng = np.random.default_rng([_SEED, group])
    ids, n = np.arange(group * GROUP_ROWS, (group + 1) * GROUP_ROWS), GROUP_ROWS
    days = np.datetime64("2020-01-01", "D") + ids // 10_000
    columns: dict[str, Any] = {"row_id": ids, "day": days.astype("datetime64[us]")}
    columns |= {name: rng.lognormal(7, 1, n).round(2) for name in _NUMBERS}
    places = np.array(_TEXTS, dtype=object)
    columns |= {name: places[rng.integers(0, len(places), n)] for name in _PLACES}
    columns["price"] = rng.lognormal(12, 1, n).round()
    if change == "cells":
        columns["price"] = np.where(ids % 1000 == 0, columns["price"] * 1.1, columns["price"])
        columns["number_3"] = columns["number_3"] * 10.764
    return columns


def measure(base: Path, candidate: Path) -> None:
    """Print the differences, the seconds and the peak memory."""
    start, worked = time.perf_counter(), time.process_time()
    found = data_diff(base, candidate, SCHEMA, {}, shown=True)
    seconds = time.perf_counter() - start
    worked = time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    counts = "/".join(f"{found[what]:,}" for what in ("added", "removed", "changed"))
    told = "; ".join(guess["text"] for guess in found["guesses"]) or "none"
    print(f"| {counts} | {seconds:.1f} | {worked:.1f} | {peak:,.0f} | {told} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--measure", nargs=2, type=Path)
    asked = parser.parse_args()
    if asked.measure:
        measure(*asked.measure)
        return
    print("| change | added/removed/changed | seconds | of processor | MB | guesses |")
    print("|---|---|---:|---:|---:|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        base, candidate = Path(folder) / "base.parquet", Path(folder) / "candidate.parquet"
        make(base, asked.rows, "")
        for change, words in CHANGES.items():
            make(candidate, asked.rows, change)
            print(f"| {words} ", end="", flush=True)
            subprocess.run(
                [sys.executable, __file__, "--measure", str(base), str(candidate)], check=True
            )


if __name__ == "__main__":
    main()
