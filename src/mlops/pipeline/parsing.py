"""The bytes of one partition as a typed table, or all that is wrong with them, by line."""

import csv
import datetime
import io
import re
from collections.abc import Callable, Iterator
from itertools import islice

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

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


def parse_csv(content: bytes, schema: Schema) -> tuple[pa.Table | None, list[str]]:
    """Parse a CSV partition: UTF-8, a header, commas, a line a row; an empty field is missing."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return None, [f"line {line}: byte {content[error.start]:#04x} is not UTF-8; save as UTF-8"]
    if not text.strip():
        return None, ["is empty, wanted a header and rows"]
    try:
        header = _fields(text.split("\n", 1)[0])
    except ValueError as error:
        return None, [f"line 1: {error}"]
    if problems := _name_problems(header, schema):
        return None, [f"line 1: {problem}" for problem in problems]
    if not text.endswith("\n"):
        return None, [f"line {text.count(chr(10)) + 1}: ends in mid-line: the file is truncated"]
    if text.count("\n") == 1:
        return None, ["line 2: no row follows the header"]
    table, problem = None, ""
    try:
        table = pyarrow.csv.read_csv(
            io.BytesIO(content),
            parse_options=pyarrow.csv.ParseOptions(ignore_empty_lines=False),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={c.name: arrow_type(c) for c in schema.columns},
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        problem = str(error)
    # Arrow takes an empty line for a row of missing values, and line breaks within quotes.
    if table is None or table[schema.key.name].null_count or len(table) + 1 != text.count("\n"):
        return None, _shortened(_line_problems(text, header, schema)) or [problem]
    return table.select(schema.names), []


def parse_parquet(content: bytes, schema: Schema) -> tuple[pa.Table | None, list[str]]:
    """Parse a Parquet partition."""
    try:
        table = pa.parquet.ParquetFile(io.BytesIO(content)).read()
        names = table.column_names
        table.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        return None, [f"is empty, truncated or no Parquet: {error}"]
    if problems := _name_problems(names, schema):
        return None, problems
    if not len(table):
        return None, ["has no row"]
    columns, problems = [], []
    for column in schema.columns:
        values, wanted = table[column.name], arrow_type(column)
        try:
            columns.append(_cast(values, wanted))
        except pa.ArrowException as error:
            problems.append(f"column {column.name}: found {values.type}, wanted {wanted}: {error}")
    keyless = table[schema.key.name].is_null().to_pylist()
    problems += _shortened(
        f"row {row}: {schema.key.name}: found nothing, wanted {schema.key.wanted}"
        for row, missing in enumerate(keyless, 1)
        if missing
    )
    return (None, problems) if problems else (pa.table(columns, names=schema.names), [])


def _cast(values: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """Cast without loss and without taking one kind of value for another, as Arrow would.

    Raises:
        pa.ArrowException: a value doesn't fit.
    """
    plain = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if not pa.types.is_null(plain) and _kind(plain) != _kind(wanted):
        raise pa.ArrowInvalid("another kind of value")
    return values.cast(plain).cast(wanted)


def _kind(kind: pa.DataType) -> str:
    types = pa.types
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "text"
    return "time" if types.is_date(kind) or types.is_timestamp(kind) else str(kind)


def _name_problems(names: list[str], schema: Schema) -> list[str]:
    """Compare the columns found with those of the schema; their order is free."""
    problems = [f"column {name!r} stands twice" for name in sorted(names) if names.count(name) > 1]
    missing = [name for name in schema.names if name not in names]
    unknown = [name for name in names if name not in schema.names]
    if missing:
        problems.append(f"missing column(s) {', '.join(missing)}")
    if unknown:
        shown = ", ".join(map(repr, unknown))  # a blank in a name would not be seen
        problems.append(f"unknown column(s) {shown} (add them to mlops/schema.py?)")
    return list(dict.fromkeys(problems))


def _shortened(problems: Iterator[str]) -> list[str]:
    listed = list(islice(problems, LISTED))
    more = sum(1 for _ in problems)
    return [*listed, f"… and {more} more"] if more else listed


def _fields(line: str) -> list[str]:
    """Part a line at its commas.

    Raises:
        ValueError: it can't be parted; the message says what is wrong.
    """
    line = line.removesuffix("\r")
    if "\r" in line:
        raise ValueError("found a carriage return in mid-line, wanted lines to end in LF or CRLF")
    if line.count('"') % 2:
        raise ValueError('found a " that no other one closes on the same line')
    try:
        return next(csv.reader([line]), [])
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _line_problems(text: str, header: list[str], schema: Schema) -> Iterator[str]:
    """Say line by line what Arrow, which stops at the first fault, could not read."""
    checks = [(schema[name], _READERS[schema[name].type]) for name in header]
    for number, line in enumerate(text.removesuffix("\n").split("\n")[1:], 2):
        try:
            fields = _fields(line)
        except ValueError as error:
            yield f"line {number}: {error}"
            continue
        if len(fields) != len(header):
            found = f"{len(fields)} field(s)" if fields else "an empty line"
            yield f"line {number}: found {found}, wanted {len(header)} fields"
            continue
        for value, (column, reads) in zip(fields, checks, strict=True):
            if value and not reads(value, column):
                shown = value if len(value) <= 40 else value[:40] + "…"
                yield f"line {number}: {column.name}: found {shown!r}, wanted {column.wanted}"
            elif not value and column.role == "key":
                yield f"line {number}: {column.name}: found nothing, wanted {column.wanted}"


# These refuse all that Arrow refuses: Python's own float() and fromisoformat() take more.
_NUMBER = re.compile(
    r"[ \t]*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?[ \t]*|[ \t]*[+-]?(nan|inf(inity)?)[ \t]*",
    re.ASCII | re.IGNORECASE,
)
_WHOLE = re.compile(r"[ \t]*-?\d+[ \t]*", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d(:\d\d(:\d\d(\.\d{1,6})?)?)?)?", re.ASCII)


def _reads_number(value: str, column: Column) -> bool:
    if pa.types.is_integer(arrow_type(column)):
        return bool(_WHOLE.fullmatch(value)) and -(2**63) <= int(value) < 2**63
    return bool(_NUMBER.fullmatch(value))


def _reads_time(value: str, _: Column) -> bool:
    try:
        return bool(_TIME.fullmatch(value) and datetime.datetime.fromisoformat(value))
    except ValueError:
        return False


_READERS: dict[object, Callable[[str, Column], bool]] = {
    float: _reads_number,
    int: _reads_number,
    str: lambda value, column: True,
    datetime.date: _reads_time,
}
