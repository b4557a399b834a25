"""Rows of a database as the next partition: typed by the schema, each day once, never half."""

import datetime
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from databases import Postgres, connected, postgres  # noqa: F401  fixture
from mlops.collect.cells import as_rows
from mlops.collect.collect_rows import collect
from mlops.collect.source_database import QUERY, VARIABLE, read_query
from mlops.columns import Column, Schema
from mlops.errors import UserError
from mlops.frames import as_frame
from mlops.paths import FEEDBACK
from mlops.pipeline.partitions import read_partitions
from source_rows import put

ZONE = "Europe/Berlin"
ORDERS = Schema(
    (
        Column("order_id", "Number", int, low=1, role="key"),
        Column("ordered", "Moment of the order", datetime.datetime, role="time"),
        Column("express", "Is express", bool),
        Column("weight", "Weight", float, "kg", 0, 100, nullable=True),
        Column("note", "Words of the client", str, nullable=True, role="input"),
        Column("cost", "Cost of the delivery", float, "EUR", 0.01, role="target"),
    ),
    timezone=ZONE,
)
SELECT = "SELECT * FROM orders WHERE ordered >= :since AND ordered < :until;\n"
TODAY = datetime.date(2026, 3, 10)

SQLITE = (
    "CREATE TABLE orders (order_id INTEGER, ordered TEXT, express INTEGER, weight NUMERIC,"
    " note TEXT, cost NUMERIC)"
)
POSTGRES = (
    "CREATE TABLE orders (order_id bigint, ordered timestamptz, express boolean,"
    " weight numeric(9, 3), note text, cost double precision)"
)


class Database:
    """A database of orders, and its address in the environment."""

    def __init__(self, url: str, made: str) -> None:
        self.url = url
        self.run(made)

    def run(self, statement: str) -> None:
        with connected(self.url) as connection:
            connection.execute(statement)

    def add(self, *rows: tuple[int, str]) -> None:
        """Add orders by number and moment."""
        with connected(self.url) as connection:
            for number, moment in rows:
                connection.execute(
                    "INSERT INTO orders VALUES (?, ?, ?, 1.25, 'a, \"b\"', 9.5)",
                    number, self._moment(moment), True,
                )  # fmt: skip

    def _moment(self, text: str) -> Any:
        return text if self.url.startswith("sqlite") else datetime.datetime.fromisoformat(text)


