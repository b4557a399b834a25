"""A Dask scheduler and workers on loopback, each a process of its own, stopped by its id."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paths import PYTHONPATH

SECONDS = 60


class Cluster:
    """A scheduler; workers come and go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        self.processes: list[subprocess.Popen[bytes]] = []
        self._start("scheduler", "--port", str(port))
        deadline = time.monotonic() + SECONDS
        while not listens(port):
            assert time.monotonic() < deadline, "no scheduler"
            time.sleep(0.05)

    def _start(self, *command: str, source: str = PYTHONPATH) -> subprocess.Popen[bytes]:
        fixed = ("--host", "127.0.0.1", "--no-dashboard")
        with (self.folder / f"{command[0]}-{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *command, *fixed],
                cwd=self.folder,
                env=os.environ | {"PYTHONPATH": source},
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def worker(
        self, *options: str, threads: int = 1, source: str = PYTHONPATH
    ) -> subprocess.Popen[bytes]:
        """Start a worker; without a nanny, so that one that is killed stays dead."""
        fixed = ("--no-nanny", "--nworkers", "1", "--nthreads", str(threads))
        return self._start("worker", self.address, *fixed, *options, source=source)

    def stop(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGKILL)
            process.wait()


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Start a scheduler, and stop it and all its workers in the end."""
    started = Cluster(folder)
    try:
        yield started
    finally:
        started.stop()
