"""The tables of the prediction log, operations on them, and their migrations."""

import functools
import re
import secrets
import time
from collections.abc import Collection
from itertools import chain

import sqlalchemy as sa

Record = tuple[str, float, str, str, str, str, int]
"""A row of PREDICTIONS: a request for one row, or for several."""

_METADATA = sa.MetaData()

PREDICTIONS = sa.Table(
    "predictions",
    _METADATA,
    sa.Column("prediction_id", sa.Text, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),  # seconds since 1970, UTC
    sa.Column("model_version", sa.Text, nullable=False),
    sa.Column("request_id", sa.Text, nullable=False),
    # JSON: an object of values, null if missing; of several rows, an object of lists of values.
    sa.Column("features", sa.Text, nullable=False),
    # JSON: a number, or {choice: probability}; of several rows, a list of these.
    sa.Column("predicted", sa.Text, nullable=False),
    sa.Column("n_rows", sa.Integer, nullable=False),
)
"""A record is a request; its id is that of its first row. Up to version 2 of the log, and from
older servers that still write to it, each row of a request has a record of its own.
"""
TIME = 12
"""Digits at the start of a prediction's id: milliseconds since 1970. Random digits follow."""
PLACE = 4
"""Digits at the end of a prediction's id: its row in the request. The others identify the request.
`request_id` can't replace them: it is set by the client, for a whole batch job or for each retry.
"""
_PLACE = re.compile(f"[0-9a-f]{{{PLACE}}}")

