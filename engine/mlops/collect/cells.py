"""Convert a database's rows to a frame of the schema's types, or report all other values."""

import datetime
import uuid
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd

from mlops.columns import Column, Schema
from mlops.errors import UserError
from mlops.pipeline.parsing import name_problems, shortened
from mlops.timestamps import parse_time, zone


def as_rows(names: Sequence[str], rows: Sequence[Sequence[Any]], schema: Schema) -> pd.DataFrame:
    """Convert each value to its column's type: a decimal to a number, 1 to true, a moment to a
    time in the schema's time zone.

    Raises:
        UserError: columns are missing or unknown, or values have another type; all are listed.
    """
    if problems := name_problems(list(names), schema):
        raise UserError("The query's columns are not those of the schema", problems)
    columns, problems = {}, []
    for column in (column for column in schema.columns if column.name in names):
        place = list(names).index(column.name)
        cells = [row[place] for row in rows]
        found = [_read(cell, column, schema.timezone) for cell in cells]
        problems += shortened(_problems(cells, found, column))
        if not problems:
            values = [None if isinstance(value, _Wrong) else value for value in found]
            dtype: Any = column.dtype
            columns[column.name] = pd.Series(values, dtype="object").astype(dtype)
    if problems:
        raise UserError(f"The query returns {len(problems)} value(s) of another type", problems)
    return pd.DataFrame(columns)


class _Wrong:
    """Marks a cell whose type does not fit its column."""


_WRONG = _Wrong()


def _problems(cells: list[Any], found: list[Any], column: Column) -> Iterator[str]:
    for number, (cell, value) in enumerate(zip(cells, found, strict=True), 1):
        if value is _WRONG:
            shown = f"{cell!s:.40} ({type(cell).__name__})"
            yield f"row {number}: {column.name}: found {shown}, wanted {column.wanted}"
        elif value is None and column.role in ("key", "time"):
            yield f"row {number}: {column.name}: found nothing, wanted {column.wanted}"


def _read(cell: Any, column: Column, timezone: str) -> Any:
    if cell is None or cell == "":
        return None
    try:
        return _READERS[column.type](cell, timezone)
    except (ValueError, TypeError, OverflowError):
        return _WRONG


def _number(cell: Any, _: str) -> Any:
    if isinstance(cell, bool) or not isinstance(cell, int | float | Decimal):
        return _WRONG
    return float(cell)


def _whole(cell: Any, _: str) -> Any:
    if isinstance(cell, bool) or not isinstance(cell, int | float | Decimal) or cell != int(cell):
        return _WRONG
    return int(cell)


def _truth(cell: Any, _: str) -> Any:
    # SQLite and MySQL have no boolean type.
    return float(cell) if isinstance(cell, bool) or cell in (0, 1) else _WRONG


def _text(cell: Any, _: str) -> Any:
    return str(cell) if isinstance(cell, str | uuid.UUID) else _WRONG


def _moment(cell: Any, timezone: str) -> Any:
    found = parse_time(cell, datetime.datetime, timezone)  # SQLite returns texts
    if not isinstance(found, datetime.date):
        return _WRONG
    if not isinstance(found, datetime.datetime):
        return datetime.datetime.combine(found, datetime.time())
    if found.tzinfo is not None:
        found = found.astimezone(zone(timezone)).replace(tzinfo=None)
    return found


def _day(cell: Any, timezone: str) -> Any:
    found = _moment(cell, timezone)
    if found is _WRONG or found.time() != datetime.time():
        return _WRONG  # truncated, the day could differ between time zones
    return found


_READERS: dict[type, Callable[[Any, str], Any]] = {
    float: _number,
    int: _whole,
    bool: _truth,
    str: _text,
    datetime.date: _day,
    datetime.datetime: _moment,
}
