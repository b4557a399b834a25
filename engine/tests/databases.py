"""Databases for the prediction log: a Postgres of our own, a disk that is soon full."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from mlops.database import Database
from mlops.database_address import parse_address


class Postgres:
    """A database server on a free port of 127.0.0.1; `url` is that of an empty database."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._folder, self._databases = folder, 0
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:  # it refuses to run as root
            shutil.chown(folder, "nobody")
            self._user = {"user": "nobody"}
        made = ["initdb", "-D", str(folder / "data"), "-U", "test", "-A", "trust", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, cwd="/", **self._user)
        self.running = False
        self.control("start")

    def control(self, action: str, *more: str) -> None:
        """Start or stop it, and wait until it did."""
        data, log = str(self._folder / "data"), str(self._folder / "log")
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self._folder}"
        subprocess.run(
            ["pg_ctl", "-w", "-D", data, "-l", log, "-o", options, action, *more],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
            timeout=60,
            **self._user,
        )
        self.running = action == "start"

    def new_database(self) -> str:
        """Give the URL of an empty database."""
        self._databases += 1
        base, name = f"postgresql://test@127.0.0.1:{self.port}", f"log{self._databases}"
        with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"{base}/{name}"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """Run a Postgres for the tests of a file."""
    if shutil.which("pg_ctl") is None or shutil.which("initdb") is None:
        pytest.skip("Postgres is not installed: apt-get install postgresql")
    # Not in pytest's folder, which each further run of pytest closes to all but root.
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        server = Postgres(Path(folder))
        yield server
        if server.running:
            server.control("stop", "-m", "immediate")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a disk, and not in every container")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def connected(url: str) -> Iterator[Database]:
    """Connect to a log in a transaction of its own."""
    with contextlib.closing(Database(parse_address(url), 5)) as log, log.transaction():
        yield log


def logged(url: str) -> dict[str, tuple[float, float]]:
    """Read from a log what `Load.acknowledged` holds; no prediction may stand in it twice."""
    with connected(url) as connection:
        if url.startswith("sqlite"):
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found = connection.execute(
            "SELECT prediction_id, features, predicted, n_rows FROM predictions"
        ).fetchall()
    rows = {
        name: (features["size"], value)
        for record in found
        for name, features, value in rows_of(*record)
    }
    assert len(rows) == sum(n_rows for *_, n_rows in found)
    return rows


def rows_of(
    record_id: str, features: str, predicted: str, n_rows: int
) -> list[tuple[str, dict[str, Any], Any]]:
    """Give the rows of a record of the log: their ids, features and predicted values."""
    values, predictions = json.loads(features), json.loads(predicted)
    if n_rows == 1:
        return [(record_id, values, predictions)]
    assert {len(column) for column in [*values.values(), predictions]} == {n_rows}
    rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    ids = [f"{record_id[:-4]}{place:04x}" for place in range(n_rows)]
    return list(zip(ids, rows, predictions, strict=True))
