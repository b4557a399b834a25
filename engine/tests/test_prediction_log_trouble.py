"""Trouble around the log: readiness tells it, a neighbour or old rows hold nobody."""

import contextlib
import fcntl
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from databases import logged
from load import Load, wait_for
from served import ROW, Process, running

FULL = "SELECT RAISE(FAIL, 'database or disk is full'); END"
REFUSES = {
    "all predictions": f"BEFORE INSERT ON predictions BEGIN {FULL}",
    "what is smaller than a probe": "BEFORE INSERT ON predictions WHEN length(NEW.features) < 4096 "
    f"BEGIN {FULL}",
    "what comes after": f"AFTER INSERT ON predictions BEGIN {FULL}",
}


def sql(file: Path, text: str) -> None:
    with contextlib.closing(sqlite3.connect(file, timeout=20)) as connection, connection:
        connection.execute(text)


def ready(server: Process) -> bool:
    return server.ask("GET", "/health/ready")[0] == 200


@pytest.mark.parametrize("what", REFUSES)
def test_a_log_that_takes_no_predictions_is_not_ready_until_it_does(
    bundle: Path, tmp_path: Path, what: str
) -> None:
    file = tmp_path / "log.db"
    with running(bundle, f"sqlite:///{file}") as server:
        sql(file, f"CREATE TRIGGER full {REFUSES[what]}")
        assert server.ask("POST", "/predict", {"rows": [ROW]})[0] == 503
        assert not ready(server)
        sql(file, "DROP TRIGGER full")
        assert server.ask("POST", "/predict", {"rows": [ROW]})[0] == 200
        assert ready(server)
        sql(file, f"CREATE TRIGGER full {REFUSES[what]}")
        assert server.ask("POST", "/predict", {"rows": [ROW]})[0] == 503
        sql(file, "DROP TRIGGER full")
        wait_for(lambda: ready(server))  # without a prediction, for it gets none


def test_damaged_pages_are_not_ready(bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "log.db"
    with running(bundle, f"sqlite:///{file}") as server:
        for _ in range(5):
            assert server.ask("POST", "/predict", {"rows": [ROW] * 500})[0] == 200
        with contextlib.closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            tree = "SELECT rootpage FROM sqlite_master WHERE name = 'predictions'"
            (page,) = connection.execute(tree).fetchone()
            (size,) = connection.execute("PRAGMA page_size").fetchone()
        with file.open("r+b") as damaged:
            damaged.seek((page - 1) * size)
            damaged.write(b"\xff" * size)
        sql(file, "UPDATE log_version SET version = version")  # so that caches are read anew
        assert server.ask("POST", "/predict", {"rows": [ROW]})[0] == 503
        assert not ready(server)


def test_old_rows_are_deleted_beside_the_predictions(bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "log.db"
    with running(bundle, f"sqlite:///{file}"):
        pass
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000) "
    of_one = "SELECT hex(randomblob(14)), i, 'v', 'r', '{}', '1', 1 FROM n"
    large = "hex(zeroblob(40000))"  # as large as 1,000 rows
    of_many = f"SELECT hex(randomblob(14)), i, 'v', 'r', {large}, '[]', 1000 FROM n"
    sql(file, f"INSERT INTO predictions {numbers} {of_one}")
    sql(file, f"INSERT INTO predictions {numbers} {of_many} WHERE i % 2000 = 0")
    sql(file, f"INSERT INTO refusals {numbers} SELECT i / 5, 'reason' || i, 1 FROM n")
    with running(bundle, f"sqlite:///{file}", SERVE_LOG_TIMEOUT="1") as server:
        with Load(server.port, 2) as load:
            wait_for(lambda: len(load.acknowledged) > 100)
        assert load.statuses == {200}
        with contextlib.closing(sqlite3.connect(file)) as connection:
            left = "SELECT (SELECT count(*) FROM predictions WHERE at < 1e6) + "
            left += "(SELECT count(*) FROM refusals WHERE at < 1e6)"
            wait_for(lambda: not connection.execute(left).fetchone()[0], 120)
        assert ready(server)
    assert load.acknowledged.items() <= logged(f"sqlite:///{file}").items()


def test_a_turn_that_never_comes_is_not_waited_for(bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "log.db"
    with running(bundle, f"sqlite:///{file}", SERVE_LOG_TIMEOUT="4") as server:
        with (tmp_path / "log.db-turn").open("a") as row:
            fcntl.flock(row, fcntl.LOCK_EX)
            with Load(server.port, 4) as load:
                wait_for(lambda: len(load.acknowledged) > 50)
            assert ready(server)
        with Load(server.port, 4) as after:
            wait_for(lambda: len(after.acknowledged) > 50)
    assert load.statuses == after.statuses == {200}
    known = logged(f"sqlite:///{file}")
    assert (load.acknowledged | after.acknowledged).items() <= known.items()


def test_a_frozen_neighbour_is_told_by_readiness_and_loses_nothing(
    bundle: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/log.db"
    patience = {"SERVE_LOG_TIMEOUT": "2"}
    with (
        running(bundle, url, **patience) as server,
        running(bundle, url, **patience) as other,
        Load(server.port, 2) as load,
        Load(other.port, 2) as stopped,
    ):
        for _ in range(3):
            wait_for(lambda: len(stopped.acknowledged) > 20)
            other.process.send_signal(signal.SIGSTOP)
            try:
                for _ in range(3):
                    before = server.ask("POST", "/predict", {"rows": [ROW]})[0]
                    assert before in (200, 503)
                    assert before == 503 or ready(server)
            finally:
                other.process.send_signal(signal.SIGCONT)
            wait_for(lambda: ready(server))
            time.sleep(0.3)
    known = logged(url)
    assert (load.acknowledged | stopped.acknowledged).items() <= known.items()


@pytest.mark.parametrize("unknown", ["0" * 28, "f", "ab" * 32])
def test_unknown_ids_take_nothing_from_the_allowance_of_others(
    bundle: Path, tmp_path: Path, unknown: str
) -> None:
    settings = {"SERVE_FEEDBACK_PER_MINUTE": "2"}
    with running(bundle, f"sqlite:///{tmp_path}/log.db", **settings) as server:
        name = server.ask("POST", "/predict", {"rows": [ROW]})[1]["prediction_ids"][0]
        for _ in range(5):
            told = {"prediction_id": unknown, "actual": 5000}
            assert server.ask("POST", "/feedback", told)[0] == 404
        told = {"prediction_id": name, "actual": 5000}
        answers = [server.ask("POST", "/feedback", told)[0] for _ in range(3)]
        assert answers == [200, 200, 429]
