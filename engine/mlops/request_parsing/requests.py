"""Parse the bytes of a request to the inputs of its rows, or to a list of all problems."""

import json
import re
from typing import Any
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from mlops.columns import Schema
from mlops.request import request_model
from mlops.request_parsing.quick_requests import QuickParser, Values

LISTED = 20
"""Problems listed in an answer: a small request must not get a large answer."""

_NAME_LENGTH = 64
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,19})(\.\d{1,20})?([eE][+-]?\d{1,3})?", re.ASCII)
_TRUTHS = {"true": True, "false": False, "True": True, "False": False}  # JSON's, and Python's

Problem = dict[str, Any]


class Unprocessable(Exception):
    """An invalid request; the problems list place and expectation, never the given value."""

    def __init__(self, problems: list[Problem], more: int = 0) -> None:
        super().__init__(problems, more)
        self.problems, self.more = problems, more


class Parser:
    """Parses requests for the rows of one schema.

    Attributes:
        row: pydantic model of one row.
        rows: pydantic model of the body of a batch.
        max_rows: the most rows that a request may have.
    """

    def __init__(self, schema: Schema, max_rows: int) -> None:
        self.row, self.quick = request_model(schema), QuickParser(schema, max_rows)
        self._numeric = {c.name for c in schema.inputs if c.type in (float, int)}
        self._truths = {c.name for c in schema.inputs if c.type is bool}
        listed: Any = list[self.row]  # type: ignore[name-defined]
        self.rows = create_model(
            "Rows",
            __config__=ConfigDict(extra="forbid"),
            rows=(listed, Field(min_length=1, max_length=max_rows)),
        )
        self.max_rows = max_rows

    def batch(self, body: bytes) -> Values:
        """Parse the body of POST /predict.

        Raises:
            Unprocessable: with the first LISTED problems and the number of others.
        """
        values = self.quick.body(body)
        return self.examined(body) if values is None else values

    def examined(self, body: bytes) -> Values:
        """Parse rows or columns, and report all problems.

        Raises:
            Unprocessable: see `batch`.
        """
        content = parse_json(body)
        if isinstance(content, dict) and "columns" in content:
            others = [
                problem(["body", key], "Extra inputs are not permitted", "extra_forbidden")
                for key in content
                if key != "columns"
            ]
            return self.examined_columns(content["columns"], ["body", "columns"], others)
        # Checked first: else a million invalid rows would create a million error objects.
        rows = content.get("rows") if isinstance(content, dict) else None
        if isinstance(rows, list) and len(rows) > self.max_rows:
            raise self._too_long(["body", "rows"])
        parsed: Any = validated(self.rows, content, "body")
        return self._values(parsed)

    def columns(self, given: dict[str, list[Any]], where: list[Any]) -> Values:
        """Validate a list of values for each input.

        Raises:
            Unprocessable: see `batch`; a problem's place is [*where, name, row].
        """
        values = self.quick.columns(given)
        return self.examined_columns(given, where) if values is None else values

    def examined_columns(
        self, given: Any, where: list[Any], problems: list[Problem] | None = None
    ) -> Values:
        """Validate a list of values for each input, and report all problems.

        Raises:
            Unprocessable: see `columns`; includes `problems` found before.
        """
        if not isinstance(given, dict):
            raise limited([problem(where, "wanted a list for each input", "dict_type")])
        found = [*(problems or []), *self._misshapen(given, where)]
        lists = {k: v for k, v in given.items() if k in self.fields and isinstance(v, list)}
        lengths = {len(values) for values in lists.values()}
        if max(lengths, default=0) > self.max_rows:
            raise self._too_long(where)
        if lengths in (set(), {0}):
            found.append(problem(where, "wanted at least 1 row", "too_short"))
        if len(lengths) > 1:
            wanted = (
                f"wanted the same number of values in each, found {min(lengths)} to {max(lengths)}"
            )
            found.append(problem(where, wanted, "length"))
        if len(lengths) != 1 or lengths == {0}:
            raise limited(found)
        rows = [dict(zip(lists, line, strict=True)) for line in zip(*lists.values(), strict=True)]
        parsed, wrong = _tried(self.rows, {"rows": rows})
        for item in wrong:  # a missing column is already reported, once
            _, row, *rest = item["loc"]
            if item["type"] != "missing":
                found.append(problem([*where, *rest, row], item["msg"], item["type"]))
        if found:
            raise limited(found)
        return self._values(parsed)

    @property
    def fields(self) -> dict[str, Any]:
        """The inputs of a row, by name."""
        return self.row.model_fields

    def _misshapen(self, given: dict[str, Any], where: list[Any]) -> list[Problem]:
        found = []
        for name, values in given.items():
            if name not in self.fields:
                text = "Extra inputs are not permitted"
                found.append(problem([*where, name], text, "extra_forbidden"))
            elif not isinstance(values, list):
                found.append(problem([*where, name], "wanted a list", "list_type"))
        for name, field in self.fields.items():
            if field.is_required() and name not in given:
                found.append(problem([*where, name], "Field required", "missing"))
        return found

    def _too_long(self, where: list[Any]) -> Unprocessable:
        return limited([problem(where, f"wanted at most {self.max_rows} rows", "too_long")])

    def _values(self, parsed: Any) -> Values:
        return {name: [row.__dict__[name] for row in parsed.rows] for name in self.fields}

    def single(self, query: list[tuple[str, str]]) -> Values:
        """Parse the query of GET /predict, where an empty value counts as omitted.

        Raises:
            Unprocessable: see `batch`; a duplicate key is a problem.
        """
        found: dict[str, Any] = {}
        twice: list[Problem] = []
        for name, text in query:
            if name in found:
                twice.append(problem(["query", name], "is duplicated", "duplicate_key"))
            elif text or name not in self.fields:
                number = _NUMBER.fullmatch(text) if name in self._numeric else None
                found[name] = text if number is None else _value(text, number)
                if name in self._truths:
                    found[name] = _TRUTHS.get(text, text)
        if not twice and (values := self.quick.row(found)) is not None:
            return values
        try:
            parsed = validated(self.row, found, "query")
        except Unprocessable as error:
            raise limited([*twice, *error.problems], error.more) from None
        if twice:
            raise limited(twice)
        return {name: [value] for name, value in parsed.__dict__.items()}