@pytest.fixture(params=["sqlite", "postgres"])
def database(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Database:
    monkeypatch.chdir(tmp_path)
    put(tmp_path / QUERY, SELECT)
    if request.param == "sqlite":
        made = Database(f"sqlite:///{tmp_path}/orders.db", SQLITE)
    else:
        server: Postgres = request.getfixturevalue("postgres")
        made = Database(server.new_database(), POSTGRES)
    monkeypatch.setenv(VARIABLE, made.url)
    monkeypatch.setattr("mlops.pipeline.source_folder.STILL_SECONDS", 0.0)
    return made


def collected(today: datetime.date = TODAY, **options: bool) -> Path | None:
    return collect("source", ORDERS, today, **options)


def present() -> pd.DataFrame:
    return as_frame(read_partitions("source", ORDERS))[ORDERS.names].sort_values("order_id")


def test_rows_are_typed_by_the_schema_and_a_day_is_taken_once_it_is_over(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    # In Berlin, the second is of the 2nd of March, and the last of the day that is not over.
    database.add(
        (1, "2026-03-01T12:00:00+00:00"),
        (2, "2026-03-01T23:30:00+00:00"),
        (3, "2026-03-09T22:59:59+00:00"),
        (4, "2026-03-09T23:00:00+00:00"),
    )

    path = collected()

    assert path == Path("source/2026-03-01_2026-03-09.csv")
    rows = present()
    assert rows["order_id"].tolist() == [1, 2, 3]
    assert rows["ordered"].astype(str).tolist() == [
        "2026-03-01 13:00:00",
        "2026-03-02 00:30:00",
        "2026-03-09 23:59:59",
    ]
    assert rows["express"].tolist() == [1.0] * 3
    assert rows["weight"].tolist() == [1.25] * 3
    assert rows["cost"].tolist() == [9.5] * 3
    assert rows["note"].tolist() == ['a, "b"'] * 3
    assert "3 new row(s) from the first day, up to 2026-03-09" in capsys.readouterr().out


def test_a_second_run_adds_nothing_and_the_next_day_only_what_is_new(database: Database) -> None:
    database.add((1, "2026-03-08T12:00:00+00:00"), (2, "2026-03-09T12:00:00+00:00"))
    first = collected()
    assert first is not None
    content = first.read_bytes()

    assert collected() is None
    database.add((3, "2026-03-10T01:00:00+00:00"))
    assert collected() is None  # that day is not over
    assert collected(TODAY + datetime.timedelta(days=1)) == Path("source/2026-03-10_2026-03-10.csv")
    assert first.read_bytes() == content
    assert present()["order_id"].tolist() == [1, 2, 3]


def test_rows_that_come_late_are_named_and_taken_when_asked(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    database.add((1, "2026-03-05T12:00:00+00:00"), (2, "2026-03-09T12:00:00+00:00"))
    collected()
    database.add((7, "2026-03-06T12:00:00+00:00"), (8, "2026-03-09T13:00:00+00:00"))

    assert collected() is None
    said = capsys.readouterr().out
    assert "2 late row(s), of days up to 2026-03-09 that were collected before: order_id " in said
    assert "not collected: pass --late" in said
    assert present()["order_id"].tolist() == [1, 2]

    assert collected(late=True) == Path("source/2026-03-06_2026-03-09_late.csv")
    assert present()["order_id"].tolist() == [1, 2, 7, 8]
    capsys.readouterr()
    assert collected() is None
    assert "late" not in capsys.readouterr().out


def test_a_dry_run_writes_nothing(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    database.add((1, "2026-03-05T12:00:00+00:00"))

    assert collected(dry=True) is None

    assert "1 new row(s)" in capsys.readouterr().out
    assert not Path("source").exists()


def test_feedback_is_no_row_of_the_source(database: Database) -> None:
    database.add((1, "2026-03-05T12:00:00+00:00"))
    collected()
    told = "order_id,ordered,express,weight,note,cost\n99,2026-03-09T10:00:00,true,,,5\n"
    put(Path("source") / FEEDBACK, told)
    database.add((2, "2026-03-06T12:00:00+00:00"))

    assert collected() == Path("source/2026-03-06_2026-03-06.csv")


def test_a_partition_is_written_whole_or_not_at_all(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.add((1, "2026-03-05T12:00:00+00:00"))

    def cut(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mlops.files._sync", cut)
        with pytest.raises(KeyboardInterrupt):
            collected()
    assert not list(Path("source").iterdir())
    assert collected() is not None


def test_texts_of_several_lines_come_as_they_are(database: Database) -> None:
    database.add((1, "2026-03-05T12:00:00+00:00"), (2, "2026-03-06T12:00:00+00:00"))
    database.run("UPDATE orders SET note = 'x\ny' WHERE order_id = 1")

    assert collected() == Path("source/2026-03-05_2026-03-06.parquet")

    assert present()["note"].tolist() == ["x\ny", 'a, "b"']
    assert present()["express"].tolist() == [1.0, 1.0]
    assert collected() is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE orders SET order_id = 1", "1 duplicate key(s)"),
        ("UPDATE orders SET order_id = NULL", "row 1: order_id: found nothing, wanted a whole"),
        ("ALTER TABLE orders ADD COLUMN age integer", "unknown column(s) 'age'"),
        ("ALTER TABLE orders RENAME COLUMN cost TO price", "missing column(s) cost"),
        ("DROP TABLE orders", "data/query.sql names a table that does not exist"),
    ],
)
def test_what_does_not_fit_is_refused_whole(database: Database, change: str, said: str) -> None:
    database.add((1, "2026-03-05T12:00:00+00:00"), (2, "2026-03-06T12:00:00+00:00"))
    database.run(change)

    with pytest.raises(UserError) as error:
        collected()

    assert said in str(error.value)
    assert not list(Path().glob("source/*"))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT * FROM orders", "found the parameters none, wanted :since and :until"),
        (f"{SELECT[:-2]} AND order_id > :least", "found the parameters :least, :since, :until"),
        (SELECT.replace("FROM", "FORM"), "data/query.sql is not valid SQL for it"),
        (SELECT.replace("*", "colour"), "data/query.sql names a column that does not exist"),
        ("DELETE FROM orders WHERE ordered >= :since AND ordered < :until", "read"),
    ],
)
def test_a_faulty_query_is_told_by_kind(database: Database, query: str, said: str) -> None:
    database.add((1, "2026-03-05T12:00:00+00:00"))
    put(QUERY, query)

    with pytest.raises(UserError) as error:
        collected()

    assert said in str(error.value)
    put(QUERY, SELECT)
    assert collected() is not None  # nothing was deleted


def test_a_missing_query_is_told_with_an_example(database: Database) -> None:
    QUERY.unlink()

    with pytest.raises(UserError, match=r"data/query\.sql: can't be read.*\n.*:since AND"):
        collected()


SECRET = "hunter2-of-owl"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (f"postgresql://owl:{SECRET}@127.0.0.1:1/orders", "nothing answers at its host and port"),
        (f"postgresql://owl:{SECRET}@x@127.0.0.1/orders", "must be percent-encoded"),
        (f"owl:{SECRET}@127.0.0.1/orders", "not an address of a database"),
        (f"no_such_dialect://owl:{SECRET}@127.0.0.1/orders", "no_such_dialect:// is not installed"),
        (f"mysql+pymysql://owl:{SECRET}@127.0.0.1/orders", "mysql+pymysql:// is not installed"),
        (f"mssql+pyodbc://owl:{SECRET}@127.0.0.1:port/orders", VARIABLE),
        (f"sqlite:////nowhere/{SECRET}.db", "its file can't be opened"),
    ],
)
def test_no_message_holds_a_piece_of_the_address(
    address: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path / QUERY, SELECT)
    monkeypatch.setenv(VARIABLE, address)

    with pytest.raises(UserError) as error:
        collected()

    assert said in str(error.value)
    assert str(error.value).startswith(VARIABLE)
    assert SECRET not in str(error.value)
    assert "owl" not in str(error.value)
    assert error.value.__cause__ is None


