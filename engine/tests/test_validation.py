"""The frame check: every rule of the table, and the traps that pandera leaves open."""

import datetime

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from mlops.columns import Column, Rule, Schema
from mlops.request import request_model
from mlops.sampling import InvalidRow, invalid_rows, valid_rows
from mlops.validation import problems
from project.schema import SCHEMA


def frame(*rows: dict[str, object]) -> pd.DataFrame:
    dtypes = {column.name: column.dtype for column in SCHEMA.columns}
    return pd.DataFrame(list(rows)).astype(dtypes)


@pytest.fixture
def rows() -> pd.DataFrame:
    return valid_rows(SCHEMA, 20, seed=1)


def test_generated_rows_meet_the_contract_and_hold_missing_values() -> None:
    rows = valid_rows(SCHEMA, 5000)

    assert problems(rows, SCHEMA).empty
    nullable = [column.name for column in SCHEMA.columns if column.nullable]
    assert rows[nullable].isna().any().all()
    assert rows["bedrooms"].le(rows["rooms"]).sum() > 4000


def test_generated_rows_depend_on_nothing_but_the_seed() -> None:
    pd.testing.assert_frame_equal(valid_rows(SCHEMA, 50, 3), valid_rows(SCHEMA, 50, 3))
    assert not valid_rows(SCHEMA, 50, 3).equals(valid_rows(SCHEMA, 50, 4))


@pytest.mark.parametrize("wrong", invalid_rows(SCHEMA), ids=lambda w: f"{w.column} {w.reason}")
def test_each_invalid_row_is_found_in_its_column(wrong: InvalidRow) -> None:
    found = problems(frame(wrong.row), SCHEMA)

    assert wrong.column in set(found["column"])


@pytest.mark.parametrize(
    "wrong",
    [wrong for wrong in invalid_rows(SCHEMA) if SCHEMA[wrong.column].role == "feature"],
    ids=lambda w: f"{w.column} {w.reason}",
)
def test_frame_and_request_refuse_the_same_features(wrong: InvalidRow) -> None:
    features = {c.name: wrong.row[c.name] for c in SCHEMA.features}

    with pytest.raises(ValidationError) as error:
        request_model(SCHEMA).model_validate(features)

    assert any(wrong.column in item["loc"] for item in error.value.errors())


def test_a_whole_number_column_does_not_cut_off_a_fraction(rows: pd.DataFrame) -> None:
    rows.loc[3, "rooms"] = 6.5
    rows.loc[3, "bedrooms"] = 1

    found = problems(rows, SCHEMA)

    assert found.to_dict("records") == [
        {"row": 3, "column": "rooms", "found": "6.5", "wanted": "a whole number from 1 to 20"}
    ]


def test_infinity_is_refused_also_where_a_column_has_no_bound() -> None:
    schema = Schema(
        (Column("id", "", int, role="key"), Column("x", "", low=0), Column("y", "", role="target"))
    )
    rows = pd.DataFrame({"id": [1, 2], "x": [np.inf, 1.0], "y": [1.0, -np.inf]})

    assert problems(rows, schema)[["row", "column"]].to_numpy().tolist() == [[0, "x"], [1, "y"]]


def test_a_broken_rule_is_one_problem_a_row(rows: pd.DataFrame) -> None:
    rows.loc[[2, 5], "bedrooms"] = 9.0
    rows.loc[[2, 5], "rooms"] = 4.0

    found = problems(rows, SCHEMA)

    assert found["row"].tolist() == [2, 5]
    assert found.loc[0, "found"] == "bedrooms 9, rooms 4"
    assert found.loc[0, "wanted"] == "bedrooms must not outnumber rooms"


def test_a_rule_passes_over_rows_with_a_missing_value(rows: pd.DataFrame) -> None:
    rows.loc[0, "bedrooms"] = np.nan

    assert problems(rows, SCHEMA).empty


@pytest.mark.parametrize(("year", "n_problems"), [(2010, 0), (2011, 0), (2012, 1)])
def test_a_house_is_built_at_most_a_year_after_it_is_sold(
    rows: pd.DataFrame, year: int, n_problems: int
) -> None:
    rows.loc[0, ["sold_on", "year_built"]] = [pd.Timestamp("2010-06-01"), year]

    assert len(problems(rows, SCHEMA)) == n_problems


