"""Stage ingest: which rows of the partitions enter, and that the result is one and the same."""

import datetime
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlops.columns import Schema
from mlops.errors import UserError, run_command
from mlops.files import sha256
from mlops.frames import read_rows
from mlops.paths import INGESTED_ROWS
from mlops.pipeline import ingest
from mlops.pipeline.ingest import up_to, without_duplicates
from mlops.pipeline.partitions import read_partitions
from paths import PYTHONPATH
from project.schema import SCHEMA
from source_rows import (
    SALES,
    TARGET,
    TIME,
    csv_bytes,
    parquet_bytes,
    plain,
    put,
    put_params,
    sales,
    shipped_rows,
)

UNTIL = datetime.date(2009, 12, 31)


def table_of(folder: Path, **contents: str) -> pa.Table:
    for name, content in contents.items():
        put(folder / "source" / f"{name}.csv", content)
    return read_partitions(str(folder / "source"), SALES)


def keys(rows: pa.Table) -> list[int]:
    return list(rows["id"].to_pylist())


# Rows up to a day


def test_the_last_day_is_taken_in_to_its_end(tmp_path: Path) -> None:
    table = table_of(
        tmp_path,
        a=sales(
            "1,2009-12-31,,,5",
            "2,2009-12-31T23:59:59.999999,,,5",
            "3,2010-01-01,,,5",
            "4,2010-01-01T00:00:00.000001,,,5",
        ),
    )

    assert keys(up_to(table, UNTIL, 45, SALES)) == [1, 2]


def test_a_row_without_a_time_stays_for_the_contract_to_name_it(tmp_path: Path) -> None:
    table = table_of(tmp_path, a=sales("1,,,,5", "2,2009-12-31,,,5"), b=sales("3,,,,5"))

    assert keys(up_to(table, UNTIL, 45, SALES)) == [1, 2, 3]
    assert keys(up_to(table.filter([True, False, True]), UNTIL, 45, SALES)) == [1, 3]


def test_a_day_before_all_rows_is_named_with_the_oldest_row(tmp_path: Path) -> None:
    table = table_of(tmp_path, a=sales("1,2010-02-01,,,5"), b=sales("2,2010-01-01T08:00,,,5"))

    with pytest.raises(UserError) as refused:
        up_to(table, UNTIL, 45, SALES)
    assert str(refused.value) == (
        "ingest.until 2009-12-31: no row is that old, the oldest one is from 2010-01-01 08:00:00"
    )


@pytest.mark.parametrize(("newest", "late"), [(44, False), (45, False), (46, True)])
def test_a_partition_is_late_when_the_newest_row_is_older_than_the_gap_allows(
    tmp_path: Path, newest: int, late: bool
) -> None:
    day = UNTIL - datetime.timedelta(days=newest)
    table = table_of(
        tmp_path,
        q3=sales("1,2009-07-01,,,5", f"2,{day}T23:00,,,5", "3,2009-07-02,,,5"),
        q9=sales("4,2010-01-01,,,5"),
    )

    if not late:
        assert keys(up_to(table, UNTIL, 45, SALES)) == [1, 2, 3]
        return
    with pytest.raises(UserError) as refused:
        up_to(table, UNTIL, 45, SALES)
    assert str(refused.value) == (
        "ingest.until 2009-12-31: the newest row up to that day is from 2009-11-15 "
        "(q3.csv line 3): the next partition is late\n"
        "Wanted a row within ingest.max_gap_days = 45 days before. Add the partition, lower "
        "ingest.until, or allow a longer gap."
    )


def test_data_without_dates_is_taken_in_whole(tmp_path: Path) -> None:
    timeless = Schema(tuple(column for column in SALES.columns if column.role != "time"))
    put(tmp_path / "a.csv", "id,size,kind,price\n1,,,5\n")
    table = read_partitions(str(tmp_path), timeless)

    assert up_to(table, UNTIL, 45, timeless) is table


# Rows that stand twice


