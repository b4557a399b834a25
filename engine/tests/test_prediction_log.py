"""The prediction log: what was acknowledged is in it once, whatever is killed, full or away."""

import asyncio
import contextlib
import os
import queue
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from databases import Postgres, connected, logged, postgres, small_disk  # noqa: F401  fixtures
from load import Load, wait_for
from mlops.database import Database
from mlops.database_address import parse_address
from mlops.prediction_log import log_writer, tables
from mlops.prediction_log.tables import migrate
from served import PATIENCE, ROW, running

KILLS = int(os.environ.get("MLOPS_KILLS", "50"))
"""How often the slow tests kill."""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give an empty log."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/log.db"
    return request.getfixturevalue("postgres").new_database()


def kill_under_load(bundle: Path, url: str, times: int) -> None:
    acknowledged = {}
    for number in range(times):
        with running(bundle, url) as server, Load(server.port) as load:
            least = 20 + 7 * number
            wait_for(lambda load=load, least=least: len(load.acknowledged) > least)
            server.end(signal.SIGKILL)
        acknowledged |= load.acknowledged
        assert load.statuses == {200}
    assert acknowledged.items() <= logged(url).items()


def test_a_killed_server_loses_no_acknowledged_prediction(bundle: Path, url: str) -> None:
    kill_under_load(bundle, url, 2)


@pytest.mark.slow
def test_a_server_killed_over_and_over_loses_none(bundle: Path, url: str) -> None:
    kill_under_load(bundle, url, KILLS)


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_postgres_may_stop_and_come_back_under_load(
    bundle: Path,
    postgres: Postgres,  # noqa: F811
    how: str,
) -> None:
    url = postgres.new_database()
    with running(bundle, url) as server:
        with Load(server.port, 4) as load:
            wait_for(lambda: len(load.acknowledged) > 20)
            postgres.control("stop", "-m", how)
            wait_for(lambda: 503 in load.statuses)
            assert server.ask("GET", "/health/ready")[0] == 503
            postgres.control("start")
            before = len(load.acknowledged)
            wait_for(lambda: len(load.acknowledged) > before + 20)
        assert server.ask("GET", "/health/ready")[0] == 200
    assert load.statuses == {200, 503}
    assert all(b"retry-after: " in a.head for a in load.answers if a.status == 503)
    assert load.acknowledged.items() <= logged(url).items()


def test_a_full_disk_refuses_until_there_is_room(bundle: Path, small_disk: Path) -> None:  # noqa: F811
    url = f"sqlite:///{small_disk}/log.db"
    filler = small_disk / "filler"
    with running(bundle, url) as server:
        with Load(server.port) as load:
            wait_for(lambda: len(load.acknowledged) > 20)
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while file.write(b"x" * 4096):
                    pass
            wait_for(lambda: 503 in load.statuses)
            # A small write may still find room where a larger one was rolled back.
            wait_for(lambda: server.ask("GET", "/health/ready")[0] == 503)
            filler.unlink()
            before = len(load.acknowledged)
            wait_for(lambda: len(load.acknowledged) > before + 20)
        assert server.ask("GET", "/health/ready")[0] == 200
    assert load.statuses == {200, 503}
    assert load.unanswered == 0
    assert load.acknowledged.items() <= logged(url).items()


def test_a_locked_log_refuses_until_it_is_free(bundle: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/log.db"
    with running(bundle, url, SERVE_LOG_TIMEOUT="0.3") as server:
        assert server.ask("POST", "/predict", {"rows": [ROW]})[0] == 200
        other = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with Load(server.port, 4) as load:
            wait_for(lambda: load.answers)
            assert load.statuses == {503}
            assert server.ask("GET", "/health/ready")[0] == 503
            other.execute("ROLLBACK")
            other.close()
            wait_for(lambda: len(load.acknowledged) > 20)
        assert server.ask("GET", "/health/ready")[0] == 200
    assert load.acknowledged.items() <= logged(url).items()


def test_writes_do_not_pile_up_behind_a_database_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "_PENDING", 3)
    hanging = log_writer.PredictionLog(f"sqlite:///{tmp_path}/log.db", 0.01, 0)
    monkeypatch.setattr(hanging._thread, "start", lambda: None)

    async def refusals() -> list[str]:
        hanging.start()
        tried = [hanging.predictions([]) for _ in range(5)]
        return [str(error) for error in await asyncio.gather(*tried, return_exceptions=True)]

    assert asyncio.run(refusals()) == ["no answer in 0.01 s"] * 3 + ["3 writes are waiting"] * 2