def test_without_an_address_nothing_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)

    assert collected() is None
    assert f"{VARIABLE} is not set: no database to collect from" in capsys.readouterr().out


@pytest.mark.parametrize("source", ["s3://bucket/rows", "https://example.org/rows"])
def test_a_source_elsewhere_is_not_written_to(
    source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, "sqlite:///orders.db")
    put(tmp_path / QUERY, SELECT)

    with pytest.raises(UserError, match="collect writes into a folder of this repository"):
        collect(source, ORDERS, TODAY)


def test_a_row_that_was_taken_of_another_day_is_named(database: Database) -> None:
    database.add((1, "2026-03-05T12:00:00+00:00"))
    collected()
    database.run("DELETE FROM orders")
    database.add((1, "2026-03-07T12:00:00+00:00"))

    with pytest.raises(UserError, match="order_id 1: has an earlier day in source"):
        collected()


# Cells

NAMES = ["order_id", "ordered", "express", "weight", "note", "cost"]
MOMENT = datetime.datetime(2026, 3, 1, 12)
GOOD: dict[str, Any] = dict(zip(NAMES, [1, MOMENT, True, 1.5, "a", 9], strict=True))


def cells(**changes: Any) -> dict[str, Any]:
    return dict(as_rows(NAMES, [list((GOOD | changes).values())], ORDERS).iloc[0])


