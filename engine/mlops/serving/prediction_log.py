"""The prediction log: predictions are committed to a database before they are returned.

One thread writes. Jobs that arrive while it commits go into its next transaction together, so that
a disk that syncs a few hundred times a second can still log thousands of predictions.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from mlops.database import cause_of, open_database
from mlops.serving.sqlite_turn import Turn
from mlops.serving.tables import Record, count, forget, insert, known, migrate, probe, tell

_PENDING = 10_000  # jobs that may wait; more means that the database can't keep up
_TOGETHER = 512  # jobs in a transaction, at most
_DAY = 86_400.0
_CLEANING_SECONDS = 3600.0
_SLICE = 1000  # expired rows that a transaction deletes, while other writes wait
_SLICE_PAUSE = 0.02  # seconds between two slices while nothing else is written
_FAILED_SECONDS = 10.0  # for which the log counts as unavailable after a failed write


class LogAway(Exception):
    """The log is unavailable; the message with the reason is for the server's log only."""


class UnknownPrediction(Exception):
    """There is no prediction with this id."""


@dataclass(frozen=True)
class _Job:
    """A part of a transaction: predictions to insert, and a function called with its connection."""

    records: list[Record]
    work: Callable[[sa.Connection], None] | None
    future: "asyncio.Future[None]"


class PredictionLog:
    """The log behind one database URL; `start` and `close` it in the event loop.

    Args:
        timeout: seconds after which a write counts as failed.
        retention_days: older rows are deleted; 0 keeps all.
    """

    def __init__(self, url: str, timeout: float, retention_days: float) -> None:
        self._engine, self._file = open_database(url, timeout), None
        if self._engine.dialect.name == "sqlite":
            self._file = Path(str(self._engine.url.database))
            self._file.parent.mkdir(parents=True, exist_ok=True)
        self._timeout, self._retention = timeout, retention_days * _DAY
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._turn = Turn(self._file, timeout / 4)
        self._migrated, self._cleaned, self._cleaning = False, float("-inf"), False
        self._failed: tuple[float, str] | None = None  # the last write of predictions: when, why

    def start(self) -> None:
        """Start the writing thread; the tables are created with the first transaction."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def close(self) -> None:
        """Write the pending jobs, and stop the thread."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join, self._timeout * 2)
        self._engine.dispose()

    async def predictions(self, records: list[Record]) -> None:
        """Log predictions, durably, before returning.

        Raises:
            LogAway: it is not known to be logged.
        """
        await self._do(records)

    async def feedback(self, prediction_id: str, actual: str) -> None:
        """Log the actual value of a prediction, replacing an earlier one.

        Raises:
            LogAway: it is not known to be logged.
            UnknownPrediction: there is no prediction with this id.
        """
        known: list[bool] = []
        await self._do([], lambda connection: known.append(tell(connection, prediction_id, actual)))
        if not known[-1]:
            raise UnknownPrediction(prediction_id)

    def refused(self, reasons: Collection[str]) -> None:
        """Count a refused request, without waiting; skipped while too many writes are pending."""
        if self._jobs.qsize() >= _PENDING:
            return
        minute = time.time() // 60 * 60
        future = self._loop.create_future()
        future.add_done_callback(lambda done: done.exception())  # nobody waits for it
        self._jobs.put(_Job([], lambda connection: count(connection, minute, reasons), future))

    async def check(self) -> None:
        """Check that predictions can be logged now.

        Raises:
            LogAway: they can't, or a write just failed: a probe may still fit on a full disk.
        """
        if self._failed is not None and time.monotonic() - self._failed[0] < _FAILED_SECONDS:
            raise LogAway(self._failed[1])
        await self._do([], probe)

    async def knows(self, prediction_id: str) -> bool:
        """Return whether a prediction with this id was logged.

        Raises:
            LogAway: the log can't be queried.
        """
        found: list[bool] = []
        await self._do([], lambda connection: found.append(known(connection, prediction_id)))
        return found[-1]

    async def _do(
        self, records: list[Record], work: Callable[[sa.Connection], None] | None = None
    ) -> None:
        if self._jobs.qsize() >= _PENDING:  # timed-out jobs included: a database may hang for long
            raise LogAway(f"{_PENDING} writes are waiting")
        future = self._loop.create_future()
        self._jobs.put(_Job(records, work, future))
        try:
            async with asyncio.timeout(self._timeout):
                await future
        except TimeoutError as error:
            raise LogAway(f"no answer in {self._timeout:g} s") from error

    def _run(self) -> None:
        ending = False
        while not ending:
            found = self._next()
            ending = None in found
            jobs = [job for job in found if job is not None]
            error: LogAway | None = None
            try:
                with self._turn.taken():
                    # A job that is done has timed out: its request was refused already.
                    jobs = [job for job in jobs if not job.future.done()]
                    if jobs or not self._migrated:
                        self._write(jobs)
            except Exception as cause:  # the thread must survive any error of the database
                error = LogAway(cause_of(cause))
            if any(job.records for job in jobs):
                self._remember(error)
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                self._loop.call_soon_threadsafe(_resolve, jobs, error)
            if error is None and not ending:
                self._clean()

    def _next(self) -> list[_Job | None]:
        """Wait for jobs and return them; return none if there are expired rows to delete."""
        try:
            found = [self._jobs.get(timeout=_SLICE_PAUSE if self._cleaning else None)]
        except queue.Empty:
            return []
        with contextlib.suppress(queue.Empty):
            while len(found) < _TOGETHER:
                found.append(self._jobs.get_nowait())
        return found

    def _write(self, jobs: list[_Job]) -> None:
        if not self._migrated:
            migrate(self._engine)
            self._migrated = True
        with self._engine.begin() as connection:
            if records := [record for job in jobs for record in job.records]:
                insert(connection, records)
            for job in jobs:
                if job.work is not None:
                    job.work(connection)

    def _remember(self, error: LogAway | None) -> None:
        """Store the last write's result; after damage to the database, ignore a later success."""
        if error is not None:
            self._failed = time.monotonic(), str(error)
        elif self._failed is not None and "damaged" not in self._failed[1]:
            self._failed = None

    def _clean(self) -> None:
        """Delete a slice of the expired rows, in a transaction of its own."""
        if not self._retention:
            return
        if time.monotonic() - self._cleaned > _CLEANING_SECONDS:
            self._cleaned, self._cleaning = time.monotonic(), True
        if self._cleaning:
            self._cleaning = False  # after a failure, wait until the next hour
            with contextlib.suppress(Exception), self._turn.taken(), self._engine.begin() as begun:
                self._cleaning = forget(begun, time.time() - self._retention, _SLICE)


def _resolve(jobs: list[_Job], error: LogAway | None) -> None:
    for future in (job.future for job in jobs if not job.future.done()):
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
