"""Small files in the forms that broke us once, one a kind: each is read right, or refused in words.

The files stand in cases/. Of each column, the first and the last value are what it means.
"""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlops.adopt.parse_column import Asked
from mlops.adopt.proposal import Proposal, propose
from mlops.adopt.reading import Reading, read_table
from mlops.errors import UserError

CASES = Path(__file__).parent / "cases"

Ends = dict[str, tuple[Any, Any]]


def given(case: str, asked: Asked | None = None) -> Reading:
    return read_table(CASES / case, asked)


def adopted(case: str, target: str = "price", **named: Any) -> Proposal:
    """Propose what adoption would, without any option that names a form."""
    read = given(case, Asked(time=named.get("time")))
    return propose(read.table, target, doubts=read.doubts, **named)


def day(text: str) -> pd.Timestamp:
    return pd.Timestamp(text)


@pytest.mark.parametrize(
    ("case", "lines"),
    [
        ("a01_trailing_comma.csv", ["60 line(s)", "line 2: found 5 field(s), wanted 4: 1068,122"]),
        ("a01b_trailing_comma_first_row.csv", ["1 line(s)", "line 2: found 5", "1028,111,1,a,"]),
        ("a01c_trailing_comma_later_row.csv", ["1 line(s)", "line 7: found 5"]),
        ("a01d_row_names.csv", ["60 line(s)", "line 2: found 5", "begins with its name"]),
    ],
)
def test_lines_longer_than_the_header_are_refused_by_number(case: str, lines: list[str]) -> None:
    with pytest.raises(UserError) as refused:
        given(case)

    for line in lines:
        assert line in str(refused.value)


@pytest.mark.parametrize(
    ("case", "ends", "said"),
    [
        ("a02_country_NA.csv", {"country": ("NA", "ZA")}, "'NA' occurs 15 time(s)"),
        ("a02b_target_None.csv", {"severity": ("None", "Severe")}, "--missing 'severity=None'"),
        ("a03_zip.csv", {"zip": ("01234", "00501")}, "codes, not numbers"),
        ("a04_big_feature.csv", {"device": ("9007199254740992", "9007199254740993")}, "2^53"),
        ("a05_semicolon.csv", {"size": (136.5, 94.5), "price": (1236.25, 1196.25)}, "decimal ','"),
        ("a05f_currency_feature.csv", {"rent": (1000, 9300)}, "'$' removed"),
        ("a07d_space_header.csv", {"size": (137, 77), "rooms": (1, 5), "price": (1068, 1153)}, ""),
        ("a08_bools.csv", {"garden": ("yes", "no"), "pool": (True, False), "lift": (True, None)},
         ""),
        ("a09d_bom_crlf.csv", {"size": (136, 115), "price": (1294, 1195)}, ""),
        ("p02_decimal_feature.parquet", {"fee": (10.0, 69.59)}, "decimal128(10, 2) read as"),
        ("p02c_decimal_target.parquet", {"price": (1271.0, 1034.0)}, "decimal128(12, 2) read as"),
        ("p03_list.parquet", {"size": (57, 109)}, "tags: left out: values of type list"),
        ("p04_binary.parquet", {"color": ("red", "blue")}, "bytes read as UTF-8 texts"),
        ("h03_one_zero.csv", {"rain": (29.1, 35.1)}, ""),
    ],
)  # fmt: skip
def test_values_are_what_they_mean_and_what_was_recognised_is_said(
    case: str, ends: Ends, said: str
) -> None:
    read = given(case)

    for header, (first, last) in ends.items():
        found = read.table[header]
        values = [None if value is None or value != value else value for value in found]
        assert (values[0], values[-1]) == (first, last), header
        assert isinstance(values[0], str) == isinstance(first, str)
    assert said in " | ".join(read.notes)
    assert not read.doubts


