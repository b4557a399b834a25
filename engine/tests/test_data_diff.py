"""The data diff: rows by key, cells by column, guesses in words, and nothing where nothing is."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops.columns import Column, Schema
from mlops.frames import write_rows
from mlops.request import describe_columns
from mlops.review.causes import find_causes
from mlops.review.data_diff import data_diff
from mlops.review.schema_diff import schema_diff
from mlops.review.setting_causes import Settings
from mlops.review.units import unit_of
from mlops.sampling import valid_rows
from project.schema import SCHEMA

TEXT_KEYS = Schema(
    (
        Column("id", "Key", str, role="key"),
        Column("at", "Time", datetime.datetime, role="time"),
        Column("size", "Size", float, nullable=True),
        Column("count", "Count", int),
        Column("note", "Text", str, nullable=True, role="ignore"),
        Column("y", "Target", float, role="target"),
    )
)


@pytest.fixture
def rows() -> pd.DataFrame:
    rows = valid_rows(SCHEMA, 400)
    rows["size"] = np.random.default_rng(0).permutation(np.linspace(300, 5000, 400)).round(1)
    rows["lot_size"] = np.random.default_rng(1).permutation(np.linspace(5e3, 2e5, 400)).round(1)
    return rows.sort_values("sold_on", ignore_index=True)


@pytest.fixture
def diff(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def diff(
        base: pd.DataFrame, candidate: pd.DataFrame, schema: Schema = SCHEMA,
        shown: bool = True, **tolerances: float,
    ) -> dict[str, Any]:  # fmt: skip
        write_rows(tmp_path / "base.parquet", base)
        write_rows(tmp_path / "candidate.parquet", candidate)
        paths = tmp_path / "base.parquet", tmp_path / "candidate.parquet"
        return data_diff(*paths, schema, tolerances, shown=shown)

    return diff


def counts(found: dict[str, Any]) -> tuple[int, int, int]:
    return found["added"], found["removed"], found["changed"]


def test_rows_and_cells_are_compared_by_key(
    rows: pd.DataFrame, diff: Callable[..., dict[str, Any]]
) -> None:
    candidate = rows.iloc[5:].copy()
    more = valid_rows(SCHEMA, 403, seed=1).iloc[400:]
    candidate = pd.concat([candidate, more], ignore_index=True)
    candidate.loc[0, "price"] += 1
    candidate.loc[1, ["price", "rooms"]] = [5.0, 20.0]
    candidate.loc[2, "lot_size"] = np.nan

    found = diff(rows, candidate)

    assert found["rows"] == [400, 398]
    assert counts(found) == (3, 5, 3)
    assert found["changed_columns"]["price"] == 2
    assert found["changed_columns"]["lot_size"] == 1
    assert found["examples"]["added"] == [401, 402, 403]
    assert found["examples"]["removed"] == rows["sale_id"].head(3).tolist()
    shown = found["examples"]["changed"]["lot_size"]
    key, before = candidate.loc[2, "sale_id"], rows.loc[7, "lot_size"]
    assert shown == [{"key": key, "before": before, "after": None}]
    assert found["added_days"] == sorted(
        str(d.date()) for d in [more["sold_on"].min(), more["sold_on"].max()]
    )
    assert found["same"] is False


def test_without_examples_no_key_and_no_cell_is_shown(
    rows: pd.DataFrame, diff: Callable[..., dict[str, Any]]
) -> None:
    found = diff(rows, rows.assign(price=rows["price"] + 1).iloc[1:], shown=False)

    assert found["examples"] == {"added": [], "removed": [], "changed": {}}
    assert found["changed"] == 399


def rewritten(rows: pd.DataFrame, path: Path, seed: int) -> None:
    """Write the same rows in another order, other types and other row groups."""
    rng = np.random.default_rng(seed)
    table = pa.Table.from_pandas(rows.sample(frac=1, random_state=seed), preserve_index=False)
    for place, one in enumerate(table.schema):
        column = table[one.name]
        if pa.types.is_floating(one.type):
            column = column.cast([pa.float32(), pa.float64()][rng.integers(2)])
        elif pa.types.is_large_string(one.type) or pa.types.is_string(one.type):
            column = column.cast(pa.string())
            column = column.dictionary_encode() if rng.integers(2) else column
        elif pa.types.is_timestamp(one.type):
            column = column.cast(pa.timestamp(["ms", "us", "ns"][rng.integers(3)]))
        table = table.set_column(place, one.name, column)
    table = table.select(list(rng.permutation(table.column_names)))
    codec = ["snappy", "zstd", "none"][rng.integers(3)]
    pq.write_table(table, path, row_group_size=int(rng.integers(1, 200)), compression=codec)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("schema", [SCHEMA, TEXT_KEYS], ids=["numbers", "texts"])
def test_the_same_rows_in_another_order_type_or_file_differ_in_nothing(
    schema: Schema, seed: int, tmp_path: Path
) -> None:
    rows = valid_rows(schema, 50 + 20 * seed, seed, missing=0.1)
    if schema is TEXT_KEYS:
        rows["size"] = rows["size"] / 3
    else:
        rows["price"] = -rows["price"].where(rows["price"] > 5e5, 0.0)  # -0.0 is 0.0, too
    write_rows(tmp_path / "base.parquet", rows)
    rewritten(rows, tmp_path / "candidate.parquet", seed)

    found = data_diff(
        tmp_path / "base.parquet", tmp_path / "candidate.parquet", schema, {}, shown=True
    )

    assert counts(found) == (0, 0, 0)
    assert found["changed_columns"] == {}
    assert found["guesses"] == []
    assert found["same"] is True


def test_no_rows_at_all_differ_in_nothing(
    rows: pd.DataFrame, diff: Callable[..., dict[str, Any]]
) -> None:
    assert counts(diff(rows.iloc[:0], rows.iloc[:0])) == (0, 0, 0)
    assert counts(diff(rows.iloc[:0], rows)) == (400, 0, 0)
    assert counts(diff(rows, rows.iloc[:0])) == (0, 400, 0)


@pytest.mark.parametrize(("tolerance", "changed"), [({}, 400), ({"price": 0.02}, 0)])
def test_a_column_has_the_tolerance_that_params_yaml_gives_it(
    tolerance: dict[str, float],
    changed: int,
    rows: pd.DataFrame,
    diff: Callable[..., dict[str, Any]],
) -> None:
    rows["price"] += 100_000

    assert diff(rows, rows.assign(price=rows["price"] * 1.01), **tolerance)["changed"] == changed


def test_whole_numbers_and_large_ones_have_no_tolerance(
    diff: Callable[..., dict[str, Any]],
) -> None:
    rows = valid_rows(TEXT_KEYS, 20).assign(count=2**60)

    assert diff(rows, rows.assign(count=2**60 + 1), TEXT_KEYS)["changed"] == 20


PART = pd.Timestamp("2009-01-01")


def of_part(rows: pd.DataFrame, column: str, function: Callable[[pd.Series], Any]) -> pd.DataFrame:
    part = rows["sold_on"] >= PART
    return rows.assign(**{column: rows[column].where(~part, function(rows[column]))})


def new_keys(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(sale_id=rows["sale_id"] + 100_000)


GUESSES: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], list[str], str]] = {
    "square metres": (
        lambda r: r.assign(size=r["size"] / 10.7639), ["size"],
        "values were multiplied by 0.092903 (square feet to square metres?)"),
    "rounded metres of a part": (
        lambda r: of_part(r, "size", lambda s: (s / 10.7639).round()), ["size"],
        "(square feet to square metres?)"),
    "thousands": (
        lambda r: r.assign(price=r["price"] / 1000), ["price"],
        "values were multiplied by 0.001 (units to thousands?)"),
    "a factor": (lambda r: r.assign(price=r["price"] * 1.17), ["price"],
        "values were multiplied by 1.17"),
    "an offset": (lambda r: r.assign(year_built=r["year_built"] + 1), ["year_built"],
        "values were raised by 1"),
    "fahrenheit": (lambda r: r.assign(size=r["size"] * 1.8 + 32.0), ["size"],
        "(degrees Celsius to Fahrenheit?)"),
    "logarithms": (lambda r: r.assign(price=np.log(r["price"])), ["price"],
        "values became their natural logarithms"),
    "rounding": (lambda r: r.assign(price=r["price"].round(-3)), ["price"],
        "values became rounded to thousands"),
    "a constant": (lambda r: of_part(r, "size", lambda s: 1000.0), ["size"],
        "values became 1,000"),
    "filled": (lambda r: r.assign(lot_size=r["lot_size"].fillna(0.0)), ["lot_size"],
        "missing values were filled with 0"),
    "missing": (lambda r: of_part(r, "lot_size", lambda s: np.nan), ["lot_size"],
        "values became missing"),
    "swapped": (lambda r: r.assign(size=r["lot_size"], lot_size=r["size"]), ["size", "lot_size"],
        "values of size and lot_size were swapped"),
    "shifted columns": (
        lambda r: r.assign(lot_size=r["size"], garage_size=r["lot_size"]),
        ["lot_size", "garage_size"], "garage_size has those of lot_size"),
    "shifted rows": (lambda r: r.assign(size=r["size"].shift(1, fill_value=300.0)), ["size"],
        "values moved down by one row"),
    "upper case": (lambda r: r.assign(neighborhood=r["neighborhood"].str.upper()),
        ["neighborhood"], "only upper and lower case differ"),
    "blanks": (lambda r: r.assign(neighborhood=r["neighborhood"] + " "), ["neighborhood"],
        "only blanks at the ends differ"),
    "a category": (
        lambda r: r.assign(building_type=r["building_type"].replace({"duplex": "double"})),
        ["building_type"], "'duplex' was renamed to 'double'"),
    "merged": (
        lambda r: r.assign(building_type=r["building_type"].replace(
            {"townhouse_end": "townhouse", "townhouse_inside": "townhouse"})),
        ["building_type"], "were merged into 'townhouse'"),
    "a day": (lambda r: r.assign(sold_on=r["sold_on"] + pd.Timedelta(days=1)), ["sold_on"],
        "times moved by +1 day"),
    "a time zone": (lambda r: r.assign(sold_on=r["sold_on"] - pd.Timedelta(hours=5)), ["sold_on"],
        "times moved by -5 hours (a time zone?)"),
    "daylight saving": (
        lambda r: r.assign(sold_on=r["sold_on"] + pd.to_timedelta(
            np.where(r["sold_on"].dt.month.between(4, 10), 2, 1), "h")), ["sold_on"],
        "+1 hour or +2 hours (a time zone with daylight saving time?)"),
    "days for months": (
        lambda r: r.assign(sold_on=[
            t.replace(day=t.month, month=t.day) if t.day <= 12 else t for t in r["sold_on"]]),
        ["sold_on"], "day and month were swapped"),
    "duplicates": (
        lambda r: pd.concat([r, new_keys(r.sample(9, random_state=0))]), ["sale_id"],
        "added rows repeat others in all but sale_id"),
    "a partition twice": (
        lambda r: pd.concat([r, new_keys(r[r["sold_on"] >= PART])]), ["sale_id"],
        "a partition given twice?"),
    "new rows in metres": (
        lambda r: pd.concat([r, new_keys(r[r["sold_on"] >= PART]).assign(
            size=lambda one: one["size"] / 10.7639)]), ["size"],
        "added rows have about 0.0929 times the usual values (square feet to square metres?)"),
    "a renamed column": (
        lambda r: r.rename(columns={"lot_size": "lot_area"}), [],
        "column lot_size was renamed to lot_area: its values are the same"),
}  # fmt: skip


@pytest.mark.parametrize("name", GUESSES)
def test_what_happened_is_guessed_in_words(
    name: str, rows: pd.DataFrame, diff: Callable[..., dict[str, Any]]
) -> None:
    change, columns, text = GUESSES[name]
    if name == "filled":
        rows.loc[::9, "lot_size"] = np.nan

    guesses = diff(rows, change(rows.copy()))["guesses"]

    assert [set(guess["columns"]) for guess in guesses] == [set(columns)]
    assert text in guesses[0]["text"]
    assert guesses[0]["rows"] > 2


@pytest.mark.parametrize("seed", range(5))
def test_values_that_changed_by_chance_are_no_pattern(
    seed: int, rows: pd.DataFrame, diff: Callable[..., dict[str, Any]]
) -> None:
    rng = np.random.default_rng(seed)
    part = rows.sample(frac=0.3, random_state=seed).index
    changed = rows.copy()
    changed.loc[part, "size"] *= rng.normal(1, 0.2, len(part))
    changed.loc[part, "neighborhood"] = rng.permutation(rows.loc[part, "neighborhood"])
    added = new_keys(valid_rows(SCHEMA, 80, seed + 1))

    found = diff(rows, pd.concat([changed, added]))

    assert found["guesses"] == []
    assert found["changed"] > 100


def test_two_changed_values_are_no_pattern(
    rows: pd.DataFrame, diff: Callable[..., dict[str, Any]]
) -> None:
    changed = rows.copy()
    changed.loc[[3, 4], "price"] *= 2

    assert diff(rows, changed)["guesses"] == []


def test_distributions_stand_side_by_side(
    rows: pd.DataFrame, diff: Callable[..., dict[str, Any]]
) -> None:
    candidate = rows.assign(lot_size=np.nan, building_type="duplex", size=rows["size"] + 1000)

    columns = {one["column"]: one for one in diff(rows, candidate)["columns"]}

    assert columns["size"]["base"]["text"] == "300 … 2,650 … 5,000"
    assert sum(columns["size"]["bins"]["base"]) == pytest.approx(1)
    assert 0.15 < columns["size"]["distance"] < 0.35
    assert columns["lot_size"]["candidate"] == {"missing": 1.0, "text": "—"}
    assert columns["lot_size"]["distance"] == pytest.approx(1, abs=0.1)
    assert columns["building_type"]["candidate"]["text"] == "1 values, duplex 100%"
    assert columns["year_built"]["distance"] == 0
    assert SCHEMA.key.name not in columns


def test_a_column_that_the_base_lacks_is_described_on_one_side(
    rows: pd.DataFrame, diff: Callable[..., dict[str, Any]]
) -> None:
    found = diff(rows.drop(columns="rooms"), rows)

    (column,) = (one for one in found["columns"] if one["column"] == "rooms")
    assert column["base"] == {"missing": None, "text": "—"}
    assert column["distance"] is None
    assert counts(found) == (0, 0, 0)


def test_a_column_that_became_text_is_compared_as_text(
    diff: Callable[..., dict[str, Any]],
) -> None:
    rows = valid_rows(TEXT_KEYS, 20).assign(note="5")

    assert diff(rows.assign(note=5), rows, TEXT_KEYS)["changed"] == 0
    assert diff(rows.assign(note=6), rows, TEXT_KEYS)["changed"] == 20


def test_units_are_known_both_ways() -> None:
    assert unit_of(10.764) == " (square metres to square feet?)"
    assert unit_of(1 / 10.764) == " (square feet to square metres?)"
    assert unit_of(1.1) == ""
    assert unit_of(1.8, 32.0) == " (degrees Celsius to Fahrenheit?)"
    assert unit_of(1.0, -273.15) == " (degrees kelvin to Celsius?)"
    assert unit_of(1.8, 5.0) == ""


def test_the_diff_and_the_causes_name_one_unit(
    rows: pd.DataFrame, diff: Callable[..., dict[str, Any]]
) -> None:
    metres = rows.assign(size=rows["size"] / 10.7639)
    new = pd.concat([rows, new_keys(metres)])
    settings = Settings({"train": {"kind": "a"}}, describe_columns(SCHEMA))

    for candidate in (metres, new):
        (guess,) = diff(rows, candidate)["guesses"]
        found = find_causes((settings, rows), (settings, candidate), SCHEMA)
        (cause,) = (one for one in found if one.kind == "unit")

        for text in (guess["text"], cause.evidence):
            assert text.endswith("(square feet to square metres?)")


def test_changes_of_the_schema_are_said_in_words() -> None:
    def described(schema: Schema) -> list[dict[str, Any]]:
        return [
            {"name": c.name, "type": c.type.__name__, "low": c.low, "high": c.high,
             "choices": list(c.choices), "nullable": c.nullable, "role": c.role}
            for c in schema.columns
        ]  # fmt: skip

    base = [one for one in described(SCHEMA) if one["name"] != "rooms"]
    changes = {
        "size": {"high": 5000, "type": "int"},
        "lot_size": {"nullable": False, "role": "ignore"},
        "building_type": {"choices": ["duplex", "castle"]},
    }
    base = [one | changes.get(one["name"], {}) for one in base] + [
        described(SCHEMA)[2] | {"name": "gone"}
    ]

    assert schema_diff(described(SCHEMA), SCHEMA) == []
    assert schema_diff(base, SCHEMA) == [
        "column gone was removed",
        "size: type was int, is float",
        "size: upper bound was 5,000, is 6,000",
        "lot_size: role was ignore, is feature",
        "lot_size: may be missing now",
        "column rooms (int, feature) was added",
        "building_type: removed choices 'castle'",
        "building_type: added choices 'single_family', 'two_family', 'townhouse_end', "
        "'townhouse_inside'",
    ]
