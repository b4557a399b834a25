"""Slices: by choice, by quartile, and the rows that have neither."""

import numpy as np
import pandas as pd
import pytest

from mlops.columns import Column, Schema
from mlops.slices import slices

SCHEMA = Schema(
    (
        Column("id", "Key", int, role="key"),
        Column("kind", "Kind", str, choices=("b", "a", "c"), nullable=True),
        Column("size", "Size", float, low=0, high=1e6, nullable=True),
        Column("price", "Price", float, role="target"),
    )
)


def parts(values: dict[str, list[object]], *columns: str) -> dict[tuple[str, str], list[int]]:
    rows = pd.DataFrame(values)
    return {
        (column, label): np.flatnonzero(members).tolist()
        for column, label, members in slices(rows, columns, SCHEMA)
    }


def test_choices_come_in_the_tables_order_and_missing_ones_last() -> None:
    found = parts({"kind": ["a", None, "b", "a"]}, "kind")

    assert list(found.items()) == [
        (("kind", "b"), [2]),
        (("kind", "a"), [0, 3]),
        (("kind", "missing"), [1]),
    ]


def test_a_choice_that_the_table_does_not_know_is_in_no_slice() -> None:
    assert parts({"kind": ["a", "new"]}, "kind") == {("kind", "a"): [0]}


def test_numbers_are_cut_at_their_quartiles_and_an_edge_belongs_below_it() -> None:
    found = parts({"size": [1.0, 2.0, 3.0, 4.0, 5.0]}, "size")

    assert found == {
        ("size", "≤ 2"): [0, 1],
        ("size", "2 – 3"): [2],
        ("size", "3 – 4"): [3],
        ("size", "> 4"): [4],
    }


def test_large_numbers_are_labelled_with_separators() -> None:
    assert ("size", "≤ 1,500") in parts({"size": [1000.0, 1500.0, 2000.0, 2500.0, 9e5]}, "size")


def test_missing_numbers_are_a_slice_of_their_own_and_move_no_edge() -> None:
    found = parts({"size": [1.0, None, 2.0, 3.0, 4.0, 5.0, None]}, "size")

    assert found["size", "missing"] == [1, 6]
    assert found["size", "≤ 2"] == [0, 2]


def test_quartiles_that_fall_together_are_one_edge() -> None:
    found = parts({"size": [0.0, 0.0, 0.0, 0.0, 0.0, 7.0, 8.0, 9.0]}, "size")

    assert list(found) == [("size", "≤ 0"), ("size", "0 – 7.25"), ("size", "> 7.25")]


def test_a_constant_column_is_one_slice() -> None:
    assert parts({"size": [5.0, 5.0, 5.0]}, "size") == {("size", "≤ 5"): [0, 1, 2]}


def test_a_single_row_is_one_slice() -> None:
    assert parts({"size": [5.0]}, "size") == {("size", "≤ 5"): [0]}


def test_two_rows_are_cut_in_between() -> None:
    assert parts({"size": [1.0, 2.0]}, "size") == {
        ("size", "≤ 1.25"): [0],
        ("size", "> 1.75"): [1],
    }


@pytest.mark.parametrize("column", ["kind", "size"])
def test_a_column_without_any_value_is_missing_throughout(column: str) -> None:
    values = np.array([np.nan, np.nan]) if column == "size" else [None, None]

    assert parts({column: list(values)}, column) == {(column, "missing"): [0, 1]}


def test_columns_are_sliced_in_the_given_order_and_cover_every_known_row() -> None:
    rng = np.random.default_rng(0)
    values = {
        "kind": list(rng.choice(np.array(["a", "b", "c", None], dtype=object), 100)),
        "size": list(np.where(rng.random(100) < 0.1, np.nan, rng.normal(50, 9, 100))),
    }

    found = parts(values, "size", "kind")

    assert list(dict.fromkeys(column for column, _ in found)) == ["size", "kind"]
    for column in values:
        members = [row for (name, _), rows in found.items() if name == column for row in rows]
        assert sorted(members) == list(range(100))


def test_no_column_gives_no_slice() -> None:
    assert parts({"kind": ["a"]}) == {}