def test_numbers_that_may_be_two_are_asked_for_and_then_taken() -> None:
    with pytest.raises(UserError, match=r"'1,390' may be 1\.39 or 1390; pass --decimal or"):
        adopted("a05d_thousands_target.csv")

    found = given("a05d_thousands_target.csv", Asked(thousands=",")).table["price"]
    assert (found.iloc[0], found.iloc[-1]) == (1390, 3121)


@pytest.mark.parametrize(
    ("case", "time", "asks", "form", "first", "last"),
    [
        ("a06_dayfirst_monthly.csv", "day", "--time-format", "%d/%m/%Y", "2020-01-01",
         "2024-12-01"),
        ("a06b_unix_seconds.csv", "ts", "--time-format", "unix", "2023-11-14 22:13:20",
         "2024-01-12 22:13:20"),
        ("a06c_excel_serial.csv", "day", "--time-format", "excel", "2023-01-01", "2023-03-01"),
        ("a06d_year.csv", "year", "", None, "1990-01-01", "2019-01-01"),
        ("a06e_yyyymmdd.csv", "day", "", None, "2023-01-01", "2023-03-01"),
        ("a06f_tz.csv", "ts", "", None, "2023-01-01 22:30", "2023-03-01 22:30"),
    ],
)  # fmt: skip
def test_days_are_asked_for_where_they_may_be_others_and_then_right(
    case: str, time: str, asks: str, form: str | None, first: str, last: str
) -> None:
    if asks:
        with pytest.raises(UserError, match=asks):
            adopted(case, time=time)

    read = given(case, Asked(time=time, time_format=form))
    found = propose(read.table, "price", time=time, time_format=form).rows[time]

    assert (found.iloc[0], found.iloc[-1]) == (day(first), day(last))
    assert pd.api.types.is_numeric_dtype(read.table["price"]), "the format is that of the time"
    assert first in " ".join(read.notes)


@pytest.mark.parametrize(
    ("case", "header", "word", "times"),
    [
        ("a08c_15pct_missing_word.csv", "income", "missing", 26),
        ("a08e_sentinel.csv", "income", "-999", 9),
        ("p06_sentinel.parquet", "income", "-999", 9),
    ],
)
def test_a_word_for_nothing_is_missing_once_it_is_named(
    case: str, header: str, word: str, times: int
) -> None:
    read = given(case, Asked(missing=(word,)))

    assert read.table[header].isna().sum() == times
    assert read.table[header].min() >= 1000
    assert f"{header}: {times} value(s) read as missing" in read.notes


def test_a_word_among_numbers_is_asked_about_and_makes_no_categories() -> None:
    found = adopted("a08c_15pct_missing_word.csv")

    assert "income" not in found.rows
    assert any("'missing' 26 time(s)" in note for note in found.notes)
    assert any("--missing 'income=missing'" in note for note in found.notes)


def test_an_index_level_is_the_key() -> None:
    found = adopted("p01_index_id.parquet")

    assert found.of_role("key") is not None
    assert found.columns[0].name == "customer_id"
    assert found.rows["customer_id"].tolist()[:2] == [1000, 1003]


@pytest.mark.parametrize(
    ("case", "target", "task"),
    [
        ("f01_skewed.csv", "price", "regression"),
        ("f05b_rare_class.csv", "kind", "classification"),
        ("f05e_imbalanced.csv", "fraud", "classification"),
        ("feedback.csv", "bought", "classification"),
        ("h01_tiny_reg.csv", "price", "regression"),
        ("h03_one_zero.csv", "rain", "regression"),
        ("h05_orig.csv", "Sale Price", "regression"),
        ("h07_const_test.csv", "y", "regression"),
        ("h09_one_class_train.csv", "churn", "classification"),
        ("h10_single_day.csv", "y", "regression"),
    ],
)
def test_every_column_of_a_plain_table_is_taken(case: str, target: str, task: str) -> None:
    dated = "day" if case[:3] in ("h07", "h09", "h10") else None
    found = adopted(case, target, time=dated)

    assert found.task == task
    assert not [note for note in found.notes if "left out" in note]
