"""The work of ingest, validate and split in one script of Polars, the fastest way known.

It reads, filters, drops duplicates, sorts, checks every column and rule, and writes all rows,
training rows and test rows; it lists no problems and writes no report.
"""

import datetime
import json
import resource
import time
from typing import Any

import polars as pl

import bench_paths  # noqa: F401
from mlops.project import load_project_params
from project.schema import SCHEMA


def main() -> None:
    params = load_project_params()
    key, when = "sale_id", "sold_on"
    until = params.ingest.until + datetime.timedelta(days=1)
    rows = pl.scan_csv(f"{params.ingest.source}/*.csv", try_parse_dates=True)
    rows = rows.filter(pl.col(when) < until).unique().sort(when, key).collect()

    checks: list[Any] = [
        pl.col(key).is_unique().all(),
        (pl.col("bedrooms") <= pl.col("rooms")).all(),
    ]
    for column in SCHEMA.columns:
        values = pl.col(column.name)
        if not column.nullable:
            checks.append(values.is_not_null().all())
        if column.low is not None and column.high is not None:
            checks.append(values.is_between(column.low, column.high).all())
        if column.choices:
            checks.append(values.is_in(list(column.choices)).all())
    assert all(rows.select(check.alias(str(n)) for n, check in enumerate(checks)).row(0))

    test = pl.col(when) >= params.split.test_from
    for name, part in (("rows", rows), ("train", rows.filter(~test)), ("test", rows.filter(test))):
        part.write_parquet(f"{name}.parquet")


if __name__ == "__main__":
    start, used = time.perf_counter(), time.process_time()
    main()
    took, used = time.perf_counter() - start, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": took, "processor": used, "peak_mb": peak}))
