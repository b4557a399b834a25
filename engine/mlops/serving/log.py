"""The prediction log: what was answered is in a database before the answer goes out.

One thread writes. Whatever arrived while it was committing goes into its next transaction, so that
a disk that syncs a few hundred times a second still takes thousands of predictions.
"""

import asyncio
import contextlib
import queue
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

if sys.platform != "win32":
    import fcntl

from mlops.database import cause_of, open_database
from mlops.serving.tables import Record, count, forget, insert, migrate, tell, touch

_PENDING = 10_000  # jobs that may wait; more means that the database can't keep up
_TOGETHER = 512  # jobs that a transaction takes
_DAY = 86_400.0
_CLEANING_SECONDS = 3600.0


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
        """Make sure that the log takes writes now.

        Raises:
            LogAway: it doesn't.
        """
        await self._do([], touch)

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
            found = [self._jobs.get()]
            with contextlib.suppress(queue.Empty):
                while len(found) < _TOGETHER:
                    found.append(self._jobs.get_nowait())
            ending = None in found
            jobs = [job for job in found if job is not None]
            error: LogAway | None = None
            try:
                with _turn(self._file):
                    # Nobody waits any longer for a job that is done: its answer was a refusal.
                    jobs = [job for job in jobs if not job.future.done()]
                    self._write(jobs)
            except Exception as cause:  # whatever a database does wrong, the thread lives on
                error = LogAway(cause_of(cause))
            with contextlib.suppress(RuntimeError):  # the loop was closed under way
                self._loop.call_soon_threadsafe(_resolve, jobs, error)

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
            if self._retention and time.monotonic() - self._cleaned > _CLEANING_SECONDS:
                self._cleaned = time.monotonic()
                forget(connection, time.time() - self._retention)


@contextlib.contextmanager
def _turn(file: Path | None) -> Iterator[None]:
    """Wait in a row with the other servers that write to an SQLite file.

    SQLite keeps no row: who finds it locked looks again after a pause, and a busy server leaves
    hardly a moment free. The kernel ends the lock of a process that dies.
    """
    if file is None or sys.platform == "win32":
        yield
        return
    with file.with_name(f"{file.name}-turn").open("a") as row:
        fcntl.flock(row, fcntl.LOCK_EX)
        yield


def _resolve(jobs: list[_Job], error: LogAway | None) -> None:
    for future in (job.future for job in jobs if not job.future.done()):
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