def test_every_row_of_a_repeated_key_is_named(rows: pd.DataFrame) -> None:
    rows.loc[[4, 9], "sale_id"] = 77

    found = problems(rows, SCHEMA)

    assert found["row"].tolist() == [4, 9]
    assert set(found["wanted"]) == {"a unique key"}


def test_an_index_with_repeated_labels_does_not_hide_a_row(rows: pd.DataFrame) -> None:
    rows.loc[7, "size"] = 1.0
    rows.index = pd.Index([0] * len(rows))

    assert problems(rows, SCHEMA)["row"].tolist() == [7]


def test_missing_and_unknown_columns_are_named(rows: pd.DataFrame) -> None:
    found = problems(rows.drop(columns="size").assign(colour=1.0), SCHEMA)

    assert set(zip(found["found"], found["wanted"], strict=True)) == {
        ("size", "this column"),
        ("colour", "no such column"),
    }


def test_the_order_of_columns_is_free(rows: pd.DataFrame) -> None:
    assert problems(rows[rows.columns[::-1]], SCHEMA).empty


@pytest.mark.parametrize(
    ("value", "valid"), [(6, True), (6.0, True), (6.5, False), ("6", False), (True, False)]
)
def test_a_request_takes_whole_numbers_and_nothing_that_only_looks_like_one(
    value: object, valid: bool
) -> None:
    row = {"size": 1500, "rooms": value}
    if valid:
        assert request_model(SCHEMA).model_validate(row).model_dump()["rooms"] == 6
    else:
        with pytest.raises(ValidationError):
            request_model(SCHEMA).model_validate(row)


def test_a_request_names_every_bad_field_at_once() -> None:
    bad = {"size": float("nan"), "quality": 11, "neighborhood": "Atlantis", "sice": 1}

    with pytest.raises(ValidationError) as error:
        request_model(SCHEMA).model_validate(bad)

    places = {item["loc"][0] for item in error.value.errors()}
    assert places == {"size", "rooms", "quality", "neighborhood", "sice"}


def test_a_request_keeps_the_rules_among_features() -> None:
    with pytest.raises(ValidationError, match="bedrooms must not outnumber rooms"):
        request_model(SCHEMA).model_validate({"size": 900, "rooms": 3, "bedrooms": 4})


def test_the_json_schema_keeps_bounds_choices_and_units() -> None:
    described = request_model(SCHEMA).model_json_schema()

    size = described["properties"]["size"]
    assert (size["minimum"], size["maximum"], size["unit"]) == (200, 6000, "square feet")
    choices = described["properties"]["building_type"]["anyOf"][0]["enum"]
    assert choices == list(SCHEMA["building_type"].choices)
    assert described["required"] == ["size", "rooms"]
    assert described["additionalProperties"] is False


def test_a_new_column_is_one_line() -> None:
    wider = Schema((*SCHEMA.columns, Column("pools", "Pools", int, "pools", 0, 3, nullable=True)))

    rows = valid_rows(wider, 100)

    assert problems(rows, wider).empty
    assert "pools" in request_model(wider).model_json_schema()["properties"]
    assert wider.feature_kinds()["pools"] == "numeric"
    assert {wrong.reason for wrong in invalid_rows(wider) if wrong.column == "pools"} == {
        *("infinite", "below the bound", "above the bound", "not whole"),
    }


def test_rules_that_contradict_the_bounds_are_told_so() -> None:
    columns = (Column("id", "", int, role="key"), Column("x", "", low=0, high=1))
    rule = Rule("impossible", ("x",), "x above 2", lambda x: x > 2)

    with pytest.raises(ValueError, match="no row meets all of impossible"):
        valid_rows(Schema((*columns, Column("y", "", role="target")), (rule,)), 3)


def test_dates_stand_in_frames_as_days() -> None:
    assert Column("t", "", datetime.date, role="time").dtype == "datetime64[us]"