def test_exact_duplicates_are_dropped_within_and_across_partitions(tmp_path: Path) -> None:
    table = table_of(
        tmp_path,
        a=sales("1,2009-01-05,,,5", "2,2009-01-05,7,flat,5", "1,2009-01-05,,,5"),
        b=sales("2,2009-01-05T00:00,7.0,flat,5.00", "3,2009-01-05,,,5"),
        c=sales("2,2009-01-05,7,flat,5"),
    )
    rows = without_duplicates(table.to_pandas(), SALES)

    assert sorted(rows["id"]) == [1, 2, 3]


def test_rows_that_differ_in_the_key_only_are_no_duplicates(tmp_path: Path) -> None:
    table = table_of(tmp_path, a=sales("1,2009-01-05,,,5", "2,2009-01-05,,,5"))

    assert len(without_duplicates(table.to_pandas(), SALES)) == 2


def test_all_keys_of_conflicting_rows_are_named_with_places_and_columns(tmp_path: Path) -> None:
    table = table_of(
        tmp_path,
        a=sales("7,2009-01-05,100,house,5", "2,2009-01-05,100,house,5", "7,2009-01-05,100,house,5"),
        b=sales("7,2009-01-05,100,house,6", "3,2009-01-05,,,5", "4,2009-01-05,,,5"),
        c=sales("2,2009-01-06,,house,5", "3,2009-01-05,,,5", "7,2009-01-05,100,flat,7"),
    )

    with pytest.raises(UserError) as refused:
        without_duplicates(table.to_pandas(), SALES)
    assert str(refused.value) == (
        "2 key(s) with conflicting rows\n"
        "  id 2: a.csv line 3 and c.csv line 2: "
        "day 2009-01-05 00:00:00 / 2009-01-06 00:00:00, size 100.0 / nan\n"
        "  id 7: a.csv line 2 and b.csv line 2 and c.csv line 4: "
        "kind house / house / flat, price 5.0 / 6.0 / 7.0\n"
        "Ingestion stopped. Remove the incorrect row from its partition."
    )


def test_every_conflict_is_counted_and_listed(tmp_path: Path) -> None:
    numbers = range(1, 51)
    table = table_of(
        tmp_path,
        a=sales(*(f"{n},2009-01-05,,,5" for n in numbers)),
        b=sales(*(f"{n},2009-01-05,,,6" for n in numbers)),
    )

    with pytest.raises(UserError) as refused:
        without_duplicates(table.to_pandas(), SALES)
    assert refused.value.headline == "50 key(s) with conflicting rows"
    assert [*refused.value.problems] == [
        f"id {n}: a.csv line {n + 1} and b.csv line {n + 1}: price 5.0 / 6.0" for n in numbers
    ]


