"""The next file of an adopted system, dropped into the source as it comes: read by its form."""

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlops.adopt.next_export import prepare, write_next
from mlops.adopt.parse_column import Asked
from mlops.adopt.proposal import propose
from mlops.adopt.reading import read_table
from mlops.columns import Column, Schema
from mlops.errors import UserError
from mlops.frames import as_frame
from mlops.paths import SOURCE_FORM
from mlops.pipeline.partitions import read_partitions
from mlops.timestamps import parse_time
from paths import DEMO

N = 60
CASES = Path(__file__).parent / "cases"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mlops.pipeline.source_folder.STILL_SECONDS", 0)
    folder = tmp_path / "data/source"
    folder.mkdir(parents=True)
    return folder


def adopt(
    source: Path, file: Path, target: str, asked: Asked | None = None, time: str | None = None
) -> Schema:
    """Put a file into the source as the command does, without a repository around it."""
    reading = read_table(file, asked)
    found = propose(reading.table, target, time=time, doubts=reading.doubts)
    made = {column.name for column in found.columns} - set(found.names.values())
    form = replace(reading.form, names=found.names, numbered="".join(made))
    SOURCE_FORM.parent.mkdir(parents=True, exist_ok=True)
    SOURCE_FORM.write_text(form.text(), encoding="utf-8")
    if form.dialect is None:
        found.rows.to_parquet(source / "first.parquet", index=False)
    else:
        found.rows.to_csv(source / "first.csv", index=False)
    return Schema(found.columns, timezone=form.zone_of(time) or "UTC")


def rows_of(source: Path, schema: Schema) -> pd.DataFrame:
    return as_frame(read_partitions(str(source), schema))


def german(first: int, rows: int, price: str = "{},25") -> str:
    lines = [
        f"K{n:04};{n % 37},5;{'TRUE' if n % 3 else 'FALSE'};{price.format(n * 7919 % 991)}"
        for n in range(first, first + rows)
    ]
    return "\n".join(["Kunden Nr;Fläche (m2);Pool;Kauf Preis", *lines]) + "\n"


def test_a_file_of_the_adopted_system_is_read_where_it_is_dropped(
    source: Path, tmp_path: Path
) -> None:
    (tmp_path / "first.csv").write_text(german(1, N), encoding="utf-8")
    schema = adopt(source, tmp_path / "first.csv", "Kauf Preis")
    (source / "second.csv").write_text(german(N + 1, 5), encoding="utf-8")
    (source / "third.CSV.gz").write_bytes(gzip.compress(german(N + 6, 5).encode()))

    found = rows_of(source, schema)

    assert found["kunden_nr"].tolist() == [f"K{n:04}" for n in range(1, N + 11)]
    assert found["kauf_preis"].tolist()[-1] == (N + 10) * 7919 % 991 + 0.25
    assert found["flache"].tolist()[-1] == (N + 10) % 37 + 0.5
    assert found["pool"].tolist()[-3:] == [1.0, 0.0, 1.0]
    assert found["__line__"].tolist()[-5:] == [2, 3, 4, 5, 6]


def test_the_companys_next_export_of_the_cases_is_taken_as_it_comes(source: Path) -> None:
    schema = adopt(source, CASES / "h05_orig.csv", "Sale Price")
    (source / "h05_next.csv").write_bytes((CASES / "h05_next.csv").read_bytes())

    found = rows_of(source, schema)

    assert found["id"].tolist() == list(range(1, 321))
    assert found["sale_price"].tolist()[-1] == 798.0
    assert found["has_pool"].tolist()[-1] == 1.0


