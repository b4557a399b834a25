"""What parsing a partition shares, whatever its format: types, column names, lists of faults."""

import datetime
from collections.abc import Iterator
from itertools import islice

import pyarrow as pa

from mlops.columns import Column, Schema

LISTED = 20
"""Faults named of one partition; they are counted to the end."""

_ARROW = {
    float: pa.float64(),
    int: pa.float64(),
    str: pa.string(),
    datetime.date: pa.timestamp("us"),
}


def arrow_type(column: Column) -> pa.DataType:
    """Give the Arrow type of a column; as in `mlops.contract`, only keys are integers."""
    return pa.int64() if column.role == "key" and column.type is int else _ARROW[column.type]


def name_problems(names: list[str], schema: Schema) -> list[str]:
    """Compare the columns found with those of the schema; their order is free."""
    problems = [f"column {name!r} stands twice" for name in sorted(names) if names.count(name) > 1]
    missing = [name for name in schema.names if name not in names]
    unknown = [name for name in names if name not in schema.names]
    if missing:
        problems.append(f"missing column(s) {', '.join(missing)}")
    if unknown:
        shown = ", ".join(map(repr, unknown))  # a blank in a name would not be seen
        problems.append(f"unknown column(s) {shown} (add them to src/project/schema.py?)")
    return list(dict.fromkeys(problems))


def shortened(problems: Iterator[str]) -> list[str]:
    listed = list(islice(problems, LISTED))
    more = sum(1 for _ in problems)
    return [*listed, f"… and {more} more"] if more else listed
