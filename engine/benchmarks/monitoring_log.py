"""Cost of the daily report on a log of ten million predictions of one day.

Usage: python engine/benchmarks/monitoring_log.py sqlite:////tmp/log.db [ROWS]; or a postgresql://
URL of an empty database. Needs 5 GB there, and some minutes to fill it.
"""

import json
import os
import resource
import subprocess
import sys
import time

from bench_paths import DEMO
from mlops import paths
from mlops.bundle import read_manifest
from mlops.database import Database
from mlops.database_address import parse_address
from mlops.pipeline.partitions import read_partitions
from mlops.prediction_log.tables import migrate
from project.schema import SCHEMA

KINDS = 500
_SERIES = {
    "sqlite": "WITH RECURSIVE n(i) AS "
    "(SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {rows})",
    "postgresql": "WITH n AS (SELECT generate_series(0, {rows} - 1) AS i)",
}
_TOKEN = {  # of the time and random digits, as the API's
    "sqlite": "printf('%012x', CAST(({at}) * 1000 AS INTEGER)) || lower(hex(randomblob(10)))",
    "postgresql": "lpad(to_hex(CAST(({at}) * 1000 AS BIGINT)), 12, '0')"
    " || substr(md5(CAST(i AS TEXT)), 1, 20)",
}


def fill(url: str, rows: int, version: str) -> None:
    """Write `rows` predictions of 500 different houses, and feedback for every tenth."""
    database = Database(parse_address(url), 30)
    migrate(database)
    dialect = "postgresql" if database.is_postgres else "sqlite"
    sales = read_partitions(str(DEMO / "data/source"), SCHEMA).to_pandas()[:KINDS]
    features = json.loads(sales[[c.name for c in SCHEMA.features]].to_json(orient="records"))
    with database.transaction() as log:
        log.execute("CREATE TABLE kinds (k INTEGER PRIMARY KEY, f TEXT, p TEXT)")
        for name in ("predictions", "feedback"):
            log.execute(f"DROP TABLE {name}")
        for k, (row, price) in enumerate(zip(features, sales["price"], strict=True)):
            kind = (k, json.dumps(row), json.dumps(float(price)))
            log.execute("INSERT INTO kinds VALUES (?, ?, ?)", *kind)
        at = f"{time.time()} - 86000.0 * i / {rows}"
        # Keys are added after the rows: one sort is faster than ten million random insertions.
        whole = (
            f"CREATE TABLE predictions AS {_SERIES[dialect].format(rows=rows)} "
            f"SELECT {_TOKEN[dialect].format(at=at)} AS prediction_id, {at} AS at,"
            f" '{version}' AS model_version, 'r' || i AS request_id, f AS features, p AS predicted,"
            f" 1 AS n_rows FROM n JOIN kinds ON k = i % {KINDS}"
        )
        log.execute(whole)
        for statement in (
            "CREATE UNIQUE INDEX predictions_id ON predictions (prediction_id)",
            "CREATE INDEX predictions_at ON predictions (at)",
            "CREATE TABLE feedback AS SELECT prediction_id, at + 100 AS at, predicted AS actual,"
            " CAST(NULL AS TEXT) AS record_id FROM predictions"
            " WHERE substr(prediction_id, 13, 2) < '1a'",
            "CREATE UNIQUE INDEX feedback_id ON feedback (prediction_id)",
            "CREATE INDEX feedback_at ON feedback (at)",
        ):
            log.execute(statement)
    database.close()


def main(url: str, rows: int = 10_000_000) -> None:
    start = time.monotonic()
    fill(url, rows, read_manifest(paths.BUNDLE)["model_version"])
    print(f"{rows:,} rows filled in, after {time.monotonic() - start:.0f} s", flush=True)
    for _ in range(2):
        start = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "mlops.monitoring"],
            env=os.environ | {"PREDICTION_LOG_URL": url},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"the report: {time.monotonic() - start:.1f} s, {peak:.0f} MB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
