"""Stage split: by day or by key, and never a row that moves across."""

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

import classification
from mlops.errors import UserError
from mlops.params import Split
from mlops.pipeline.split import check_classes
from mlops.pipeline.splitting import is_held_out, is_sampled, is_test, key_shares
from mlops.sampling import valid_rows
from project.schema import SCHEMA

BY_KEY = Split(test_from=None, test_share=0.2, max_train_rows=None)


def by_day(day: str, held_out: Any = None) -> Split:
    day_of_yaml: Any = day
    return Split(test_from=day_of_yaml, test_share=None, max_train_rows=None, held_out=held_out)


@pytest.fixture
def rows() -> pd.DataFrame:
    return valid_rows(SCHEMA, 2000)


def test_rows_from_the_day_on_test_the_model(rows: pd.DataFrame) -> None:
    rows.loc[0:2, "sold_on"] = pd.to_datetime(["2008-12-31", "2009-01-01", "2009-01-02"])

    test = is_test(rows, by_day("2009-01-01"), SCHEMA)

    assert test[:3].tolist() == [False, True, True]


def test_rows_of_the_days_that_are_held_out_neither_train_nor_test(rows: pd.DataFrame) -> None:
    days = ["2008-11-30", "2008-12-01 12:00", "2008-12-31 23:59", "2009-01-01"]
    rows.loc[0:3, "sold_on"] = pd.to_datetime(days, format="ISO8601")
    params = by_day("2009-01-01", ["2008-12-01", "2008-12-31"])

    assert is_held_out(rows, params, SCHEMA)[:4].tolist() == [False, True, True, False]
    assert is_test(rows, params, SCHEMA)[:4].tolist() == [False, False, False, True]
    assert not is_held_out(rows, by_day("2009-01-01"), SCHEMA).any()


def test_all_rows_held_out_leave_none_to_train(rows: pd.DataFrame) -> None:
    with pytest.raises(UserError, match="Wanted rows in both sets"):
        is_test(rows, by_day("2009-01-01", ["1900-01-01", "2008-12-31"]), SCHEMA)


@pytest.mark.parametrize(
    "days", [["2008-12-31"], ["2008-12-31", "2008-12-01"], ["2008-12-01", "2009-01-01"], "2008"]
)
def test_days_that_can_not_be_held_out_are_refused(days: Any) -> None:
    with pytest.raises(ValidationError, match="held_out"):
        by_day("2009-01-01", days)
    with pytest.raises(ValidationError, match="held_out"):
        Split(test_from=None, test_share=0.2, max_train_rows=None, held_out=days)


def test_a_share_of_the_keys_tests_the_model(rows: pd.DataFrame) -> None:
    assert is_test(rows, BY_KEY, SCHEMA).mean() == pytest.approx(0.2, abs=0.03)


def test_rows_that_are_added_or_reordered_move_no_row_across(rows: pd.DataFrame) -> None:
    shuffled = valid_rows(SCHEMA, 4000, seed=9).sample(frac=1, random_state=0)

    before = dict(zip(rows["sale_id"], is_test(rows, BY_KEY, SCHEMA), strict=True))
    after = dict(zip(shuffled["sale_id"], is_test(shuffled, BY_KEY, SCHEMA), strict=True))

    assert all(after[key] == side for key, side in before.items())


def test_a_larger_share_only_adds_test_rows(rows: pd.DataFrame) -> None:
    larger = is_test(rows, Split(test_from=None, test_share=0.4, max_train_rows=None), SCHEMA)

    assert larger[is_test(rows, BY_KEY, SCHEMA)].all()


def test_the_hash_of_a_key_is_the_same_for_ever() -> None:
    # If a release of pandas changes these numbers, every random split changes with it.
    assert key_shares(pd.Series([1, 2, 10**12])).round(6).tolist() == [0.338167, 0.858676, 0.079475]
    texts = pd.Series(["a", "row-2"], dtype="str")
    assert key_shares(texts).round(6).tolist() == [0.75625, 0.147007]


def test_neighbouring_keys_spread_evenly() -> None:
    shares = key_shares(pd.Series(np.arange(100_000)))

    counts = np.histogram(shares, bins=20, range=(0, 1))[0]

    assert counts.min() > 4700
    assert counts.max() < 5300


@pytest.mark.parametrize("day", ["1999-01-01", "2031-01-01"])
def test_a_split_with_an_empty_side_is_refused(rows: pd.DataFrame, day: str) -> None:
    with pytest.raises(UserError, match="Wanted rows in both sets"):
        is_test(rows, by_day(day), SCHEMA)


def test_one_row_can_not_be_parted() -> None:
    row = valid_rows(SCHEMA, 1)

    with pytest.raises(UserError, match=r"split\.test_share 0\.2: . training and . test rows of 1"):
        is_test(row, BY_KEY, SCHEMA)


def test_a_day_is_a_day() -> None:
    assert by_day("2009-01-01").test_from == datetime.date(2009, 1, 1)


@pytest.mark.parametrize(
    ("params", "told"),
    [
        (BY_KEY, r"split\.test_share 0\.2: all 9 training rows have the outcome 'grew'"),
        (by_day("2009-01-01"), r"split\.test_from 2009-01-01: all 9 training rows have"),
    ],
)
def test_training_rows_of_one_class_are_refused_in_words(params: Split, told: str) -> None:
    rows = valid_rows(classification.SCHEMA, 9).assign(outcome="grew")

    with pytest.raises(UserError, match=told) as error:
        check_classes(rows, params, classification.SCHEMA)

    assert "Wanted two or more of left, stayed, grew" in str(error.value)
    check_classes(rows.assign(outcome=["left", *["grew"] * 8]), params, classification.SCHEMA)


def test_training_rows_of_one_number_are_no_fault() -> None:
    check_classes(valid_rows(SCHEMA, 9).assign(price=1.0), BY_KEY, SCHEMA)


@pytest.mark.parametrize("most", [1, 500, 1999])
def test_a_sample_has_so_many_rows_and_the_same_ones_in_any_order(
    rows: pd.DataFrame, most: int
) -> None:
    mixed = rows.sample(frac=1, random_state=0)

    kept, of_mixed = (part["sale_id"][is_sampled(part["sale_id"], most)] for part in (rows, mixed))

    assert len(kept) == most
    assert set(kept) == set(of_mixed)
    assert set(kept) <= set(rows["sale_id"][is_sampled(rows["sale_id"], most + 1)])


@pytest.mark.parametrize("most", [None, 2000, 5000])
def test_without_a_limit_or_within_it_every_row_is_kept(
    rows: pd.DataFrame, most: int | None
) -> None:
    assert is_sampled(rows["sale_id"], most).all()


def test_the_rows_of_a_sample_come_from_all_days_alike(rows: pd.DataFrame) -> None:
    kept = rows[is_sampled(rows["sale_id"], 1000)]

    assert abs(kept["sold_on"].mean() - rows["sold_on"].mean()) < pd.Timedelta(days=40)
