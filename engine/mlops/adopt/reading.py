"""Read a user's file into a table of typed values, with notes on the conversions."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from mlops.adopt import dialect, parse_column, parse_datetimes, parse_numbers
from mlops.adopt.columnar import columns_of
from mlops.adopt.parse_column import Asked, Conversion, Read
from mlops.adopt.parse_numbers import Numeral
from mlops.adopt.source_form import SourceForm
from mlops.errors import UserError
from mlops.files import unpack

_LARGEST = 4_000_000_000  # bytes of a file after decompression


@dataclass(frozen=True)
class Reading:
    """A table that was read.

    Attributes:
        notes: the formats found, changes and omissions, in words.
        doubts: header -> why the column should not be a feature, and which option changes that.
    """

    table: pd.DataFrame
    form: SourceForm
    notes: tuple[str, ...] = ()
    doubts: dict[str, str] | None = None


def read_table(
    path: Path, asked: Asked | None = None, encoding: str | None = None, **named: str
) -> Reading:
    """Read a CSV or Parquet file, gzipped or not; its bytes decide the format, not its name.

    Args:
        named: `delimiter` and `quote`, if the user names them.

    Raises:
        UserError: the file can't be read, is ambiguous, or has too few rows or columns.
    """
    asked = asked or Asked()
    content = content_of(path)
    try:
        if content.startswith(b"PAR1"):
            found = _parquet(content, asked)
        else:
            found = _text(content, asked, encoding, named)
    except UserError as error:
        raise UserError(f"{path}: {error.headline}", error.problems, error.advice) from error
    if found.table.shape[1] < 2 or len(found.table) < 2:
        shape = f"{len(found.table)} rows of {found.table.shape[1]} column(s)"
        raise UserError(f"{path}: found {shape}", advice="Wanted a header, and one row per line")
    return found


def content_of(path: Path) -> bytes:
    """Return a file's bytes, decompressed.

    Raises:
        UserError: the file can't be read, or is a zip archive.
    """
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = unpack(content, _LARGEST)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise UserError(
            f"{path}: can't be read: {error}", advice="Wanted CSV or Parquet"
        ) from error
    if content.startswith(b"PK\x03\x04"):
        raise UserError(f"{path}: is a zip archive or an Excel file", advice="Export it as CSV")
    return content


def _text(content: bytes, asked: Asked, encoding: str | None, named: dict[str, str]) -> Reading:
    text, encoding = dialect.decode(content, encoding)
    found, lines = dialect.split(text, None, **named)
    found = replace(found, encoding=encoding)
    headers, notes = header_names(lines[0][1])
    columns: dict[str, Sequence[str]] = dict(
        zip(headers, zip(*(fields for _, fields in lines[1:]), strict=True), strict=False)
    )
    asked = replace(asked, loose=found.delimiter == ";")
    reading = _typed({header: columns.get(header, ()) for header in headers}, asked)
    form = replace(reading.form, dialect=found)
    return replace(reading, form=form, notes=(*found.notes(), *notes, *reading.notes))


def header_names(fields: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return a unique name for each header field, and notes on the changed ones.

    Raises:
        UserError: all fields are numbers, so this is a row, not a header.
    """
    if all(parse_numbers.is_plain(field.strip()) and field.strip() for field in fields):
        raise UserError("line 1 contains only numbers", advice="Wanted the column names in line 1")
    names, notes = list[str](), list[str]()
    for place, field in enumerate(fields, 1):
        bare = field.strip()
        name, number = bare or f"column_{place}", 2
        while name in names:
            name, number = f"{bare or f'column_{place}'} {number}", number + 1
        if name != bare:
            why = (
                "has no name in the header"
                if not bare
                else f"has the same name as another column, {bare}"
            )
            notes.append(f"column {place} {why}: kept as {name}")
        names.append(name)
    return names, notes


def _parquet(content: bytes, asked: Asked) -> Reading:
    columns, notes = columns_of(content)
    texts = {
        header: ["" if value is None or value != value else str(value) for value in values]
        for header, values in columns.items()
        if _is_text(values)
    }
    reading = _typed(texts, asked, typed=True)
    table, clocks = {}, dict[str, Conversion]()
    for header, values in columns.items():
        table[header] = reading.table[header] if header in texts else values
        if isinstance(values.dtype, pd.DatetimeTZDtype):
            clocks[header] = clock = parse_datetimes.clock_of(values, asked.timezone)
            table[header] = days = clock.local(values)
            ends = f"from {days.min()} to {days.max()}"
            notes.append(f"{header}: times converted to {clock.zone}, {ends}")
        words = asked.missing_in(header)
        if header not in texts and words:
            gone = table[header].map(lambda value: _is_word(value, words))  # noqa: B023
            table[header] = table[header].mask(gone)
            notes += [f"{header}: {gone.sum()} value(s) read as missing"] if gone.any() else []
    form = replace(reading.form, conversions=reading.form.conversions | clocks)
    return replace(reading, table=pd.DataFrame(table), form=form, notes=(*notes, *reading.notes))


def _is_text(values: pd.Series) -> bool:
    if not (pd.api.types.is_string_dtype(values) or values.dtype == object):
        return False
    return not pd.api.types.is_bool_dtype(values.dropna().infer_objects())


def _is_word(value: Any, words: set[str]) -> bool:
    if isinstance(value, float | int) and not isinstance(value, bool):
        return any(parse_numbers.is_plain(word) and word and float(word) == value for word in words)
    return str(value) in words


def _typed(columns: Mapping[str, Sequence[str]], asked: Asked, typed: bool = False) -> Reading:
    """Read the columns; a decimal character that one of them proves applies to all."""
    read = {
        header: parse_column.read_column(header, t, asked, typed) for header, t in columns.items()
    }
    proven = {proof for r in read.values() if (proof := _proof(r))}
    if len(proven) == 1 and asked.decimal is None:
        (decimal,) = proven
        sure = replace(asked, decimal=decimal)
        for header, texts in columns.items():
            form = read[header].conversion
            unsure = isinstance(form, Numeral) and not form.sure and decimal == ","
            if "pass --decimal" in read[header].doubt or unsure:
                again = parse_column.read_column(header, texts, sure, typed)
                read[header] = again if again.conversion else read[header]
    notes = [f"{header}: {note}" for header, r in read.items() for note in r.notes]
    table = pd.DataFrame({header: r.values for header, r in read.items()})
    conversions = {header: r.conversion for header, r in read.items()}
    doubts = {header: r.doubt for header, r in read.items() if r.doubt}
    return Reading(table, SourceForm(None, asked.missing, conversions), tuple(notes), doubts)


def _proof(read: Read) -> str:
    """Return the decimal character that a column's own values prove, or an empty text."""
    form = read.conversion
    if not isinstance(form, Numeral) or not form.sure:
        return ""
    fractional = read.values.dropna() % 1 != 0
    return form.decimal if fractional.any() or form.decimal == "," else ""