ADDED = "ALTER TABLE predictions ADD COLUMN region TEXT NOT NULL DEFAULT 'unknown'"


def write_earlier_log(url: str, *ages: float) -> None:
    """Write a log of the first version, a prediction and its feedback for each age in days."""
    with connected(url) as connection:
        for statement in tables.MIGRATIONS[0]:
            connection.execute(statement)
        connection.execute("CREATE TABLE log_version (version INTEGER)")
        connection.execute("INSERT INTO log_version VALUES (1)")
        for place, age in enumerate(ages):
            name, at = f"{place:02x}", time.time() - 86_400 * age
            row = "(?, ?, 'v', 'r', '{\"size\": 1}', '2')"
            connection.execute(f"INSERT INTO predictions VALUES {row}", name, at)
            connection.execute("INSERT INTO feedback VALUES (?, ?, '3')", name, at)


def test_an_earlier_log_is_brought_up_to_date_with_its_rows(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_earlier_log(url, 1, 2)
    monkeypatch.setattr(tables, "MIGRATIONS", [*tables.MIGRATIONS, (ADDED,)])
    for _ in range(2):  # the second time there is nothing left to do
        with contextlib.closing(Database(parse_address(url), 5)) as log:
            migrate(log)

    with connected(url) as connection:
        rows = connection.execute("SELECT prediction_id, region FROM predictions").fetchall()
        version = connection.execute("SELECT version FROM log_version").fetchone()
    assert sorted(rows) == [("00", "unknown"), ("01", "unknown")]
    assert version == (len(tables.MIGRATIONS),)


def test_a_migration_that_fails_changes_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_earlier_log(url, 1)
    monkeypatch.setattr(tables, "MIGRATIONS", [*tables.MIGRATIONS, (ADDED, "NO SUCH STATEMENT")])
    with (
        contextlib.closing(Database(parse_address(url), 5)) as log,
        pytest.raises((sqlite3.Error, psycopg.Error)),
    ):
        migrate(log)

    with connected(url) as connection:
        found = connection.execute("SELECT * FROM predictions")
        version = connection.execute("SELECT version FROM log_version").fetchone()
        assert [column[0] for column in found.description][-1] == "predicted"
        assert (len(found.fetchall()), version) == (1, (1,))


def test_a_log_of_a_newer_release_is_refused_and_left_alone(bundle: Path, url: str) -> None:
    write_earlier_log(url, 1)
    with connected(url) as connection:
        connection.execute("UPDATE log_version SET version = 99")
    with running(bundle, url, ready="/health/live") as server:
        assert server.ask("POST", "/predict", {"rows": [ROW]})[0] == 503
        assert server.ask("GET", "/health/ready")[0] == 503
        output = server.end()[1]
    assert "newer than this release supports" in output
    with connected(url) as connection:
        found = connection.execute("SELECT prediction_id FROM predictions").fetchall()
    assert found == [("00",)]


@pytest.mark.parametrize(("days", "kept"), [("2", ["00"]), ("0", ["00", "01"])])
def test_rows_are_kept_as_long_as_the_settings_say(
    bundle: Path, url: str, days: str, kept: list[str]
) -> None:
    write_earlier_log(url, 1.9, 2.1)
    with running(bundle, url, SERVE_RETENTION_DAYS=days) as server:
        new = server.ask("POST", "/predict", {"rows": [ROW]})[1]["prediction_ids"]
        told = {"prediction_id": "00", "actual": 5000}
        assert server.ask("POST", "/feedback", told)[0] == 200

    assert sorted(logged(url)) == sorted([*kept, *new])
    with connected(url) as connection:
        feedback = connection.execute("SELECT prediction_id FROM feedback").fetchall()
    assert sorted(feedback) == [(name,) for name in kept]


def test_several_servers_may_start_at_once_on_one_empty_log(bundle: Path, url: str) -> None:
    with running(bundle, url) as first, running(bundle, url) as second:
        with Load(first.port, 4) as one, Load(second.port, 4) as two:
            wait_for(lambda: min(len(one.acknowledged), len(two.acknowledged)) > 50)
        assert one.statuses == two.statuses == {200}
    assert (one.acknowledged | two.acknowledged).items() <= logged(url).items()


def records(n: int) -> list[tables.Record]:
    return [(f"{k:024x}", 1.0, "v", "r", '{"size": 1}', "1", 1) for k in range(n)]


def test_the_jobs_of_a_turn_of_the_event_loop_are_handed_over_together(tmp_path: Path) -> None:
    url, handed_over = f"sqlite:///{tmp_path}/log.db", []

    class Batches(queue.SimpleQueue[Any]):
        def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
            handed_over.append(item and len(item.jobs))
            super().put(item)

    async def predict() -> None:
        log = log_writer.PredictionLog(url, timeout=5.0, retention_days=0)
        log._batches = Batches()
        log.start()
        await asyncio.gather(*(log.predictions([one]) for one in records(40)))
        await log.close()

    asyncio.run(predict())
    assert handed_over == [40, None]
    assert len(logged(url)) == 40


@pytest.mark.parametrize("n_rows", [1, 99, 100, 101, 200, 250])
def test_any_number_of_rows_is_written_whole_or_not_at_all(n_rows: int, url: str) -> None:
    rows = records(n_rows)

    async def write() -> list[type | None]:
        log = log_writer.PredictionLog(url, timeout=PATIENCE, retention_days=0)
        log.start()
        again = [(f"{k + 1000:024x}", *row[1:]) for k, row in enumerate(rows)]
        outcomes = []
        for several in (rows, [*again, rows[-1]], again):  # the second repeats an id
            try:
                await log.predictions(several)
            except log_writer.LogAway:
                outcomes.append(log_writer.LogAway)
            else:
                outcomes.append(None)
        await log.close()
        return outcomes

    assert asyncio.run(write()) == [None, log_writer.LogAway, None]
    assert len(logged(url)) == 2 * n_rows


def test_a_log_that_is_closed_in_the_same_turn_still_writes_the_jobs(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/log.db"

    async def predict_and_close() -> None:
        log = log_writer.PredictionLog(url, timeout=5.0, retention_days=0)
        log.start()
        asking = [log.predictions([one]) for one in records(3)]
        await asyncio.sleep(0)
        await log.close()
        await asyncio.wait_for(asyncio.gather(*asking), 5)

    asyncio.run(predict_and_close())
    assert len(logged(url)) == 3


def test_a_prediction_that_was_refused_before_its_transaction_is_not_written(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/log.db"
    kept, refused = records(2)

    async def late() -> None:
        log = log_writer.PredictionLog(url, timeout=0.2, retention_days=0)
        log.start()
        await log.predictions([kept])
        busy = log._submit([], lambda connection: time.sleep(0.6))
        await asyncio.sleep(0.05)  # the thread is at it
        with pytest.raises(log_writer.LogAway):
            await log.predictions([refused])
        with pytest.raises(log_writer.LogAway):
            await busy
        await asyncio.sleep(0.5)
        await log.close()

    asyncio.run(late())
    assert list(logged(url)) == [kept[0]]


def test_a_server_that_restarted_costs_no_refused_request(postgres: Postgres) -> None:  # noqa: F811
    url = postgres.new_database()
    rows = records(3)

    async def write() -> None:
        log = log_writer.PredictionLog(url, timeout=PATIENCE, retention_days=0)
        log.start()
        await log.predictions(rows[:1])
        for how, row in (("fast", rows[1]), ("immediate", rows[2])):
            postgres.control("stop", "-m", how)
            postgres.control("start")
            await log.predictions([row])
            await log.check()
        await log.close()

    asyncio.run(write())
    assert list(logged(url)) == [row[0] for row in rows]


def test_a_transaction_that_fails_changes_nothing_and_the_next_one_is_whole(url: str) -> None:
    kept, undone = records(2)
    with contextlib.closing(Database(parse_address(url), 5)) as log:
        migrate(log)
        with contextlib.suppress(ZeroDivisionError), log.transaction():
            tables.insert(log, [undone])
            raise ZeroDivisionError
        for row in (kept, kept):  # a repeated id fails
            with contextlib.suppress(sqlite3.Error, psycopg.Error), log.transaction(single=True):
                tables.insert(log, [row])
        with log.transaction():
            found = log.execute("SELECT prediction_id FROM predictions WHERE '%' < ?", "a")
            assert found.fetchall() == [(kept[0],)]
