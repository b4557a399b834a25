"""Parse clearly valid requests by msgspec; all others are left to `requests`."""

import datetime
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import astuple

from mlops.columns import LONGEST, Column, Schema
from mlops.timestamps import parse_time

Values = dict[str, list[Any]]
"""The inputs of some rows, by name: a list with a value for each row, None if missing."""

_LARGEST = 2**63 - 1  # largest bound of an integer that msgspec accepts


class QuickParser:
    """Parses requests for the rows of one schema, or returns None.

    It accepts nothing that `requests.Parser` rejects, and returns the same values.
    """

    def __init__(self, schema: Schema, max_rows: int) -> None:
        self._names = [column.name for column in schema.inputs]
        self._times = [c for c in schema.inputs if issubclass(c.type, datetime.date)]
        self._texts = [column.name for column in schema.inputs if _may_hold_colons(column)]
        self._timezone = schema.timezone
        known = {column.name for column in schema.inputs if column.role != "time"}
        self._rules = [rule for rule in schema.rules if known.issuperset(rule.columns)]
        length = Meta(min_length=1, max_length=max_rows)
        self._row = _struct(schema, lambda kind: kind)
        self._columns = _struct(schema, lambda kind: Annotated[list[kind], length])  # type: ignore[valid-type]
        fields: list[Any] = [
            ("rows", Annotated[list[self._row], length] | UnsetType, UNSET),  # type: ignore[name-defined]
            ("columns", self._columns | UnsetType, UNSET),
        ]
        body = msgspec.defstruct("Body", fields, forbid_unknown_fields=True)
        self._decoder = msgspec.json.Decoder(body)

    def body(self, body: bytes) -> Values | None:
        """Parse {"rows": [{…}, …]} or {"columns": {name: […], …}}.

        msgspec accepts duplicate keys. Each key is followed by a colon: if there are as many other
        colons as in texts, no key is duplicated.
        """
        try:
            found: Any = self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if (found.rows is UNSET) == (found.columns is UNSET):
            return None
        read = self._of_columns(found.columns) if found.rows is UNSET else self._of_rows(found.rows)
        if read is None:
            return None
        values, keys = read
        others = body.count(b":") - keys - 1
        if others and (b"\\" in body or others != self._count_colons(values)):
            return None  # a duplicate key, or maybe an escaped colon
        return self._valid(values)

    def row(self, given: dict[str, Any]) -> Values | None:
        """Validate the values of one row."""
        try:
            return self._valid(self._of_rows([msgspec.convert(given, self._row)])[0])
        except msgspec.ValidationError:
            return None

    def columns(self, given: dict[str, list[Any]]) -> Values | None:
        """Validate the values of many rows; the caller excludes infinite numbers."""
        try:
            read = self._of_columns(msgspec.convert(given, self._columns))
        except msgspec.ValidationError:
            return None
        return None if read is None else self._valid(read[0])

    def _count_colons(self, values: Values) -> int:
        """Count the colons in texts."""
        return sum(text.count(":") for name in self._texts for text in values.get(name, ()) if text)

    def _of_rows(self, rows: Sequence[Any]) -> tuple[Values, int]:
        """Return the values, and the number of given ones."""
        if len(rows) == 1:
            given = astuple(rows[0])
            one = {n: [None if v is UNSET else v] for n, v in zip(self._names, given, strict=True)}
            return one, len(given) - given.count(UNSET)
        values, keys = Values(), 0
        for name, found in zip(self._names, zip(*map(astuple, rows), strict=True), strict=True):
            keys += len(found)
            if UNSET not in found:
                values[name] = list(found)
                continue
            keys -= (left_out := found.count(UNSET))
            values[name] = (
                [None] * left_out
                if left_out == len(found)
                else [None if value is UNSET else value for value in found]
            )
        return values, keys

    def _of_columns(self, columns: Any) -> tuple[Values, int] | None:
        """Return the values, and the number of given columns; None if they differ in length."""
        given = dict(zip(self._names, astuple(columns), strict=True))
        lengths = {len(found) for found in given.values() if found is not UNSET}
        if len(lengths) != 1:
            return None
        (n_rows,) = lengths
        values = {n: [None] * n_rows if v is UNSET else v for n, v in given.items()}
        return values, sum(found is not UNSET for found in given.values())

    def _valid(self, values: Values) -> Values | None:
        """Parse times; return None if one is invalid, or a rule is violated."""
        for column in self._times:
            try:
                values[column.name] = [
                    value and parse_time(value, column.type, self._timezone)
                    for value in values[column.name]
                ]
            except ValueError:
                return None
        for rule in self._rules:
            for given in zip(*(values[name] for name in rule.columns), strict=True):
                if None not in given and not rule.holds(*given):
                    return None
        return values


def _struct(schema: Schema, within: Callable[[Any], Any]) -> Any:
    """Build the type of all inputs; its fields are numbered, since a column may have any name."""
    fields: list[Any] = []
    for place, column in enumerate(schema.inputs):
        kind, name = _kind(column), f"f{place}"
        if column.nullable or column.role == "time":
            # UNSET, unlike null, is not counted as a key.
            fields.append((name, within(kind | None) | UnsetType, UNSET))
        else:
            fields.append((name, within(kind)))
    names = {f"f{place}": column.name for place, column in enumerate(schema.inputs)}
    return msgspec.defstruct(
        "Inputs", fields, rename=names, forbid_unknown_fields=True, kw_only=True
    )


def _kind(column: Column) -> Any:
    """Return a column's type for msgspec, by the same rules as `mlops.request.column_field`."""
    if column.choices:
        return Literal[column.choices]
    if column.type not in (float, int):
        longest = LONGEST if column.open else None
        text = Annotated[str, Meta(min_length=1, max_length=longest)]
        return bool if column.type is bool else text
    bounds = {"ge": column.low, "le": column.high}
    given: dict[str, Any] = {k: v for k, v in bounds.items() if v is not None}
    if column.type is int:
        given = {k: max(-_LARGEST, min(int(v), _LARGEST)) for k, v in given.items()}
    return Annotated[column.type, Meta(**given)]


def _may_hold_colons(column: Column) -> bool:
    if column.choices:
        return any(":" in choice for choice in column.choices)
    return column.type not in (float, int, bool)