# The stage


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder to run the stage in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_stage_writes_one_table_sorted_by_time_and_key(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, _ = shipped_rows(100)
    until = str(rows[TIME].iloc[89].date())
    put(here / "source" / "b.csv", csv_bytes(rows[::-2]))
    put(here / "source" / "a.parquet", parquet_bytes(rows[1::-1]))
    put(here / "source" / "c.csv", csv_bytes(rows[::2]))
    put_params(here, "source", until)
    ingest.main()

    kept = rows[rows[TIME] <= until]
    assert plain(read_rows(INGESTED_ROWS)) == plain(kept)
    assert list(read_rows(INGESTED_ROWS).columns) == SCHEMA.names
    assert capsys.readouterr().out == (
        f"ingest: {len(kept)} rows up to {until} from 3 partitions "
        f"(2 duplicates dropped, {100 - len(kept)} later rows ignored)\n"
    )


def scatter(folder: Path, rows: pd.DataFrame, rng: np.random.Generator) -> None:
    """Write rows as partitions of any number, name, kind and order, some rows in several."""
    n_partitions = int(rng.integers(1, 12))
    homes = rng.integers(0, n_partitions, len(rows))
    names = rng.permutation(1000)[:n_partitions]
    for number, name in enumerate(names):
        part = rows[(homes == number) | (rng.random(len(rows)) < 0.05)]
        part = part.sample(frac=1.0, random_state=int(rng.integers(2**31)))
        part = part[rng.permutation(part.columns)]
        if part.empty:
            continue
        kind = rng.integers(5)
        if kind == 0:
            table = pa.Table.from_pandas(part, preserve_index=False)
            texts = [f.name for f in table.schema if pa.types.is_large_string(f.type)]
            for text in texts:
                place = table.column_names.index(text)
                table = table.set_column(place, text, table[text].dictionary_encode())
            put(folder / f"{name}.parquet", parquet_bytes(table))
        elif kind == 1:
            put(folder / f"{name}.parquet", parquet_bytes(part))
        elif kind == 2:
            put(folder / f"{name}.csv", b"\xef\xbb\xbf" + csv_bytes(part))
        elif kind == 3:
            put(folder / f"{name}.csv", csv_bytes(part, line_end="\r\n"))
        else:
            put(folder / f"{name}.csv", csv_bytes(part))


def test_the_bytes_are_the_same_however_the_rows_are_parted(here: Path) -> None:
    rows, until = shipped_rows(300)
    put(here / "whole" / "all.csv", csv_bytes(rows))
    put_params(here, "whole", until)
    ingest.main()
    wanted = sha256(INGESTED_ROWS)

    for seed in range(40):
        scatter(here / f"parted-{seed}", rows, np.random.default_rng(seed))
        put_params(here, f"parted-{seed}", until)
        INGESTED_ROWS.unlink()
        ingest.main()
        assert sha256(INGESTED_ROWS) == wanted, seed


def test_later_rows_leave_no_trace_in_the_bytes(here: Path) -> None:
    rows, newest = shipped_rows(200)
    until = str(rows[TIME].iloc[100].date())
    put(here / "source" / "a.csv", csv_bytes(rows))
    put_params(here, "source", until)
    ingest.main()
    wanted = sha256(INGESTED_ROWS)

    put(here / "source" / "a.csv", csv_bytes(rows[rows[TIME] <= until]))
    ingest.main()
    assert sha256(INGESTED_ROWS) == wanted

    # A row is corrected in a day to come: as yet, that is nobody's conflict.
    put(here / "source" / "b.csv", csv_bytes(rows[-1:].assign(**{TARGET: 7.0})))
    put(here / "source" / "c.csv", csv_bytes(rows[-1:].assign(**{TARGET: 8.0})))
    ingest.main()
    assert sha256(INGESTED_ROWS) == wanted
    put_params(here, "source", newest)
    with pytest.raises(UserError, match=r"1 key\(s\) with conflicting rows"):
        ingest.main()


def test_a_refusal_leaves_what_was_there(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, until = shipped_rows(50)
    put(here / "source" / "a.csv", csv_bytes(rows))
    put_params(here, "source", until)
    ingest.main()
    wanted = sha256(INGESTED_ROWS)
    capsys.readouterr()

    put(here / "source" / "a.csv", csv_bytes(rows)[:-3])
    with pytest.raises(SystemExit) as leaving:
        run_command(ingest.main)
    shown = capsys.readouterr()

    assert leaving.value.code == 1
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "ingest.source source: 1 problem(s) in its partitions",
        "  a.csv: line 51: has no line end: the file is truncated",
        "Ingestion stopped. Fix these files or remove them from the folder.",
    ]
    assert sha256(INGESTED_ROWS) == wanted
    assert [path.name for path in INGESTED_ROWS.parent.iterdir()] == [INGESTED_ROWS.name]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere", "ingest.source nowhere: can't be read: FileNotFoundError: "),
        ("ftpx://host/folder", "ingest.source ftpx://host/folder: can't be read: ValueError: "),
        ("source", "ingest.source source: 1 problem(s) in its partitions\n  a.csv: is empty"),
    ],
)
def test_a_person_sees_a_message_and_no_stack_trace(here: Path, source: str, message: str) -> None:
    put(here / "source" / "a.csv", "")
    put_params(here, source, "2009-12-31")
    ran = subprocess.run(
        [sys.executable, "-m", "mlops.pipeline.ingest"],
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ran.returncode == 1
    assert ran.stderr.startswith(message)
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""
    assert not INGESTED_ROWS.exists()
