"""The tables of the prediction log, operations on them, and their migrations.

predictions: a record for each request.
    prediction_id: of its first row; those of the others differ in the last digits.
    at: seconds since 1970, UTC.
    features: JSON, an object of values, null if missing; of several rows, of lists of values.
    predicted: JSON, a number or {choice: probability}; of several rows, a list of these.
    n_rows: servers of earlier releases write a record for each row of a request, with its own id.
feedback: the actual value of a prediction.
    actual: JSON, a number or a choice.
    record_id: of the record that has the prediction; null: its id is the prediction's.
refusals: requests that were refused.
    at: start of the minute.
    reason: "input: type of problem", or ANY.
"""

import functools
import re
import secrets
import time
from collections.abc import Collection
from itertools import chain

from mlops.database import Database

Record = tuple[str, float, str, str, str, str, int]
"""A row of the table `predictions`, with the columns of _COLUMNS."""

_COLUMNS = "prediction_id, at, model_version, request_id, features, predicted, n_rows"

TIME = 12
"""Digits at the start of a prediction's id: milliseconds since 1970. Random digits follow."""
PLACE = 4
"""Digits at the end of a prediction's id: its row in the request. The others identify the request.
`request_id` can't replace them: it is set by the client, for a whole batch job or for each retry.
"""
_PLACE = re.compile(f"[0-9a-f]{{{PLACE}}}")

ANY = "any"
"""Reason under which every refused request counts once."""

_FIRST = (
    "CREATE TABLE predictions (prediction_id TEXT PRIMARY KEY, at DOUBLE PRECISION NOT NULL,"
    " model_version TEXT NOT NULL, request_id TEXT NOT NULL, features TEXT NOT NULL,"
    " predicted TEXT NOT NULL)",
    "CREATE INDEX predictions_at ON predictions (at)",
    "CREATE TABLE feedback (prediction_id TEXT PRIMARY KEY, at DOUBLE PRECISION NOT NULL,"
    " actual TEXT NOT NULL)",
    "CREATE INDEX feedback_at ON feedback (at)",
)

_REFUSALS = (
    "CREATE TABLE refusals (at DOUBLE PRECISION NOT NULL, reason TEXT NOT NULL,"
    " requests BIGINT NOT NULL, PRIMARY KEY (at, reason))",
)

MIGRATIONS: list[tuple[str, ...]] = [_FIRST, _REFUSALS]
"""Statements that migrate each version of the log to the next. Append; never edit.

Servers of an earlier version reject the new one.
"""

ADDITIONS = (
    ("predictions", "n_rows", "INTEGER NOT NULL DEFAULT 1"),
    ("feedback", "record_id", "TEXT"),
)
"""Columns added within a version: servers without them still work, so a release can be rolled back.
Append; never edit.
"""

_LOCK = 7_316_204  # arbitrary key, for servers that start at the same time


def migrate(database: Database) -> None:
    """Migrate the log to the newest version, in one transaction.

    Raises:
        RuntimeError: a newer release migrated this log.
    """
    with database.transaction() as log:
        # Not by IF NOT EXISTS: Postgres would want the permission to create a table that exists.
        exists = "SELECT count(*) FROM sqlite_master WHERE name = 'log_version'"
        if log.is_postgres:
            log.execute("SELECT pg_advisory_xact_lock(?)", _LOCK)
            exists = "SELECT to_regclass('log_version') IS NOT NULL"
        if not log.execute(exists).fetchone()[0]:
            log.execute("CREATE TABLE log_version (version INTEGER)")
            log.execute("INSERT INTO log_version VALUES (0)")
        (version,) = log.execute("SELECT version FROM log_version").fetchone()
        if version > len(MIGRATIONS):
            raise RuntimeError(
                f"the prediction log has version {version}, newer than this release supports"
            )
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                log.execute(statement)
        for table, column, kind in ADDITIONS:
            if column not in _columns_of(log, table):
                log.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
        log.execute("UPDATE log_version SET version = ?", len(MIGRATIONS))


def _columns_of(log: Database, table: str) -> set[str]:
    return {column[0] for column in log.execute(f"SELECT * FROM {table} LIMIT 0").description}


