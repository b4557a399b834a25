"""Booleans and times in partitions: the same from CSV and Parquet, or a word for each fault."""

import datetime
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops.columns import Column, Schema
from mlops.pipeline.csv_parsing import parse_csv
from mlops.pipeline.parquet_parsing import parse_parquet

COLUMNS = (
    Column("id", "Number", int, role="key"),
    Column("ordered", "When", datetime.datetime, role="time"),
    Column("express", "Express", bool, nullable=True),
    Column("hours", "Hours", float, "hours", 0, 100, role="target"),
)
SCHEMA = Schema(COLUMNS, timezone="Europe/Berlin")
NOON = datetime.datetime(2024, 7, 1, 12, 30)
HEAD = "id,ordered,express,hours\n"


@pytest.mark.parametrize(
    "text",
    [
        "2024-07-01T12:30:00",
        "2024-07-01 12:30:00",
        "2024-07-01 12:30",
        "2024-07-01T10:30:00Z",
        "2024-07-01T06:30:00-04:00",
        "2024-07-01T12:30:00+0200",
    ],
)
@pytest.mark.parametrize("beside", ["2024-07-01T12:30:00", "2024-07-01T10:30:00+00:00"])
def test_every_way_to_write_a_moment_gives_the_time_of_the_projects_zone(
    text: str, beside: str
) -> None:
    table, problems = parse_csv(f"{HEAD}1,{text},true,2\n2,{beside},,3\n".encode(), SCHEMA)
    assert not problems
    assert table is not None
    assert table["ordered"].to_pylist() == [NOON, NOON]
    assert table["express"].to_pylist() == [1.0, None]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_parquet_gives_the_same(unit: str, zone: str | None) -> None:
    moment = pa.array([NOON], pa.timestamp(unit))
    if zone is not None:
        berlin = pa.compute.assume_timezone(moment, "Europe/Berlin")
        moment = berlin.cast(pa.timestamp(unit, zone))
    buffer = io.BytesIO()
    values = [pa.array([1]), moment, pa.array([False]), pa.array([2.0])]
    pq.write_table(pa.table(values, names=SCHEMA.names), buffer)
    table, problems = parse_parquet(buffer.getvalue(), SCHEMA)
    assert not problems
    assert table is not None
    assert table["ordered"].to_pylist() == [NOON]
    assert table["express"].to_pylist() == [0.0]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("1,2024-07-01,yes,2", "express: found 'yes', wanted true or false"),
        ("1,2024-07-01,2,2", "express: found '2', wanted true or false"),
        ("1,01.07.2024 12:30,true,2", "ordered: found '01.07.2024 12:30', wanted a date and time"),
        ("1,12:30,true,2", "ordered: found '12:30', wanted a date and time"),
    ],
)
def test_what_is_no_such_value_is_named_by_its_line(line: str, told: str) -> None:
    table, problems = parse_csv(f"{HEAD}{line}\n".encode(), SCHEMA)
    assert table is None
    assert problems == [f"line 2: {told}"]


def test_a_time_zone_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match="timezone 'Mars/Base': no such time zone"):
        Schema(COLUMNS, timezone="Mars/Base")