def test_a_parquet_export_is_taken_as_it_comes(source: Path, tmp_path: Path) -> None:
    def export(first: int, rows: int) -> pd.DataFrame:
        numbers = pd.Series(range(first, first + rows))
        return pd.DataFrame({
            "Customer Id": numbers + 10**6, "How Large": numbers * 7919 % 97 / 2,
            "Price": numbers * 104729 % 991 / 2 + 0.25, "empty": "always",
        })  # fmt: skip

    export(1, N).to_parquet(tmp_path / "first.parquet")
    schema = adopt(source, tmp_path / "first.parquet", "Price")
    export(N + 1, 4).to_parquet(source / "second.parquet")

    assert rows_of(source, schema)["customer_id"].tolist()[-1] == 10**6 + N + 4


def orders(first: int, *times: str) -> str:
    lines = [f"{n},{time},{n % 7},{n * 7919 % 97}" for n, time in enumerate(times, first)]
    return "\n".join(["id,ordered,items,fee", *lines]) + "\n"


@pytest.mark.parametrize(
    ("zone", "offset", "given", "local"),
    [
        (None, "+01:00", "2026-07-01T08:30:00+02:00", "2026-07-01 07:30"),
        (None, "+01:00", "2026-07-01T08:30:00Z", "2026-07-01 09:30"),
        (None, "+01:00", "2026-07-01T08:30:00", "2026-07-01 08:30"),
        (None, "-03:30", "2026-07-01T08:30:00-03:30", "2026-07-01 08:30"),
        (None, "Z", "2026-07-01T08:30:00+02:00", "2026-07-01 06:30"),
        ("Europe/Paris", "+01:00", "2026-07-01T08:30:00+02:00", "2026-07-01 08:30"),
        ("Europe/Paris", "+01:00", "2026-07-01T08:30:00Z", "2026-07-01 10:30"),
        ("Europe/Paris", "Z", "2026-07-01T08:30:00", "2026-07-01 08:30"),
    ],
)
def test_a_moment_is_the_same_time_in_the_next_file_and_in_a_request(
    zone: str | None, offset: str, given: str, local: str, source: Path, tmp_path: Path
) -> None:
    days = pd.date_range("2026-01-01 08:30", periods=N).strftime(f"%Y-%m-%dT%H:%M:%S{offset}")
    (tmp_path / "first.csv").write_text(orders(1, *days))
    schema = adopt(source, tmp_path / "first.csv", "fee", Asked(timezone=zone), "ordered")
    other = "2026-07-02T08:30:00+02:00"  # beside it: not all times of a file have an offset
    (source / "second.csv").write_text(orders(N + 1, given, other))

    rows = rows_of(source, schema)["ordered"]

    kind = schema["ordered"].type
    assert rows[N] == pd.Timestamp(local) == parse_time(given, kind, schema.timezone)
    assert rows[N + 1] == parse_time(other, kind, schema.timezone)
    assert rows[0] == parse_time(days[0], kind, schema.timezone)


@pytest.mark.parametrize(("zone", "hour"), [(None, 9), ("written", 9), ("Asia/Tokyo", 17)])
def test_moments_of_a_parquet_file_are_in_the_zone_of_the_first_one(
    zone: str | None, hour: int, source: Path, tmp_path: Path
) -> None:
    def export(first: int, start: str, zone: str) -> pd.DataFrame:
        numbers = pd.Series(range(first, first + N))
        times = pd.date_range(start, periods=N, tz=zone)
        fees = numbers * 7919 % 97
        return pd.DataFrame({"id": numbers, "at": times, "items": numbers % 7, "fee": fees})

    path = tmp_path / "first.parquet"
    export(1, "2026-01-01 09:00", "Europe/Paris").to_parquet(path)
    schema = adopt(source, path, "fee", Asked(timezone=zone), "at")
    export(N + 1, "2026-01-20 08:00", "UTC").to_parquet(source / "second.parquet")

    assert schema.timezone == ("Asia/Tokyo" if hour == 17 else "Europe/Paris")
    assert set(rows_of(source, schema)["at"].dt.hour) == {hour}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (german(99, 3, "{}.25"), ["3 value(s) have another format", "row 1: Kauf Preis: found"]),
        (german(99, 2, "viel"), ["row 2: Kauf Preis: found 'viel'"]),
        (german(99, 3).replace("K0100", ""), ["line 3: kunden_nr: found nothing"]),
        (german(99, 3).replace("Pool", "Teich"), ["missing column(s)"]),
        (german(99, 3).replace(";", ","), ["column"]),
        ("Total\n", ["missing column(s)"]),
    ],
)
def test_what_is_written_in_another_way_is_named_and_nothing_is_taken(
    text: str, said: list[str], source: Path, tmp_path: Path
) -> None:
    (tmp_path / "first.csv").write_text(german(1, N), encoding="utf-8")
    schema = adopt(source, tmp_path / "first.csv", "Kauf Preis")
    (source / "second.csv").write_text(text, encoding="utf-8")

    with pytest.raises(UserError) as refused:
        rows_of(source, schema)

    for words in ("second.csv", *said):
        assert words in str(refused.value)


