"""The tables of the prediction log, operations on them, and their migrations."""

import functools
import secrets
import time
from collections.abc import Collection
from itertools import chain

import sqlalchemy as sa

Record = tuple[str, float, str, str, str, str]
"""A row of PREDICTIONS."""

_METADATA = sa.MetaData()

PREDICTIONS = sa.Table(
    "predictions",
    _METADATA,
    sa.Column("prediction_id", sa.Text, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),  # seconds since 1970, UTC
    sa.Column("model_version", sa.Text, nullable=False),
    sa.Column("request_id", sa.Text, nullable=False),
    sa.Column("features", sa.Text, nullable=False),  # JSON object, null if missing
    sa.Column("predicted", sa.Text, nullable=False),  # JSON: a number, or {choice: probability}
)
TIME = 12
"""Digits at the start of a prediction's id: milliseconds since 1970. Random digits follow."""
PLACE = 4
"""Digits at the end of a prediction's id: its row in the request. The others identify the request.
`request_id` can't replace them: it is set by the client, for a whole batch job or for each retry.
"""

FEEDBACK = sa.Table(
    "feedback",
    _METADATA,
    sa.Column("prediction_id", sa.Text, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("actual", sa.Text, nullable=False),  # JSON: a number or a choice
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

MIGRATIONS: list[tuple[str, ...]] = [_FIRST, _REFUSALS]
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
}


def probe(connection: sa.Connection) -> None:
    """Insert and delete a prediction, which fails if the disk is full or the database read-only."""
    name = secrets.token_hex(12)  # at a random place in the index, so that damage is found as well
    connection.execute(sa.insert(PREDICTIONS), {**_PROBE, "prediction_id": name})
    connection.execute(sa.delete(PREDICTIONS).where(PREDICTIONS.c.prediction_id == name))
    connection.execute(sa.update(_VERSION).values(version=_VERSION.c.version))


_ROWS = 100  # of a statement: older versions of SQLite take at most 999 values


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


def known(connection: sa.Connection, prediction_id: str) -> bool:
    """Return whether there is a prediction with this id."""
    found = sa.select(sa.exists().where(PREDICTIONS.c.prediction_id == prediction_id))
    return bool(connection.execute(found).scalar())


def tell(connection: sa.Connection, prediction_id: str, actual: str) -> bool:
    """Record the actual value of a prediction; return whether such a prediction exists."""
    if not known(connection, prediction_id):
        return False
    connection.execute(sa.delete(FEEDBACK).where(FEEDBACK.c.prediction_id == prediction_id))
    record = {"prediction_id": prediction_id, "at": time.time(), "actual": actual}
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


def forget(connection: sa.Connection, before: float, most: int) -> bool:
    """Delete rows older than `before` (seconds since 1970), at most `most` of each table.

    Returns:
        Whether there may be more.
    """
    more = False
    for table in (PREDICTIONS, FEEDBACK, REFUSALS):
        key = table.primary_key.columns.values()[0]
        old = sa.select(key).where(table.c.at < before).order_by(table.c.at).limit(most)
        gone = connection.execute(sa.delete(table).where(key.in_(old), table.c.at < before))
        more = more or gone.rowcount >= most
    return more
