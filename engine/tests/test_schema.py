"""The table of columns: the contract of the demo, and what a faulty table is told."""

import datetime

import pytest

from mlops.columns import Column, Rule, Schema
from project.schema import SCHEMA

KEY = Column("id", "Number", int, role="key")
TARGET = Column("y", "What is predicted", role="target")
FEATURE = Column("x", "Something measured")


def test_the_demo_has_the_columns_of_the_contract() -> None:
    assert (SCHEMA.key.name, SCHEMA.target.name) == ("sale_id", "price")
    assert SCHEMA.time is not None
    assert SCHEMA.time.name == "sold_on"
    assert {column.name for column in SCHEMA.features if not column.nullable} == {"size", "rooms"}
    assert {column.name for column in SCHEMA.features if column.nullable} == {
        *("lot_size", "basement_size", "garage_size", "bedrooms", "bathrooms", "year_built"),
        *("quality", "condition", "neighborhood", "building_type"),
    }
    assert len(SCHEMA["neighborhood"].choices) == 28
    assert len(SCHEMA["building_type"].choices) == 5


def test_every_column_says_what_it_is_and_numbers_their_unit() -> None:
    for column in SCHEMA.columns:
        assert column.description
        assert column.unit or column.role in ("key", "time") or column.choices


def test_the_drift_monitor_gets_every_feature_and_no_other_column() -> None:
    kinds = SCHEMA.feature_kinds()

    assert list(kinds) == [column.name for column in SCHEMA.features]
    assert kinds["size"] == "numeric"
    assert kinds["neighborhood"] == "categorical"


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ((KEY, TARGET), "role 'feature': wanted at least 1 column, found none"),
        ((FEATURE, TARGET), "role 'key': wanted 1 column, found none"),
        ((KEY, FEATURE), "role 'target': wanted 1 column, found none"),
        ((KEY, TARGET, FEATURE, FEATURE), "column 'x' is duplicated"),
        ((KEY, TARGET, Column("a b", "")), "column 'a b': wanted a Python name"),
        ((KEY, TARGET, Column("x", "", low=2, high=1)), "column 'x': low 2 is above high 1"),
        ((KEY, TARGET, Column("x", "", str)), "column 'x': a text feature must list its choices"),
        ((KEY, TARGET, Column("x", "", choices=("a",))), "choices are for type str, found float"),
        ((KEY, TARGET, Column("x", "", str, choices=("a", "a"))), "a choice is duplicated"),
        ((KEY, TARGET, Column("x", "", datetime.date)), "a date can't be a feature"),
        (
            (KEY, FEATURE, Column("y", "", nullable=True, role="target")),
            "role 'target' can't be nullable",
        ),
        ((KEY, TARGET, FEATURE, Column("t", "", role="time")), "role 'time' needs type date"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(
    columns: tuple[Column, ...], problem: str
) -> None:
    with pytest.raises(ValueError, match=r"src/project/schema\.py") as error:
        Schema(columns)

    assert problem in str(error.value)


def test_all_problems_of_a_table_are_named_at_once() -> None:
    rule = Rule("r", ("x", "z"), "x below z", lambda x, z: x < z)

    with pytest.raises(ValueError, match="schema") as error:
        Schema((Column("x", "", low=2, high=1),), (rule,))

    for problem in ("low 2", "role 'key'", "role 'target'", "rule r: no column 'z'"):
        assert problem in str(error.value)


def test_data_without_dates_is_a_schema_too() -> None:
    assert Schema((KEY, FEATURE, TARGET)).time is None
