"""Helpers for parsing partitions of any format: types, column names, lists of faults."""

import datetime
from collections.abc import Iterator
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from mlops.columns import Column, Table
from mlops.timestamps import parse_time

FILE, LINE = "__file__", "__line__"
"""Columns with a row's file and line, for messages; no schema column has these names."""

LISTED = 20
"""Maximum number of faults listed per partition; all are counted."""

_ARROW = {
    "float64": pa.float64(),
    "int64": pa.int64(),
    "str": pa.string(),
    "datetime64[us]": pa.timestamp("us"),
}


def arrow_type(column: Column) -> pa.DataType:
    """Return the Arrow type of a column's dtype."""
    return _ARROW[column.dtype]


def local_times(values: pa.ChunkedArray, timezone: str) -> pa.ChunkedArray:
    """Convert moments, or texts of them, to times in a time zone, without an offset.

    Raises:
        pa.ArrowException: a text is not a moment.
    """
    if pa.types.is_timestamp(values.type):
        if values.type.tz is None:
            return values.cast(pa.timestamp("us"))
        return pc.local_timestamp(values.cast(pa.timestamp("us", timezone)))
    try:
        return values.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:  # some have an offset; Arrow accepts these only if all have one
        words = values.unique().to_pylist()
    try:
        moments = [word and parse_time(word, datetime.datetime, timezone) for word in words]
    except ValueError as error:
        raise pa.ArrowInvalid(str(error)) from error
    places = pc.index_in(values, pa.array(words, pa.string()))
    return pa.chunked_array([pa.array(moments, pa.timestamp("us")).take(places.combine_chunks())])


def name_problems(names: list[str], schema: Table) -> list[str]:
    """Compare column names with the schema's, in any order; return the problems.

    A nullable column may be missing, unless there is an unknown one, which may be it, renamed.
    """
    problems = [f"column {name!r} is duplicated" for name in sorted(names) if names.count(name) > 1]
    unknown = [name for name in names if name not in schema.names]
    may_lack = frozenset() if unknown else schema.optional
    missing = [name for name in schema.names if name not in names and name not in may_lack]
    if missing:
        problems.append(f"missing column(s) {', '.join(missing)}")
    if unknown:
        shown = ", ".join(map(repr, unknown))  # quotes make blanks in a name visible
        problems.append(f"unknown column(s) {shown} (add them to {schema.place}?)")
    return list(dict.fromkeys(problems))


def shortened(problems: Iterator[str]) -> list[str]:
    listed = list(islice(problems, LISTED))
    more = sum(1 for _ in problems)
    return [*listed, f"… and {more} more"] if more else listed
