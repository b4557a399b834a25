"""Rules on dates and times: once a derived feature needs the time, requests keep them, too."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from mlops.columns import Column, Derived, Rule, Schema
from mlops.request import request_model

COLUMNS = (
    Column("id", "Number", int, role="key"),
    Column("sold_on", "Day of the sale", datetime.date, role="time"),
    Column("year_built", "Built in", int, "year", 1850, 2030, nullable=True),
    Column("price", "Price", float, low=1, role="target"),
)
AGE = Derived(
    "age", "Age", int, "years", ("sold_on", "year_built"), lambda sold_on, built: built + 0
)


def schema(holds: Callable[..., Any], derived: tuple[Derived, ...] = (AGE,)) -> Schema:
    rule = Rule("built_before_sold", ("year_built", "sold_on"), "built before sold", holds)
    return Schema(COLUMNS, (rule,), derived=derived)


PLAIN = schema(lambda year_built, sold_on: year_built <= sold_on.dt.year + 1)


@pytest.mark.parametrize(
    ("built", "day", "broken"),
    [
        (2004, "2003-12-31", False),
        (2005, "2003-12-31", True),
        (None, "2003-12-31", False),
        (2000, None, False),  # the present moment
        (2030, None, datetime.date.today().year < 2029),
    ],
)
def test_a_request_is_checked_by_a_rule_that_needs_the_time(
    built: int | None, day: str | None, broken: bool
) -> None:
    row = {"year_built": built, "sold_on": day}
    if not broken:
        request_model(PLAIN).model_validate(row)
        return
    with pytest.raises(ValidationError, match="built before sold"):
        request_model(PLAIN).model_validate(row)


def test_a_rule_that_works_for_columns_alone_is_refused_in_words() -> None:
    def of_columns(year_built: Any, sold_on: Any) -> Any:
        return year_built.fillna(0) <= sold_on.dt.year

    with pytest.raises(ValueError, match=r"rule built_before_sold: a request has sold_on, and the"):
        schema(of_columns)
    assert schema(of_columns, ()).rules  # no request has the time: the rule is for frames alone
