"""The address of the prediction log: one reading for all, and no word of it in any message."""

import asyncio
import contextlib
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, unquote

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from databases import Postgres, postgres  # noqa: F401  a fixture
from mlops.database import Database, cause_of, connect
from mlops.database_address import parse_address
from mlops.errors import UserError
from mlops.monitoring.log_reader import read_feedback, read_window
from mlops.prediction_log.log_writer import LogAway, PredictionLog
from mlops.prediction_log.tables import migrate
from paths import PYTHONPATH, ROOT
from pooler import pooler
from production import NOW, PARAMS, VERSION, Log, sales
from project.schema import SCHEMA

WORDS = ("alice", "hunter", "2horse", "db.inner", "6432", "ledger")
"""What stands in the addresses below, and must stand in no message."""

START = "postgresql://alice:hunter"
PLACE = "db.inner:6432/ledger"

NO_ADDRESS = [
    "", " ", "\n", "none", "None", "null", "hunter2horse", "alice:hunter@db.inner/ledger",
    "mysql://", "mysql://alice:hunter@db.inner/ledger", "mssql+pyodbc://alice:hunter@db.inner",
    "postgresql:", "postgresql://", "postgres:///", "postgresql+asyncpg://alice:hunter@db.inner/x",
    "jdbc:postgresql://db.inner/ledger?user=alice&password=hunter", "://", "sqlite", "sqlite:",
    "sqlite:alice.db", "sqlite://", "sqlite:///", "sqlite://alice.db", "sqlite:///:memory:",
    "sqlite:///file:alice.db?uri=true", "sqlite:///alice.db?mode=ro", "sqlite:///alice/",
    "sqlite:///alice\x00.db", "sqlite+pysqlite:///alice.db",
    f"{START}@2horse@{PLACE}", f"{START}/2horse@{PLACE}", f"{START}?2horse@{PLACE}",
    f"{START}#2horse@{PLACE}", f"{START} 2horse@{PLACE}", f"{START}\n2horse@{PLACE}",
    f"{START}%zz@{PLACE}", f"{START}%@{PLACE}", f"{START}%00@{PLACE}", f"{START}%ff@{PLACE}",
    f"{START}@db.inner:port/ledger", f"{START}@db.inner:/ledger", f"{START}@db.inner:0/ledger",
    f"{START}@db.inner:64320000/ledger", f"{START}@db.inner:-1/ledger",
    f"{START}@db.inner:٣/ledger",
    f"{START}@db.inner", f"{START}@db.inner/", f"{START}@/ledger", f"{START}@[::1/ledger",
    f"{START}@db..inner/ledger", f"{START}@{'a' * 64}/ledger", f"{START}@db.inner,hunter/ledger",
    f"{START}@{PLACE}/2horse", f"{START}@{PLACE}?password=2horse", f"{START}@{PLACE}?user=alice",
    f"{START}@{PLACE}?sslmode=require&sslmode=2horse", f"{START}@{PLACE}?sslmode",
    f"{START}@{PLACE}#x",
]  # fmt: skip


def silent(text: str) -> bool:
    return not any(word in text for word in WORDS)


@pytest.mark.parametrize("address", NO_ADDRESS)
def test_what_is_no_address_is_refused_without_a_word_of_it(address: str) -> None:
    with pytest.raises(UserError, match="not an address of a prediction log") as caught:
        parse_address(address)

    assert caught.value.problems
    assert silent(str(caught.value).replace("postgresql://USER:PASSWORD@HOST:PORT/DATABASE", ""))
    for reader in (lambda: read_window(address, VERSION, SCHEMA, PARAMS.monitor, NOW),
                   lambda: read_feedback(address, SCHEMA),
                   lambda: PredictionLog(address, 1, 0)):  # fmt: skip
        with pytest.raises(UserError) as same:
            reader()
        assert str(same.value) == str(caught.value)


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("postgresql://test@127.0.0.1:5432/x", ("test", None, "127.0.0.1", 5432, "x", {})),
        ("postgres://a:b@h/x", ("a", "b", "h", None, "x", {})),
        ("POSTGRESQL://h/x\n", (None, None, "h", None, "x", {})),
        ("postgresql+psycopg://a:@h_1.y/x", ("a", "", "h_1.y", None, "x", {})),
        ("postgresql://a%40b:p%3A%2F%23:%25@[::1]:1/x", ("a@b", "p:/#:%", "::1", 1, "x", {})),
        ("postgresql:///x?host=/run/pg", (None, None, "/run/pg", None, "x", {})),
        ("postgresql://h/x%20y?sslmode=verify-full&options=-c%20a%3Db",
         (None, None, "h", None, "x y", {"sslmode": "verify-full", "options": "-c a=b"})),
    ],
)  # fmt: skip
def test_an_address_is_taken_as_it_is_meant(address: str, parts: tuple[object, ...]) -> None:
    found = parse_address(address)

    assert found.file is None
    given = dict(found.parameters)
    names = ("user", "password", "host", "port", "dbname")
    assert (*(given.pop(name, None) for name in names), given) == parts


def test_an_address_has_no_words_in_a_trace() -> None:
    for address in (f"{START}2horse@{PLACE}", "sqlite:////alice/hunter.db"):
        assert silent(f"{parse_address(address)} {parse_address(address)!r}")