def probe(log: Database) -> None:
    """Insert and delete a prediction, which fails if the disk is full or the database read-only."""
    name = secrets.token_hex(12)  # at a random place in the index, so that damage is found as well
    page = " " * 8192  # fills a page of its own, so fails if the disk is full
    insert(log, [(name, 0.0, "", "", page, "0", 1)])
    log.execute("DELETE FROM predictions WHERE prediction_id = ?", name)
    log.execute("UPDATE log_version SET version = version")


ROWS = 100
"""Records that one statement inserts: older versions of SQLite take at most 999 values."""


@functools.cache
def _insertion(n_records: int) -> str:
    marks = ", ".join("?" for _ in _COLUMNS.split(","))
    return f"INSERT INTO predictions ({_COLUMNS}) VALUES {', '.join([f'({marks})'] * n_records)}"


def insert(log: Database, records: list[Record]) -> None:
    """Add predictions."""
    # Many rows by one call: at each call, this thread may lose its turn to the event loop's.
    for start in range(0, len(records), ROWS):
        part = records[start : start + ROWS]
        log.execute(_insertion(len(part)), *chain.from_iterable(part))


def find_record(log: Database, prediction_id: str) -> str | None:
    """Return the id of the record that has a prediction; None if there is no such prediction."""
    request, place = prediction_id[:-PLACE], prediction_id[-PLACE:]
    first = request + "0" * PLACE
    both = "SELECT prediction_id, n_rows FROM predictions WHERE prediction_id IN (?, ?)"
    n_rows: dict[str, int] = dict(log.execute(both, prediction_id, first).fetchall())
    if prediction_id in n_rows:
        return prediction_id
    if first in n_rows and _PLACE.fullmatch(place) and int(place, 16) < n_rows[first]:
        return first
    return None


def tell(log: Database, prediction_id: str, actual: str) -> bool:
    """Record the actual value of a prediction; return whether such a prediction exists."""
    record_id = find_record(log, prediction_id)
    if record_id is None:
        return False
    log.execute("DELETE FROM feedback WHERE prediction_id = ?", prediction_id)
    log.execute(
        "INSERT INTO feedback (prediction_id, at, actual, record_id) VALUES (?, ?, ?, ?)",
        prediction_id,
        time.time(),
        actual,
        None if record_id == prediction_id else record_id,
    )
    return True


def count(log: Database, minute: float, reasons: Collection[str]) -> None:
    """Count a refused request once under each of its reasons."""
    # In a fixed order: else two servers that count the same reasons can deadlock.
    for reason in sorted({ANY, *reasons}):
        log.execute(
            "INSERT INTO refusals (at, reason, requests) VALUES (?, ?, 1)"
            " ON CONFLICT (at, reason) DO UPDATE SET requests = refusals.requests + 1",
            minute,
            reason,
        )


# How many of the oldest records are together as large as `most` of one row: to delete a batch of
# 1,000 rows takes as long as 100 records. The window has no order of its own, so that the databases
# stop at the first record that is enough: to read a batch's n_rows, SQLite reads the whole batch.
_OF_SIZE = (
    "SELECT records FROM (SELECT count(*) OVER oldest AS records,"
    " sum(1 + n_rows / 10) OVER oldest AS size"
    " FROM (SELECT n_rows FROM predictions WHERE at < ? ORDER BY at LIMIT ?) AS ordered"
    " WINDOW oldest AS (ROWS UNBOUNDED PRECEDING)) AS counted WHERE size >= ? LIMIT 1"
)


def forget(log: Database, before: float, most: int) -> bool:
    """Delete rows older than `before` (seconds since 1970), at most `most` of each table.

    Of records with several rows, only as many as can be deleted in the same time.

    Returns:
        Whether there may be more.
    """
    more = False
    (of_size,) = log.execute(_OF_SIZE, before, most, most).fetchone() or (most,)
    for table, key, limit in (
        ("predictions", "prediction_id", of_size),
        ("feedback", "prediction_id", most),
        ("refusals", "at", most),
    ):
        old = f"SELECT {key} FROM {table} WHERE at < ? ORDER BY at LIMIT ?"
        deletion = f"DELETE FROM {table} WHERE {key} IN ({old}) AND at < ?"
        deleted = log.execute(deletion, before, limit, before).rowcount
        more = more or deleted >= limit
    return more
