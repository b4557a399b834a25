"""Tests of rows that the schema accepts and rejects."""

from typing import Any

import pytest

from mlops.project import load_schema
from mlops.testing import row_problems

SCHEMA = load_schema()  # with the derived features

HOUSE = {
    "sale_id": 756,
    "sold_on": "2009-01-01",
    "size": 1208,
    "lot_size": 6240,
    "basement_size": 780,
    "garage_size": 539,
    "rooms": 5,
    "bedrooms": 2,
    "bathrooms": 1,
    "year_built": 1925,
    "quality": 4,
    "condition": 5,
    "neighborhood": "IDOTRR",
    "building_type": "single_family",
    "price": 103_000,
}


def problems(**changes: Any) -> str:
    return "\n".join(row_problems(HOUSE | changes, SCHEMA))


def test_a_house_is_accepted() -> None:
    assert problems() == ""


def test_what_is_not_known_of_a_house_may_be_missing() -> None:
    assert problems(bedrooms=None, year_built=None, neighborhood=None, garage_size=None) == ""


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"size": None}, "size: found missing"),
        ({"size": 139}, "size: found 139, wanted a number from 200 to 6,000"),  # square metres
        ({"rooms": 5.5}, "rooms: found 5.5, wanted a whole number"),
        ({"neighborhood": "Manhattan"}, "neighborhood: found Manhattan"),
        ({"bedrooms": 6}, "bedrooms must not outnumber rooms"),
        ({"year_built": 2020}, "year_built must be no later than the year after sold_on"),
        ({"price": 0}, "price: found 0"),
    ],
)
def test_an_impossible_house_is_rejected(changes: dict[str, Any], problem: str) -> None:
    assert problem in problems(**changes)
