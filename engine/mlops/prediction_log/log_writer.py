"""The prediction log: predictions are committed to a database before they are returned.

One thread writes. The event loop hands the jobs of each of its turns over to it together. Those
that arrive while it commits go into its next transaction together, so that a disk that syncs a few
hundred times a second can still log thousands of predictions.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from mlops.database import Database, cause_of
from mlops.database_address import parse_address
from mlops.prediction_log.sqlite_turn import Turn
from mlops.prediction_log.tables import (
    ROWS,
    Record,
    count,
    find_record,
    forget,
    insert,
    migrate,
    probe,
    tell,
)

_PENDING = 10_000  # jobs that may wait; more means that the database can't keep up
_TOGETHER = 512  # jobs in a transaction, at most
_DAY = 86_400.0
_CLEANING_SECONDS = 3600.0
_SLICE = 1000  # expired records of one row that a transaction deletes, while other writes wait
_SLICE_PAUSE = 0.02  # seconds between two slices while nothing else is written
_FAILED_SECONDS = 10.0  # for which the log counts as unavailable after a failed write


class LogAway(Exception):
    """The log is unavailable; the message with the reason is for the server's log only."""


class UnknownPrediction(Exception):
    """There is no prediction with this id."""


@dataclass(frozen=True)
class _Job:
    """A part of a transaction: predictions to insert, and a function called in it.

    Attributes:
        future: resolved when the transaction is committed; None if nothing waits for it.
    """

    records: list[Record]
    work: Callable[[Database], None] | None
    future: "asyncio.Future[None] | None"

    @property
    def open(self) -> bool:
        """Whether it is still to be done: if it timed out, its request was refused already."""
        return self.future is None or not self.future.done()


@dataclass(frozen=True)
class _Batch:
    """The jobs of one turn of the event loop, and the timer after which they count as failed."""

    jobs: list[_Job]
    timer: asyncio.TimerHandle


class PredictionLog:
    """The log behind one database URL; `start` and `close` it in the event loop.

    Args:
        timeout: seconds after which a write counts as failed.
        retention_days: older rows are deleted; 0 keeps all.
    """

    def __init__(self, url: str, timeout: float, retention_days: float) -> None:
        address = parse_address(url)
        file = None if address.file is None else Path(address.file)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        self._database = Database(address, timeout)
        self._timeout, self._retention = timeout, retention_days * _DAY
        self._gathered: list[_Job] = []  # in the present turn of the event loop
        self._pending = 0  # jobs that are not finished; only the event loop's thread counts them
        self._batches: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._turn = Turn(file, timeout / 4)
        self._migrated, self._cleaned, self._cleaning = False, float("-inf"), False
        self._failed: tuple[float, str] | None = None  # the last write of predictions: when, why

    def start(self) -> None:
        """Start the writing thread; the tables are created with the first transaction."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def close(self) -> None:
        """Write the pending jobs, and stop the thread."""
        self.hand_over()
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join, self._timeout * 2)

    def predictions(self, records: list[Record]) -> "asyncio.Future[None]":
        """Log predictions; the result is set when they are durable.

        Its exception is LogAway if they are not known to be logged.
        """
        return self._submit(records, None)

    async def feedback(self, prediction_id: str, actual: str) -> None:
        """Log the actual value of a prediction, replacing an earlier one.

        Raises:
            LogAway: it is not known to be logged.
            UnknownPrediction: there is no prediction with this id.
        """
        known: list[bool] = []
        await self._submit([], lambda log: known.append(tell(log, prediction_id, actual)))
        if not known[-1]:
            raise UnknownPrediction(prediction_id)

    def refused(self, reasons: Collection[str]) -> None:
        """Count a refused request, without waiting; skipped while too many writes are pending."""
        if self._pending < _PENDING:
            minute = time.time() // 60 * 60
            self._add(_Job([], lambda log: count(log, minute, reasons), None))

    async def check(self) -> None:
        """Check that predictions can be logged now.

        Raises:
            LogAway: they can't, or a write just failed: a probe may still fit on a full disk.
        """
        if self._failed is not None and time.monotonic() - self._failed[0] < _FAILED_SECONDS:
            raise LogAway(self._failed[1])
        await self._submit([], probe)

    async def knows(self, prediction_id: str) -> bool:
        """Return whether a prediction with this id was logged.

        Raises:
            LogAway: the log can't be queried.
        """
        found: list[str | None] = []
        await self._submit([], lambda log: found.append(find_record(log, prediction_id)))
        return found[-1] is not None

    def _submit(
        self, records: list[Record], work: Callable[[Database], None] | None
    ) -> "asyncio.Future[None]":
        future = self._loop.create_future()
        if self._pending >= _PENDING:  # timed-out jobs included: a database may hang for long
            future.set_exception(LogAway(f"{_PENDING} writes are waiting"))
        else:
            self._add(_Job(records, work, future))
        return future

    def _add(self, job: _Job) -> None:
        if not self._gathered:
            self._loop.call_soon(self.hand_over)
        self._gathered.append(job)
        self._pending += 1

    def hand_over(self) -> None:
        """Hand the jobs gathered so far over to the thread; without a call, the next turn does."""
        if self._gathered:
            jobs, self._gathered = self._gathered, []
            away = LogAway(f"no answer in {self._timeout:g} s")
            timer = self._loop.call_later(self._timeout, _resolve, jobs, away)
            self._batches.put(_Batch(jobs, timer))

    def _finish(self, batches: list[_Batch], error: LogAway | None) -> None:
        for batch in batches:
            batch.timer.cancel()
            self._pending -= len(batch.jobs)
            _resolve(batch.jobs, error)

    def _run(self) -> None:
        ending = False
        while not ending:
            found = self._next()
            ending = None in found
            batches = [batch for batch in found if batch is not None]
            jobs = [job for batch in batches for job in batch.jobs]
            error: LogAway | None = None
            try:
                with self._turn.taken():
                    jobs = [job for job in jobs if job.open]
                    if jobs or not self._migrated:
                        self._write(jobs)
            except Exception as cause:  # the thread must survive any error of the database
                error = LogAway(cause_of(cause))
            if any(job.records for job in jobs):
                self._remember(error)
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                self._loop.call_soon_threadsafe(self._finish, batches, error)
            if error is None and not ending:
                self._clean()
        self._turn.close()
        self._database.close()

    def _next(self) -> list[_Batch | None]:
        """Wait for jobs and return them; return none if there are expired rows to delete."""
        found: list[_Batch | None] = []
        n_jobs, pause = 0, _SLICE_PAUSE if self._cleaning else None
        with contextlib.suppress(queue.Empty):
            while n_jobs < _TOGETHER:
                batch = self._batches.get(block=not found, timeout=pause)
                found.append(batch)
                if batch is None:
                    break
                n_jobs += len(batch.jobs)
        return found

    def _write(self, jobs: list[_Job]) -> None:
        if not self._migrated:
            migrate(self._database)
            self._migrated = True
        records = [record for job in jobs for record in job.records]
        works = [job.work for job in jobs if job.work is not None]
        with self._database.transaction(single=not works and len(records) <= ROWS) as log:
            insert(log, records)
            for work in works:
                work(log)

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
            with (
                contextlib.suppress(Exception),
                self._turn.taken(),
                self._database.transaction() as log,
            ):
                self._cleaning = forget(log, time.time() - self._retention, _SLICE)


def _resolve(jobs: list[_Job], error: LogAway | None) -> None:
    for job in jobs:
        if job.future is None or job.future.done():
            continue
        if error is None:
            job.future.set_result(None)
        else:
            job.future.set_exception(error)