@given(st.text(st.characters(exclude_characters="\0\ufffd", exclude_categories=["Cs"]), min_size=1))
def test_a_password_is_taken_as_it_is_or_refused(password: str) -> None:
    parts = {"user": "u", "password": password, "host": "h", "dbname": "x"}
    assert parse_address(f"postgresql://u:{quote(password, safe='')}@h/x").parameters == parts

    with contextlib.suppress(UserError):
        given = parse_address(f"postgresql://u:{password}@h/x").parameters
        assert given == {**parts, "password": unquote(password)}


@pytest.mark.parametrize(
    "name", ["a#b.db", "%41.db", "ü ß.db", "a&mode=rw.db", "'\"`$.db", "a%.db"]
)
def test_a_file_is_the_same_one_for_who_writes_and_who_reads(name: str, tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/{name}"

    async def use() -> None:
        log = PredictionLog(address, 5, 0)
        log.start()
        await log.check()
        await log.close()

    asyncio.run(use())
    window = read_window(address, VERSION, SCHEMA, PARAMS.monitor, NOW)

    assert window.total == 0
    assert {path.name for path in tmp_path.iterdir()} <= {
        name, f"{name}-turn", f"{name}-wal", f"{name}-shm",
    }  # fmt: skip


AWAY = {
    "postgresql://alice:hunter@127.0.0.1:1/ledger": "nothing answers at its host and port",
    "postgresql://alice:hunter@db.inner.invalid/ledger": "its host is unknown",
    "postgresql://alice:hunter@xn--/ledger": "its host is unknown",
    "postgresql:///ledger?host=/run/alice": "its file can't be opened",
    "sqlite:////alice/hunter.db": "its file can't be opened",
}


@pytest.mark.parametrize("address", AWAY)
def test_a_database_that_is_away_is_told_by_kind(address: str) -> None:
    with pytest.raises(UserError, match="can't be read") as caught:
        read_window(address, VERSION, SCHEMA, PARAMS.monitor, NOW)

    assert AWAY[address] in str(caught.value)
    assert silent(str(caught.value))
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("address", [a for a in AWAY if a.startswith("postgres")])
def test_a_log_that_is_away_leaves_no_word_of_its_address_in_the_servers_log(address: str) -> None:
    async def check() -> None:
        log = PredictionLog(address, 20, 0)
        log.start()
        with pytest.raises(LogAway) as caught:
            await log.check()
        await log.close()
        assert str(caught.value) == AWAY[address]

    asyncio.run(check())


def test_a_server_that_refuses_is_told_by_kind(postgres: Postgres) -> None:  # noqa: F811
    place = f"127.0.0.1:{postgres.port}"
    empty = postgres.new_database()
    told = {
        f"postgresql://alice:hunter@{place}/postgres": "user or password rejected",
        f"postgresql://test:hunter@{place}/ledger": "there is no such database",
        empty: "there is no such table",
    }

    for address, words in told.items():
        with pytest.raises(UserError, match=words) as caught:
            read_window(address, VERSION, SCHEMA, PARAMS.monitor, NOW)
        assert silent(str(caught.value))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ('FATAL: password authentication failed for user "alice"', "user or password"),
        ("fe_sendauth: no password supplied", "user or password"),
        ("could not translate host name \"2horse@db.inner\" to address", "its host is unknown"),
        ("connection timeout expired", "not answer in time"),
        ("server closed the connection unexpectedly", "closed the connection"),
        ("file is not a database", "its file is damaged"),
        ("database or disk is full", "its disk is full"),
        ("database is locked", "locked"),
        ("alice did what nobody knows", "OperationalError"),
    ],
)  # fmt: skip
def test_a_drivers_words_become_a_kind(said: str, kind: str) -> None:
    error = sa.exc.OperationalError("SELECT alice", {"x": "hunter"}, sa.exc.OperationalError)
    error.orig = type("OperationalError", (Exception,), {})(said)

    assert kind in cause_of(error)
    assert silent(cause_of(error))


@pytest.mark.parametrize(
    "address", ["", "mysql://alice:hunter@db.inner", f"{START}@2horse@{PLACE}", "sqlite:///alice/"]
)
def test_the_server_does_not_start_and_leaves_no_word_of_it(address: str, bundle: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlops.serving"],
        env=os.environ
        | {"PREDICTION_LOG_URL": address, "SERVE_BUNDLE": str(bundle), "PYTHONPATH": PYTHONPATH},
        cwd=ROOT,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip

    assert done.returncode == 1
    assert "not an address of a prediction log" in done.stderr
    assert "Traceback" not in done.stderr
    assert silent(done.stdout + done.stderr)


def test_a_pooler_may_stand_before_the_server(postgres: Postgres) -> None:  # noqa: F811
    direct, rows = postgres.new_database(), sales()[:10]
    with pooler(postgres.port) as port:
        pooled = direct.replace(str(postgres.port), str(port))
        log = Log(pooled)
        for _ in range(3):
            ids = log.predict(rows)
            log.tell(ids, rows["price"])
        for _ in range(8):
            window = read_window(pooled, VERSION, SCHEMA, PARAMS.monitor, NOW)
        log.close()

    assert window.total == 30


def test_who_reads_can_not_write(postgres: Postgres) -> None:  # noqa: F811
    address = postgres.new_database()
    with contextlib.closing(Database(parse_address(address), 5)) as log:
        migrate(log)

    with contextlib.closing(connect(parse_address(address), 5, read_only=True)) as connection:
        for _ in range(2):
            with pytest.raises(psycopg.Error) as caught:
                connection.execute("DELETE FROM predictions")
            assert cause_of(caught.value) == "it is read-only"
            connection.rollback()
