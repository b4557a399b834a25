"""The prediction log: what was answered is in a database before the answer goes out.

One thread writes. Whatever arrived while it was committing goes into its next transaction, so that
a disk that syncs a few hundred times a second still takes thousands of predictions.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mlops.serving.tables import ANY, FEEDBACK, PREDICTIONS, REFUSALS, migrate, open_database

_PENDING = 10_000  # jobs that may wait; more means that the database can't keep up
_TOGETHER = 512  # jobs that a transaction takes
_DAY = 86_400.0
_CLEANING_SECONDS = 3600.0

Record = dict[str, Any]


class LogAway(Exception):
    """The log can't take anything now; the message says why, for the log of the server alone."""


class UnknownPrediction(Exception):
    """There is no prediction of that id."""


@dataclass(frozen=True)
class _Job:
    """A piece of a transaction; `work` gets its connection."""

    work: Callable[[sa.Connection], None]
    future: "asyncio.Future[None]"


class PredictionLog:
    """The log behind one database URL; `start` and `close` it in the event loop.

    Args:
        timeout: seconds after which a write counts as failed.
        retention_days: older rows are deleted; 0 keeps all.
    """

    def __init__(self, url: str, timeout: float, retention_days: float) -> None:
        if url.startswith("sqlite:///"):
            Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        self._engine = open_database(url, timeout)
        self._timeout, self._retention = timeout, retention_days * _DAY
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._pending = 0
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._migrated, self._cleaned = False, float("-inf")

    def start(self) -> None:
        """Begin to write; the tables are made with the first transaction."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def close(self) -> None:
        """Write what waits, and end."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join, self._timeout * 2)
        self._engine.dispose()

    async def predictions(self, records: list[Record]) -> None:
        """Log predictions, durably, before returning.

        Raises:
            LogAway: it is not known to be logged.
        """
        await self._do(lambda connection: _insert(connection, records))

    async def feedback(self, prediction_id: str, actual: str) -> None:
        """Log what really happened; a repeated or corrected value takes the place of the former.

        Raises:
            LogAway: it is not known to be logged.
            UnknownPrediction: nothing of that id was predicted.
        """
        known: list[bool] = []
        await self._do(lambda connection: known.append(_upsert(connection, prediction_id, actual)))
        if not known[-1]:
            raise UnknownPrediction(prediction_id)

    def refused(self, reasons: Collection[str]) -> None:
        """Count a request that was refused, without waiting; while the log is behind, don't."""
        if self._pending >= _PENDING:
            return
        minute = time.time() // 60 * 60
        future = self._loop.create_future()
        self._pending += 1
        future.add_done_callback(self._counted)
        self._jobs.put(_Job(lambda c: _count(c, minute, {ANY, *reasons}), future))

    def _counted(self, future: "asyncio.Future[None]") -> None:
        self._pending -= 1
        future.exception()  # nobody waits for it

    async def check(self) -> None:
        """Make sure that the log takes writes now.

        Raises:
            LogAway: it doesn't.
        """
        await self._do(lambda connection: None)

    async def _do(self, work: Callable[[sa.Connection], None]) -> None:
        if self._pending >= _PENDING:
            raise LogAway(f"{_PENDING} writes are waiting")
        future = self._loop.create_future()
        self._pending += 1
        self._jobs.put(_Job(work, future))
        try:
            async with asyncio.timeout(self._timeout):
                await future
        except TimeoutError as error:
            raise LogAway(f"no answer in {self._timeout:g} s") from error
        finally:
            self._pending -= 1

    def _run(self) -> None:
        ending = False
        while not ending:
            found = [self._jobs.get()]
            with contextlib.suppress(queue.Empty):
                while len(found) < _TOGETHER:
                    found.append(self._jobs.get_nowait())
            ending = None in found
            # Nobody waits any longer for a job that is done: its answer was a refusal.
            jobs = [job for job in found if job is not None and not job.future.done()]
            error: LogAway | None = None
            try:
                self._write(jobs)
            except Exception as cause:  # whatever a database does wrong, the thread lives on
                error = LogAway(f"{type(cause).__name__}: {cause}")
            with contextlib.suppress(RuntimeError):  # the loop was closed under way
                self._loop.call_soon_threadsafe(_resolve, jobs, error)

    def _write(self, jobs: list[_Job]) -> None:
        if not self._migrated:
            migrate(self._engine)
            self._migrated = True
        with self._engine.begin() as connection:
            for job in jobs:
                job.work(connection)
            if self._retention and time.monotonic() - self._cleaned > _CLEANING_SECONDS:
                self._cleaned = time.monotonic()
                for table in (PREDICTIONS, FEEDBACK, REFUSALS):
                    old = table.c.at < time.time() - self._retention
                    connection.execute(sa.delete(table).where(old))


def _resolve(jobs: list[_Job], error: LogAway | None) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if error is None:
            job.future.set_result(None)
        else:
            job.future.set_exception(error)


def _insert(connection: sa.Connection, records: list[Record]) -> None:
    connection.execute(sa.insert(PREDICTIONS), records)


def _count(connection: sa.Connection, minute: float, reasons: Collection[str]) -> None:
    statement = sa.text(
        "INSERT INTO refusals (at, reason, requests) VALUES (:at, :reason, 1)"
        " ON CONFLICT (at, reason) DO UPDATE SET requests = refusals.requests + 1"
    )
    # In one order: else two servers that count the same reasons wait for each other.
    counted = [{"at": minute, "reason": reason} for reason in sorted(reasons)]
    connection.execute(statement, counted)


def _upsert(connection: sa.Connection, prediction_id: str, actual: str) -> bool:
    """Tell whether there was such a prediction."""
    known = sa.select(sa.exists().where(PREDICTIONS.c.prediction_id == prediction_id))
    if not connection.execute(known).scalar():
        return False
    connection.execute(sa.delete(FEEDBACK).where(FEEDBACK.c.prediction_id == prediction_id))
    record = {"prediction_id": prediction_id, "at": time.time(), "actual": actual}
    connection.execute(sa.insert(FEEDBACK), record)
    return True
