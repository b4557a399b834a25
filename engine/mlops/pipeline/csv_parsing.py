"""Parse the bytes of a CSV partition to a typed table, or list all faults by line."""

import csv
import datetime
import io
import re
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from mlops.adopt.parse_numbers import EXACT
from mlops.columns import Column, Table
from mlops.pipeline.parsing import arrow_type, local_times, name_problems, shortened
from mlops.timestamps import parse_time


def parse_csv(content: bytes, schema: Table) -> tuple[pa.Table | None, list[str]]:
    """Parse a CSV partition: UTF-8, a header, commas, a line a row; an empty field is missing.

    The table has the schema's columns that the file has, in the schema's order.
    """
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
    if problems := name_problems(header, schema):
        return None, [f"line 1: {problem}" for problem in problems]
    if not text.endswith("\n"):
        return None, [f"line {text.count(chr(10)) + 1}: has no line end: the file is truncated"]
    if text.count("\n") == 1:
        return None, ["line 2: no rows after the header"]
    table, problem = None, ""
    try:
        read = pyarrow.csv.read_csv(
            io.BytesIO(content),
            parse_options=pyarrow.csv.ParseOptions(ignore_empty_lines=False),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={name: _read_as(schema[name]) for name in header},
                null_values=[""],
                true_values=_TRUE,
                false_values=_FALSE,
                strings_can_be_null=True,
            ),
        )
        table = _converted(read, [schema[name] for name in header], schema.timezone)
    except pa.ArrowInvalid as error:
        problem = str(error)
    # Arrow reads an empty line as a row of missing values, and accepts line breaks in quotes.
    if table is None or table[schema.key.name].null_count or len(table) + 1 != text.count("\n"):
        return None, shortened(_line_problems(text, header, schema)) or [problem]
    if problems := shortened(_inexact(text, header, table, schema)):
        return None, problems
    return table.select([name for name in schema.names if name in header]), []


def _read_as(column: Column) -> pa.DataType:
    """Return the type that Arrow reads; times are read as text, because they may have an offset."""
    return {bool: pa.bool_(), datetime.datetime: pa.string()}.get(column.type, arrow_type(column))


def _converted(table: pa.Table, columns: list[Column], timezone: str) -> pa.Table:
    for column in columns:
        place, values = table.schema.get_field_index(column.name), table[column.name]
        if column.type is bool:
            table = table.set_column(place, column.name, values.cast(pa.int8()).cast(pa.float64()))
        elif column.type is datetime.datetime:
            table = table.set_column(place, column.name, local_times(values, timezone))
    return table


def _fields(line: str) -> list[str]:
    """Split a line at its commas.

    Raises:
        ValueError: the line can't be split; the message describes the fault.
    """
    line = line.removesuffix("\r")
    if "\r" in line:
        raise ValueError("found a carriage return within the line, wanted line ends LF or CRLF")
    if line.count('"') % 2:
        raise ValueError('found a " that is not closed on the same line')
    try:
        return next(csv.reader([line]), [])
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _line_problems(text: str, header: list[str], schema: Table) -> Iterator[str]:
    """Yield all faults by line, because Arrow stops at the first one."""
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


def _inexact(text: str, header: list[str], table: pa.Table, schema: Table) -> Iterator[str]:
    """Yield the whole numbers that the column's type can't hold and would change."""
    numbers = [
        c.name
        for c in schema.columns
        if c.name in header and c.role != "key" and c.type in (float, int)
    ]
    large = [n for n in numbers if (pc.max(pc.abs(table[n])).as_py() or 0) >= EXACT]
    if not large:
        return
    for number, fields in enumerate(csv.reader(io.StringIO(text)), 1):
        for name, value in zip(header, fields, strict=True) if number > 1 else ():
            if name in large and _WHOLE.fullmatch(value) and int(float(value)) != int(value):
                yield (
                    f"line {number}: {name}: found {value.strip()}, which a float can't "
                    "represent exactly; change the column to str in src/project/schema.py"
                )


_TRUE, _FALSE = ["true", "True", "TRUE", "1"], ["false", "False", "FALSE", "0"]

# These reject all that Arrow rejects: Python's float() and fromisoformat() accept more.
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


def _reads_moment(value: str, column: Column) -> bool:
    try:
        parse_time(value, datetime.datetime, "UTC")
    except ValueError:
        return False
    return True


_READERS: dict[object, Callable[[str, Column], bool]] = {
    float: _reads_number,
    int: _reads_number,
    str: lambda value, column: True,
    bool: lambda value, column: value in (*_TRUE, *_FALSE),
    datetime.date: _reads_time,
    datetime.datetime: _reads_moment,
}