@pytest.mark.parametrize(
    ("name", "cell", "value"),
    [
        ("cost", Decimal("9.25"), 9.25),
        ("order_id", Decimal("7"), 7),
        ("order_id", 7.0, 7),
        ("express", 0, 0.0),
        ("express", False, 0.0),
        ("weight", None, None),
        ("note", "", None),
        ("note", uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ("ordered", "2026-07-01 12:00:00+00:00", pd.Timestamp("2026-07-01 14:00")),
        ("ordered", datetime.date(2026, 3, 1), pd.Timestamp("2026-03-01")),
        ("ordered", MOMENT.replace(tzinfo=datetime.UTC), pd.Timestamp("2026-03-01 13:00")),
    ],
)
def test_a_cell_of_the_same_kind_is_taken(name: str, cell: Any, value: Any) -> None:
    found = cells(**{name: cell})[name]

    assert pd.isna(found) if value is None else found == value


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("cost", "9.5"),
        ("cost", True),
        ("order_id", 1.5),
        ("order_id", "1"),
        ("express", 2),
        ("express", "yes"),
        ("note", 5),
        ("note", b"a"),
        ("ordered", "soon"),
        ("ordered", 1_700_000_000),
    ],
)
def test_a_cell_of_another_kind_is_named(name: str, cell: Any) -> None:
    with pytest.raises(UserError, match=f"row 1: {name}: found {cell} ") as error:
        cells(**{name: cell})

    assert f"({type(cell).__name__}), wanted {ORDERS[name].wanted}" in str(error.value)


def test_all_cells_of_another_kind_are_named_at_once() -> None:
    rows = [[1, MOMENT, 5, "x", "a", 9], [2, None, True, 1, "a", "y"]]

    with pytest.raises(UserError) as error:
        as_rows(NAMES, rows, ORDERS)

    assert [line.split(": found")[0].strip() for line in error.value.problems] == [
        "row 2: ordered",
        "row 1: express",
        "row 1: weight",
        "row 2: cost",
    ]


def test_a_moment_that_is_no_midnight_is_no_day() -> None:
    days = Schema((ORDERS.columns[0], Column("day", "Day", datetime.date, role="time"),
                   *ORDERS.columns[2:]), timezone=ZONE)  # fmt: skip
    names = ["order_id", "day", *NAMES[2:]]

    def read(moment: Any) -> pd.DataFrame:
        return as_rows(names, [[1, moment, True, 1, "a", 9]], days)

    berlin = datetime.datetime(2026, 2, 28, 23, tzinfo=datetime.UTC)
    assert read(berlin)["day"].tolist() == [pd.Timestamp("2026-03-01")]
    assert read("2026-03-01")["day"].tolist() == [pd.Timestamp("2026-03-01")]
    with pytest.raises(UserError, match=r"row 1: day: found 2026-03-01 12:00:00 .datetime., "):
        read(MOMENT)


def test_a_nullable_column_that_the_query_lacks_lacks_in_the_partition(database: Database) -> None:
    database.add((1, "2026-03-05T12:00:00+00:00"))
    put(QUERY, SELECT.replace("*", "order_id, ordered, express, cost, note"))

    path = collected()

    assert path is not None
    assert path.read_text().splitlines()[0] == "order_id,ordered,express,note,cost"


def test_a_new_nullable_column_comes_with_the_next_partition(database: Database) -> None:
    database.add((1, "2026-03-05T12:00:00+00:00"))
    put(QUERY, SELECT.replace("*", "order_id, ordered, express, cost"))
    collected()
    database.add((2, "2026-03-06T12:00:00+00:00"))
    put(QUERY, SELECT)

    assert collected() == Path("source/2026-03-06_2026-03-06.csv")

    assert present()["weight"].fillna(0).tolist() == [0, 1.25]


def test_casts_and_quoted_colons_are_no_parameters(tmp_path: Path) -> None:
    text = "SELECT '12:30', a::date FROM t WHERE b >= :since AND b < :until -- till then"
    query = read_query(put(tmp_path / "query.sql", text))

    assert set(query.compile().params) == {"since", "until"}
