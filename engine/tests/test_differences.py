"""What differs between two sides: parameters, stages, rows."""

import numpy as np
import pandas as pd
import pytest

from mlops.review.differences import ABSENT, params_diff, rows_diff, stages_diff
from mlops.sampling import valid_rows
from project.schema import SCHEMA


def test_parameters_that_differ_are_listed_by_path() -> None:
    base = {"a": 1, "b": {"c": 1, "gone": 2}, "same": [1, 2]}
    candidate = {"a": 1, "b": {"c": 2, "new": {"deep": None}}, "same": [1, 2]}

    assert params_diff(base, candidate) == [
        ("b.c", 1, 2),
        ("b.gone", 2, ABSENT),
        ("b.new.deep", ABSENT, None),
    ]


def test_equal_parameters_differ_in_nothing() -> None:
    assert params_diff({"a": {}}, {"a": {}}) == []


def test_a_stage_differs_by_anything_that_the_lock_says_of_it() -> None:
    base = {"train": {"cmd": "x", "outs": [{"md5": "1"}]}, "gone": {}}
    candidate = {"train": {"cmd": "x", "outs": [{"md5": "2"}]}, "new": {}}

    assert stages_diff(base, candidate) == {"train": True, "new": True}
    assert stages_diff(base, base) == {"train": False, "gone": False}


@pytest.fixture
def rows() -> pd.DataFrame:
    return valid_rows(SCHEMA, 50)


def test_the_same_rows_in_another_order_differ_in_nothing(rows: pd.DataFrame) -> None:
    diff = rows_diff(rows, rows.sample(frac=1, random_state=1), SCHEMA)

    assert (diff["added"], diff["removed"], diff["changed"]) == (0, 0, 0)


def test_rows_are_compared_by_key(rows: pd.DataFrame) -> None:
    candidate = rows.iloc[5:].copy()
    more = valid_rows(SCHEMA, 53, seed=1).iloc[50:]
    candidate = pd.concat([candidate, more], ignore_index=True)
    candidate.loc[0, "price"] += 1
    candidate.loc[1, ["price", "rooms"]] = [5.0, 20.0]
    candidate.loc[2, "lot_size"] = np.nan

    diff = rows_diff(rows, candidate, SCHEMA)

    assert diff["rows"] == [50, 48]
    assert (diff["added"], diff["removed"], diff["changed"]) == (3, 5, 3)
    assert diff["changed_columns"]["price"] == 2
    assert diff["changed_columns"]["lot_size"] == 1


def test_a_value_that_is_missing_on_both_sides_is_no_change(rows: pd.DataFrame) -> None:
    rows.loc[0, "lot_size"] = np.nan

    assert rows_diff(rows, rows.copy(), SCHEMA)["changed"] == 0


def test_each_column_is_described_on_both_sides(rows: pd.DataFrame) -> None:
    rows["size"] = [200.0, 300.0, *[400.0] * 48]
    rows["sold_on"] = pd.Timestamp("2009-05-01")
    candidate = rows.assign(lot_size=np.nan, building_type="duplex")

    columns = {c["column"]: c for c in rows_diff(rows, candidate, SCHEMA)["columns"]}

    assert columns["size"]["base"] == {"missing": 0.0, "text": "200 … 400 … 400"}
    assert columns["lot_size"]["candidate"] == {"missing": 1.0, "text": ABSENT}
    assert columns["building_type"]["candidate"]["text"] == "1 choices, duplex 100%"
    assert columns["sold_on"]["base"]["text"] == "2009-05-01 … 2009-05-01"
    assert SCHEMA.key.name not in columns


def test_a_column_that_the_base_lacks_is_described_on_one_side(rows: pd.DataFrame) -> None:
    columns = {
        c["column"]: c for c in rows_diff(rows.drop(columns="rooms"), rows, SCHEMA)["columns"]
    }

    assert columns["rooms"]["base"] == {"missing": None, "text": ABSENT}
