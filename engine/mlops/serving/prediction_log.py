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

import sqlalchemy as sa

from mlops.database import cause_of, open_database
from mlops.serving.sqlite_turn import Turn
from mlops.serving.tables import Record, count, forget, insert, known, migrate, probe, tell

_PENDING = 10_000  # jobs that may wait; more means that the database can't keep up
_TOGETHER = 512  # jobs that a transaction takes
_DAY = 86_400.0
_CLEANING_SECONDS = 3600.0
_SLICE = 1000  # expired rows that a transaction deletes: so long do others wait for it
_SLICE_PAUSE = 0.02  # seconds between two slices while nothing else is written
_FAILED_SECONDS = 10.0  # that a write which failed counts against the log


class LogAway(Exception):
    """The log can't take anything now; the message says why, for the log of the server alone."""


class UnknownPrediction(Exception):
    """There is no prediction of that id."""


@dataclass(frozen=True)
class _Job:
    """A piece of a transaction: predictions to insert, and work that gets its connection."""

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
        await self._do(records)

    async def feedback(self, prediction_id: str, actual: str) -> None:
        """Log what really happened; a repeated or corrected value takes the place of the former.

        Raises:
            LogAway: it is not known to be logged.
            UnknownPrediction: nothing of that id was predicted.
        """
        known: list[bool] = []
        await self._do([], lambda connection: known.append(tell(connection, prediction_id, actual)))
        if not known[-1]:
            raise UnknownPrediction(prediction_id)

    def refused(self, reasons: Collection[str]) -> None:
        """Count a request that was refused, without waiting; while the log is behind, don't."""
        if self._jobs.qsize() >= _PENDING:
            return
        minute = time.time() // 60 * 60
        future = self._loop.create_future()
        future.add_done_callback(lambda done: done.exception())  # nobody waits for it
        self._jobs.put(_Job([], lambda connection: count(connection, minute, reasons), future))

    async def check(self) -> None:
        """Make sure that the log takes predictions now.

        Raises:
            LogAway: it doesn't, or just failed to: a probe may find the room that they don't.
        """
        if self._failed is not None and time.monotonic() - self._failed[0] < _FAILED_SECONDS:
            raise LogAway(self._failed[1])
        await self._do([], probe)

    async def knows(self, prediction_id: str) -> bool:
        """Tell whether such a prediction was logged.

        Raises:
            LogAway: it can't be asked.
        """
        found: list[bool] = []
        await self._do([], lambda connection: found.append(known(connection, prediction_id)))
        return found[-1]

    async def _do(
        self, records: list[Record], work: Callable[[sa.Connection], None] | None = None
    ) -> None:
        if self._jobs.qsize() >= _PENDING:  # those given up included: a database may hang for long
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
                    # Nobody waits any longer for a job that is done: its answer was a refusal.
                    jobs = [job for job in jobs if not job.future.done()]
                    if jobs or not self._migrated:
                        self._write(jobs)
            except Exception as cause:  # whatever a database does wrong, the thread lives on
                error = LogAway(cause_of(cause))
            if any(job.records for job in jobs):
                self._remember(error)
            with contextlib.suppress(RuntimeError):  # the loop was closed under way
                self._loop.call_soon_threadsafe(_resolve, jobs, error)
            if error is None and not ending:
                self._clean()

    def _next(self) -> list[_Job | None]:
        """Wait for jobs, and give them; none if there are expired rows to delete meanwhile."""
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
        """Keep how the last write of predictions went; damage isn't healed by one that succeeds."""
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
            self._cleaning = False  # if it fails, until the next hour
            with contextlib.suppress(Exception), self._turn.taken(), self._engine.begin() as begun:
                self._cleaning = forget(begun, time.time() - self._retention, _SLICE)


def _resolve(jobs: list[_Job], error: LogAway | None) -> None:
    for future in (job.future for job in jobs if not job.future.done()):
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
