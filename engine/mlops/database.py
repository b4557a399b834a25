"""Connections to a database by its own driver, and the causes of their failures, by kind.

A driver's message may contain any part of the address, and with it a part of a password.
"""

import functools
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote

from mlops.database_address import Address


def connect(address: Address, timeout: float, read_only: bool = False) -> Any:
    """Connect to a database; give the driver's own connection. `timeout` in seconds.

    To write, each statement is a transaction of its own, unless BEGIN starts a longer one.
    """
    if address.file is not None:
        if read_only:  # a missing file is then an error instead of a new log
            file = f"file:{quote(address.file)}?mode=ro"
            return sqlite3.connect(file, uri=True, timeout=timeout)
        return sqlite3.connect(address.file, timeout=timeout, isolation_level=None)
    import psycopg  # here, so that a server with a log in a file starts without it

    # A pooler may run each transaction in another session, where prepared statements are unknown,
    # and rejects options at the start of a session.
    connection = psycopg.connect(
        **address.parameters,
        connect_timeout=max(1, round(timeout)),
        prepare_threshold=None,
        autocommit=not read_only,
    )
    connection.read_only = read_only or None  # of the transactions that the driver begins
    return connection


class Database:
    """A database to write to, by one connection of one thread.

    It is opened by the first transaction, and again by the next one after a failure.

    Attributes:
        is_postgres: otherwise it is a file of SQLite.
    """

    def __init__(self, address: Address, timeout: float) -> None:
        self._address, self._timeout = address, timeout
        self._connection: Any = None
        self.is_postgres = address.file is None

    @contextmanager
    def transaction(self, single: bool = False) -> Iterator["Database"]:
        """Commit what is executed in the block, or nothing if it fails.

        Args:
            single: the block executes one statement, which is a transaction without BEGIN: to the
                database and back once instead of three times.
        """
        try:
            self._open()
            if not single:
                self.execute("BEGIN" if self.is_postgres else "BEGIN IMMEDIATE")
            yield self
            if not single:
                self.execute("COMMIT")
        except BaseException:
            self.close()  # rolls back
            raise

    def execute(self, statement: str, *values: Any) -> Any:
        """Execute a statement, with ? for each value; return the driver's cursor."""
        own = _of_psycopg(statement) if self.is_postgres else statement
        return self._connection.execute(own, values)

    def _open(self) -> None:
        if self._connection is not None and self.is_postgres:
            try:  # it may have been closed by a restart of the server
                self._connection.execute("SELECT 1")
            except Exception:
                self.close()
        if self._connection is None:
            self._connection = connect(self._address, self._timeout)
            if not self.is_postgres:
                # Write-ahead, so that a reader never waits for the writer; FULL, so that a
                # committed row survives a power failure.
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute("PRAGMA synchronous=FULL")

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()


@functools.cache
def _of_psycopg(statement: str) -> str:
    return statement.replace("%", "%%").replace("?", "%s")


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