def pairs(query: bytes) -> list[tuple[str, str]]:
    """Return the names and values in a query string."""
    text = query.decode("latin-1")
    if "%" in text or "+" in text:
        return parse_qsl(text, keep_blank_values=True)
    # The same, in a fifth of the time, of a query without encoded characters.
    parts = [part.partition("=") for part in text.split("&") if part]
    return [(name, value) for name, _, value in parts]


def parse_json(body: bytes) -> Any:
    """Parse strict UTF-8 JSON: no NaN, infinity, duplicate key or too deep nesting.

    A leading byte order mark, which Windows writes, is ignored.

    Raises:
        Unprocessable: the body is not such JSON.
    """
    encoding = json.detect_encoding(body)
    try:
        if not encoding.startswith("utf-8"):
            raise _Refused(f"found {encoding[:6].upper()}, wanted UTF-8")
        return _DECODER.decode(body.decode("utf-8-sig"))
    except UnicodeDecodeError:
        packed = body.startswith(b"\x1f\x8b")
        wanted = "found gzip, wanted JSON, uncompressed" if packed else "not UTF-8"
    except RecursionError:
        wanted = "nested too deeply"
    except json.JSONDecodeError as error:
        wanted = f"not JSON: {error.msg} at character {error.pos}"
    except ValueError as error:  # from the two functions below, or from a number of 5000 digits
        wanted = str(error) if isinstance(error, _Refused) else "a number has too many digits"
    raise Unprocessable([{"loc": ["body"], "msg": wanted, "type": "json_invalid"}])


def validated(model: type[BaseModel], content: Any, where: str) -> Any:
    """Validate the content of the request's part `where`.

    Raises:
        Unprocessable: with the first LISTED problems and the number of others.
    """
    parsed, wrong = _tried(model, content)
    if wrong:
        raise limited([problem([where, *w["loc"]], w["msg"], w["type"]) for w in wrong])
    return parsed


def _tried(model: type[BaseModel], content: Any) -> tuple[Any, list[Any]]:
    try:
        return model.model_validate(content), []
    except ValidationError as error:
        options = {"include_url": False, "include_context": False, "include_input": False}
        return None, list(error.errors(**options))


def _value(text: str, number: re.Match[str]) -> int | float:
    return int(text) if number.lastindex is None else float(text)


class _Refused(ValueError):
    """JSON that only Python's parser accepts."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise _Refused("a key is duplicated in an object")
    return content


def _no_constant(name: str) -> Any:
    raise _Refused(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)


def problem(loc: list[Any], message: str, kind: str) -> Problem:
    """Describe one problem; names are truncated, since a client may send any length."""
    places = [part if isinstance(part, int) else str(part)[:_NAME_LENGTH] for part in loc]
    return {"loc": places, "msg": message.removeprefix("Value error, "), "type": kind}


def limited(problems: list[Problem], more: int = 0) -> Unprocessable:
    """Return an error with the first LISTED problems and the number of others."""
    return Unprocessable(problems[:LISTED], more + max(0, len(problems) - LISTED))
