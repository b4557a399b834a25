"""Connections to the prediction log, and the causes of their failures, by kind.

A driver's message may contain any part of the address, and with it a part of a password.
"""

import re
import sqlite3
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from mlops.database_address import VARIABLE, parse_address


def open_database(
    address: str, timeout: float, read_only: bool = False, variable: str = VARIABLE
) -> sa.Engine:
    """Create the engine of a database, without connecting yet. `timeout` in seconds.

    Args:
        variable: the environment variable that holds the address, for messages.

    Raises:
        UserError: the address is invalid.
    """
    url = parse_address(address, variable)
    if url.get_backend_name() != "sqlite":
        return _postgres_engine(url, timeout, read_only)
    if read_only:  # a missing file is then an error instead of a new log
        file = f"file:{quote(str(url.database))}?mode=ro"
        return sa.create_engine(
            url,
            creator=lambda: sqlite3.connect(
                file, uri=True, timeout=timeout, check_same_thread=False
            ),
        )
    engine = sa.create_engine(url, connect_args={"timeout": timeout})

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, record: Any) -> None:
        # Write-ahead, so that a reader never waits for the writer; FULL, so that a committed row
        # survives a power failure. Transactions begin below, not where the driver starts them.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _postgres_engine(url: sa.URL, timeout: float, read_only: bool) -> sa.Engine:
    """Create an engine that works through a connection pooler.

    A pooler may run each transaction in another session, where prepared statements are unknown,
    and rejects options at the start of a session.
    """
    waiting = {"connect_timeout": max(1, round(timeout)), "prepare_threshold": None}
    engine = sa.create_engine(url, pool_pre_ping=True, pool_size=2, connect_args=waiting)
    if read_only:

        @sa.event.listens_for(engine, "begin")
        def _begin(connection: sa.Connection) -> None:
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")

    return engine


_CAUSES = (
    (r"^28|password|pg_hba|no such user|role .* does not exist", "user or password rejected"),
    (r"^3D|database .* does not exist", "there is no such database"),
    (r"^42P01|^3F|no such table", "there is no such table: the API makes the tables"),
    (r"^42501|permission denied", "the user lacks the permission"),
    (r"^25006|read-?only", "it is read-only"),
    (r"^53100|disk is full|no space", "its disk is full"),
    (r"^53", "it has no connection or memory left"),
    (r"^57|shut ?down|terminat|closed|reset|broken pipe|eof", "it closed the connection"),
    (r"^55P03|^40|locked|busy", "it is locked by another process"),
    (r"not known|resolve|translate host|no address|idna", "its host is unknown"),
    (r"refused|unreachable|no route", "nothing answers at its host and port"),
    (r"time(?:d )?out|timeout|expired", "it did not answer in time"),
    (r"ssl|tls|certificate", "TLS connection failed"),
    (r"unable to open|no such file", "its file can't be opened"),
    (r"not a database|malformed|corrupt", "its file is damaged or not a database"),
)


def cause_of(error: BaseException) -> str:
    """Return why a database failed, by kind, never with the driver's message."""
    if type(error) is RuntimeError:  # ours: the log has another version
        return str(error)
    own = getattr(error, "orig", None) or error
    state = getattr(own, "sqlstate", None) or ""
    for pattern, words in _CAUSES:
        if re.search(pattern, state) or re.search(pattern, str(own), re.IGNORECASE):
            return words
    return f"{type(own).__name__} {state}".strip()
