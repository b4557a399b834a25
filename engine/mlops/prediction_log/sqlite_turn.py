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
        self._row: TextIO | None = None
        self._waiting: threading.Thread | None = None

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Take the turn, if it comes in time, until the block ends."""
        if self._file is None or sys.platform == "win32":
            yield
            return
        if self._row is None:
            self._row = self._file.with_name(f"{self._file.name}-turn").open("a")
        has_turn = not self._still_waits() and self._lock(self._row)
        try:
            yield
        finally:
            if has_turn:
                fcntl.flock(self._row, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file, unless a thread still waits for it."""
        if self._row is not None and not self._still_waits():
            self._row.close()

    def _still_waits(self) -> bool:
        return self._waiting is not None and self._waiting.is_alive()

    def _lock(self, row: TextIO) -> bool:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(row, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        state, came, given_up = threading.Lock(), threading.Event(), threading.Event()

        def wait() -> None:
            fcntl.flock(row, fcntl.LOCK_EX)
            with state:
                came.set()
                if given_up.is_set():
                    fcntl.flock(row, fcntl.LOCK_UN)

        self._waiting = threading.Thread(target=wait, name="log-turn", daemon=True)
        self._waiting.start()
        came.wait(self._patience)
        with state:
            if not came.is_set():
                given_up.set()
            return came.is_set()
