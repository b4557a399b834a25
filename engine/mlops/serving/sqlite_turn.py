"""A queue with a timeout, for servers that write to one SQLite file."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

if sys.platform != "win32":
    import fcntl


class Turn:
    """Queues with the other servers; after `patience` seconds, a server writes without a turn.

    SQLite has no queue: a server that finds it locked retries after a pause, and a busy server
    hardly ever leaves it unlocked. The kernel releases the lock of a process that dies, but not
    of one that is frozen. To write without a turn is safe: SQLite's own lock still applies.
    """

    def __init__(self, file: Path | None, patience: float) -> None:
        self._file, self._patience = file, patience
        self._waiting: threading.Thread | None = None

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Take the turn, if it comes in time, until the block ends."""
        if self._file is None or sys.platform == "win32":
            yield
            return
        row = None
        if self._waiting is None or not self._waiting.is_alive():
            row = self._lock(self._file.with_name(f"{self._file.name}-turn").open("a"))
        try:
            yield
        finally:
            if row is not None:
                row.close()

    def _lock(self, row: TextIO) -> TextIO | None:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(row, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return row
        state, came, given_up = threading.Lock(), threading.Event(), threading.Event()

        def wait() -> None:
            fcntl.flock(row, fcntl.LOCK_EX)
            with state:
                came.set()
                if given_up.is_set():
                    row.close()

        self._waiting = threading.Thread(target=wait, name="log-turn", daemon=True)
        self._waiting.start()
        came.wait(self._patience)
        with state:
            if came.is_set():
                return row
            given_up.set()
        return None
