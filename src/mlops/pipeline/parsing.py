"""The bytes of one partition as a typed table, or all that is wrong with them, by line."""

import csv
import datetime
import io
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
    """Parse a CSV partition: UTF-8, a header, commas; an empty field is a missing value."""
    if not content.strip():
        return None, ["is empty, wanted a header and rows"]
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return None, [f"line {line}: byte {content[error.start]:#04x} is not UTF-8; save as UTF-8"]
    header = next(csv.reader(io.StringIO(text.split("\n", 1)[0].rstrip("\r"))), [])
    if problems := _name_problems(header, schema):
        return None, [f"line 1: {problem}" for problem in problems]
    if not text.endswith("\n"):
        return None, [f"line {text.count(chr(10)) + 1}: ends in mid-line: the file is truncated"]
    if text.count("\n") == 1:
        return None, ["line 2: no row follows the header"]
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
        found = _line_problems(text, header, schema)
        return None, _shortened(found) or [str(error)]
    return table.select(schema.names), []


def parse_parquet(content: bytes, schema: Schema) -> tuple[pa.Table | None, list[str]]:
    """Parse a Parquet partition."""
    try:
        table = pa.parquet.read_table(io.BytesIO(content), partitioning=None)
    except (pa.ArrowInvalid, OSError) as error:
        return None, [f"is empty, truncated or no Parquet: {error}"]
    if problems := _name_problems(table.column_names, schema):
        return None, problems
    if not len(table):
        return None, ["has no row"]
    columns, problems = [], []
    for column in schema.columns:
        values, wanted = table[column.name], arrow_type(column)
        try:
            columns.append(_cast(values, wanted))
        except pa.ArrowInvalid as error:
            problems.append(f"column {column.name}: found {values.type}, wanted {wanted}: {error}")
    return (None, problems) if problems else (pa.table(columns, names=schema.names), [])


def _cast(values: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """Cast without loss and without taking a text or a truth value for a number."""
    plain = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    is_text = pa.types.is_string(plain) or pa.types.is_large_string(plain)
    if is_text != pa.types.is_string(wanted) or pa.types.is_boolean(plain):
        raise pa.ArrowInvalid("another kind of value")
    return values.cast(wanted)


def _name_problems(names: list[str], schema: Schema) -> list[str]:
    """Compare the columns found with those of the schema; their order is free."""
    problems = [f"column {name!r} stands twice" for name in sorted(names) if names.count(name) > 1]
    missing = [name for name in schema.names if name not in names]
    unknown = [name for name in names if name not in schema.names]
    if missing:
        problems.append(f"missing column(s) {', '.join(missing)}")
    if unknown:
        problems.append(f"unknown column(s) {', '.join(unknown)} (add them to mlops/schema.py?)")
    return list(dict.fromkeys(problems))


def _shortened(problems: Iterator[str]) -> list[str]:
    listed = list(islice(problems, LISTED))
    more = sum(1 for _ in problems)
    return [*listed, f"… and {more} more"] if more else listed


def _line_problems(text: str, header: list[str], schema: Schema) -> Iterator[str]:
    """Say line by line what Arrow, which stops at the first fault, could not read."""
    checks = [(name, schema[name].wanted, _READERS[schema[name].type]) for name in header]
    reader = csv.reader(io.StringIO(text))
    next(reader)
    for fields in reader:
        if len(fields) != len(header):
            found = f"{len(fields)} field(s)" if fields else "an empty line"
            yield f"line {reader.line_num}: found {found}, wanted {len(header)} fields"
            continue
        for value, (name, wanted, read) in zip(fields, checks, strict=True):
            try:
                read(value)
            except ValueError:
                shown = value if len(value) <= 40 else value[:40] + "…"
                yield f"line {reader.line_num}: {name}: found {shown!r}, wanted {wanted}"


def _read_number(value: str) -> None:
    if value:
        float(value.replace("_", "?"))  # Python takes 1_000 for a number, Arrow does not


_READERS: dict[object, Callable[[str], object]] = {
    float: _read_number,
    int: _read_number,
    str: str,
    datetime.date: lambda value: value and datetime.datetime.fromisoformat(value),
}