FEEDBACK = sa.Table(
    "feedback",
    _METADATA,
    sa.Column("prediction_id", sa.Text, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("actual", sa.Text, nullable=False),  # JSON: a number or a choice
    sa.Column("record_id", sa.Text),  # of the record that has the prediction; null: the same id
)
REFUSALS = sa.Table(
    "refusals",
    _METADATA,
    sa.Column("at", sa.Double, primary_key=True),  # start of the minute
    sa.Column("reason", sa.Text, primary_key=True),  # "input: type of problem", or ANY
    sa.Column("requests", sa.BigInteger, nullable=False),
)
ANY = "any"
"""Reason under which every refused request counts once."""

_VERSION = sa.Table("log_version", sa.MetaData(), sa.Column("version", sa.Integer))

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

_BATCHES = (
    "ALTER TABLE predictions ADD COLUMN n_rows INTEGER NOT NULL DEFAULT 1",
    "ALTER TABLE feedback ADD COLUMN record_id TEXT",
)

MIGRATIONS: list[tuple[str, ...]] = [_FIRST, _REFUSALS, _BATCHES]
"""Statements that migrate each version of the log to the next. Append; never edit."""

_LOCK = 7_316_204  # arbitrary key, for servers that start at the same time


def migrate(engine: sa.Engine) -> None:
    """Migrate the log to the newest version, in one transaction.

    Raises:
        RuntimeError: a newer release migrated this log.
    """
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        _VERSION.create(connection, checkfirst=True)
        known = connection.execute(sa.select(_VERSION.c.version)).scalar()
        if known is None:
            connection.execute(sa.insert(_VERSION).values(version=0))
        if (known or 0) > len(MIGRATIONS):
            raise RuntimeError(
                f"the prediction log has version {known}, newer than this release supports"
            )
        for statements in MIGRATIONS[known or 0 :]:
            for statement in statements:
                connection.exec_driver_sql(statement)
        connection.execute(sa.update(_VERSION).values(version=len(MIGRATIONS)))


_PROBE = {
    "at": 0.0,
    "model_version": "",
    "request_id": "",
    "features": " " * 8192,  # fills a page of its own, so fails if the disk is full
    "predicted": "0",
    "n_rows": 1,
}


def probe(connection: sa.Connection) -> None:
    """Insert and delete a prediction, which fails if the disk is full or the database read-only."""
    name = secrets.token_hex(12)  # at a random place in the index, so that damage is found as well
    connection.execute(sa.insert(PREDICTIONS), {**_PROBE, "prediction_id": name})
    connection.execute(sa.delete(PREDICTIONS).where(PREDICTIONS.c.prediction_id == name))
    connection.execute(sa.update(_VERSION).values(version=_VERSION.c.version))


_ROWS = 100  # records of a statement: older versions of SQLite take at most 999 values


@functools.cache
def _insertion(n_rows: int, mark: str) -> str:
    names = [column.name for column in PREDICTIONS.columns]
    row = f"({', '.join([mark] * len(names))})"
    return f"INSERT INTO predictions ({', '.join(names)}) VALUES {', '.join([row] * n_rows)}"


def insert(connection: sa.PoolProxiedConnection, dialect: str, records: list[Record]) -> None:
    """Add predictions, in a transaction of the driver's own connection."""
    cursor = connection.cursor()
    if dialect != "sqlite":
        cursor.executemany(_insertion(1, "%s"), records)
        return
    # Many rows by one call: at each call, this thread may lose its turn to the event loop's.
    for start in range(0, len(records), _ROWS):
        part = records[start : start + _ROWS]
        cursor.execute(_insertion(len(part), "?"), list(chain.from_iterable(part)))


def insert_alone(engine: sa.Engine, records: list[Record]) -> None:
    """Add predictions in a transaction of their own; one of SQLAlchemy's takes twice as long."""
    connection, dialect = engine.raw_connection(), engine.dialect.name
    try:
        if dialect == "sqlite" and len(records) > _ROWS:  # a single statement is a transaction
            connection.cursor().execute("BEGIN IMMEDIATE")
        insert(connection, dialect, records)
        connection.commit()
    finally:
        connection.close()  # rolls back what is not committed


def find_record(connection: sa.Connection, prediction_id: str) -> str | None:
    """Return the id of the record that has a prediction; None if there is no such prediction."""
    request, place = prediction_id[:-PLACE], prediction_id[-PLACE:]
    first = request + "0" * PLACE
    p = PREDICTIONS.c
    both = sa.select(p.prediction_id, p.n_rows).where(p.prediction_id.in_([prediction_id, first]))
    n_rows: dict[str, int] = dict(connection.execute(both).all())
    if prediction_id in n_rows:
        return prediction_id
    if first in n_rows and _PLACE.fullmatch(place) and int(place, 16) < n_rows[first]:
        return first
    return None


def tell(connection: sa.Connection, prediction_id: str, actual: str) -> bool:
    """Record the actual value of a prediction; return whether such a prediction exists."""
    record_id = find_record(connection, prediction_id)
    if record_id is None:
        return False
    connection.execute(sa.delete(FEEDBACK).where(FEEDBACK.c.prediction_id == prediction_id))
    record = {
        "prediction_id": prediction_id,
        "at": time.time(),
        "actual": actual,
        "record_id": None if record_id == prediction_id else record_id,
    }
    connection.execute(sa.insert(FEEDBACK), record)
    return True


def count(connection: sa.Connection, minute: float, reasons: Collection[str]) -> None:
    """Count a refused request once under each of its reasons."""
    statement = sa.text(
        "INSERT INTO refusals (at, reason, requests) VALUES (:at, :reason, 1)"
        " ON CONFLICT (at, reason) DO UPDATE SET requests = refusals.requests + 1"
    )
    # In a fixed order: else two servers that count the same reasons can deadlock.
    counted = [{"at": minute, "reason": reason} for reason in sorted({ANY, *reasons})]
    connection.execute(statement, counted)


# How many of the oldest records are together as large as `most` of one row: to delete a batch of
# 1,000 rows takes as long as 100 records. The window has no order of its own, so that the databases
# stop at the first record that is enough: to read a batch's n_rows, SQLite reads the whole batch.
_OF_SIZE = sa.text(
    "SELECT records FROM (SELECT count(*) OVER oldest AS records,"
    " sum(1 + n_rows / 10) OVER oldest AS size"
    " FROM (SELECT n_rows FROM predictions WHERE at < :before ORDER BY at LIMIT :most) AS ordered"
    " WINDOW oldest AS (ROWS UNBOUNDED PRECEDING)) AS counted WHERE size >= :most LIMIT 1"
)


def forget(connection: sa.Connection, before: float, most: int) -> bool:
    """Delete rows older than `before` (seconds since 1970), at most `most` of each table.

    Of records with several rows, only as many as can be deleted in the same time.

    Returns:
        Whether there may be more.
    """
    more = False
    of_size = connection.execute(_OF_SIZE, {"before": before, "most": most}).scalar() or most
    for table, limit in ((PREDICTIONS, of_size), (FEEDBACK, most), (REFUSALS, most)):
        key = table.primary_key.columns.values()[0]
        old = sa.select(key).where(table.c.at < before).order_by(table.c.at).limit(limit)
        gone = connection.execute(sa.delete(table).where(key.in_(old), table.c.at < before))
        more = more or gone.rowcount >= limit
    return more