def test_rows_without_a_target_are_left_out_and_counted(
    source: Path, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "first.csv").write_text(german(1, N), encoding="utf-8")
    schema = adopt(source, tmp_path / "first.csv", "Kauf Preis")
    (source / "second.csv").write_text(german(99, 2) + "K0500;3,5;TRUE;\n", encoding="utf-8")

    assert len(rows_of(source, schema)) == N + 2
    assert "second.csv: 1 rows have no kauf_preis: left out" in capsys.readouterr().out


def test_rows_that_must_be_numbered_name_the_command_and_are_then_converted_in_place(
    source: Path, tmp_path: Path
) -> None:
    (tmp_path / "params.yaml").write_bytes((DEMO / "params.yaml").read_bytes())

    def plain(first: int) -> str:
        lines = [f"{n * 7919 % 97},{n * 104729 % 991}.25" for n in range(first, first + N)]
        return "\n".join(["How Large,Price", *lines]) + "\n"

    (tmp_path / "first.csv").write_text(plain(1), encoding="utf-8")
    schema = adopt(source, tmp_path / "first.csv", "Price")
    second = source / "second.CSV"
    second.write_text(plain(N + 1), encoding="utf-8")

    with pytest.raises(UserError, match=r"python -m mlops\.adopt .*second\.CSV --add"):
        rows_of(source, schema)
    rows, notes = prepare(second, schema, str(source))
    written = write_next(second, rows, schema, source, text=True)

    assert f"rows are numbered as row_id from {N + 1}" in notes
    assert [path.name for path in sorted(source.iterdir())] == ["first.csv", written.name]
    assert rows_of(source, schema)["row_id"].tolist() == list(range(1, 2 * N + 1))


def test_without_an_adoption_a_file_of_another_form_is_refused_as_before(
    source: Path, tmp_path: Path
) -> None:
    (tmp_path / "first.csv").write_text(german(1, N), encoding="utf-8")
    schema = adopt(source, tmp_path / "first.csv", "Kauf Preis")
    (source / "second.csv").write_text(german(99, 2), encoding="utf-8")
    SOURCE_FORM.unlink()

    with pytest.raises(UserError, match="missing column"):
        rows_of(source, schema)


def test_a_column_that_came_later_may_lack_if_it_is_nullable(source: Path, tmp_path: Path) -> None:
    (tmp_path / "first.csv").write_text(german(1, N), encoding="utf-8")
    schema = adopt(source, tmp_path / "first.csv", "Kauf Preis")
    (source / "second.csv").write_text(german(N + 1, 2), encoding="utf-8")
    later = Column("later", "", float, nullable=True)

    found = rows_of(source, replace(schema, columns=(*schema.columns, later)))
    assert found["later"].isna().all()
    assert len(found) == N + 2
    (source / "first.csv").unlink()
    wanted = replace(schema, columns=(*schema.columns, replace(later, nullable=False)))
    with pytest.raises(UserError, match=r"second\.csv: missing column\(s\) later"):
        rows_of(source, wanted)
