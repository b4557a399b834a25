"""From the bytes of a request to rows of features, or to the list of all that is wrong with it."""

import json
import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from mlops.columns import Schema
from mlops.request import request_model

LISTED = 20
"""Problems named in an answer: a small request must not get a large one."""

_NAME_LENGTH = 64
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,19})(\.\d{1,20})?([eE][+-]?\d{1,3})?", re.ASCII)
_TRUTHS = {"true": True, "false": False}

Problem = dict[str, Any]


class Unprocessable(Exception):
    """A request that is wrong; the problems say where and what was wanted, never what was found."""

    def __init__(self, problems: list[Problem], more: int = 0) -> None:
        super().__init__(problems, more)
        self.problems, self.more = problems, more


class Parser:
    """Reads requests for the rows of one schema.

    Attributes:
        row: pydantic model of one row.
        rows: of the body of a batch.
    """

    def __init__(self, schema: Schema, max_rows: int) -> None:
        self.row = request_model(schema)
        self._numeric = {c.name for c in schema.inputs if c.type in (float, int)}
        self._truths = {c.name for c in schema.inputs if c.type is bool}
        listed: Any = list[self.row]  # type: ignore[name-defined]
        self.rows = create_model(
            "Rows",
            __config__=ConfigDict(extra="forbid"),
            rows=(listed, Field(min_length=1, max_length=max_rows)),
        )
        self._max_rows = max_rows

    def batch(self, body: bytes) -> list[dict[str, Any]]:
        """Read the body of POST /predict.

        Raises:
            Unprocessable: with every problem, of the first LISTED.
        """
        rows = self.parse_fast(body)
        return self.examined(body) if rows is None else rows

    def parse_fast(self, body: bytes) -> list[dict[str, Any]] | None:
        """Read rows quickly, or give None: then it is for `examined` to say what is wrong.

        pydantic's parser of JSON is quicker than Python's, but takes the last of equal keys. Every
        key has a colon: with as many colons as there are different keys, none is duplicated.
        """
        most = self._max_rows * len(self.row.model_fields)
        if body.count(b"{") > self._max_rows + 1 or body.count(b",") > most:
            return None  # else a million faults would make a million error objects first
        try:
            rows = self.rows.model_validate_json(body).rows  # type: ignore[attr-defined]
        except ValidationError:
            return None
        different = 1 + sum(len(row.model_fields_set) for row in rows)
        return [row.__dict__ for row in rows] if body.count(b":") == different else None

    def examined(self, body: bytes) -> list[dict[str, Any]]:
        """Read rows, and name all that is wrong.

        Raises:
            Unprocessable: as `batch` does.
        """
        content = parse_json(body)
        # Else a million faulty rows would make a million error objects first.
        rows = content.get("rows") if isinstance(content, dict) else None
        if isinstance(rows, list) and len(rows) > self._max_rows:
            wanted = f"wanted at most {self._max_rows} rows"
            raise Unprocessable([{"loc": ["body", "rows"], "msg": wanted, "type": "too_long"}])
        parsed: Any = validated(self.rows, content, "body")
        return [row.__dict__ for row in parsed.rows]

    def single(self, query: list[tuple[str, str]]) -> dict[str, Any]:
        """Read the query of GET /predict, where a value left empty is a value left out.

        Raises:
            Unprocessable: with every problem; a duplicate key is one.
        """
        found: dict[str, Any] = {}
        twice: list[Problem] = []
        for name, text in query:
            if name in found:
                twice.append(_problem(["query", name], "is duplicated", "duplicate_key"))
            elif text or name not in self.row.model_fields:
                number = _NUMBER.fullmatch(text) if name in self._numeric else None
                found[name] = text if number is None else _value(text, number)
                if name in self._truths:
                    found[name] = _TRUTHS.get(text, text)
        try:
            parsed = validated(self.row, found, "query")
        except Unprocessable as error:
            raise _limited([*twice, *error.problems], error.more) from None
        if twice:
            raise _limited(twice)
        return parsed.__dict__


def parse_json(body: bytes) -> Any:
    """Parse strict UTF-8 JSON: no NaN, no infinity, no key twice, nothing nested too deeply.

    A byte order mark before it is left out, as Windows writes one.

    Raises:
        Unprocessable: it is none.
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
    except ValueError as error:  # of the two functions below, or of a number of 5000 digits
        wanted = str(error) if isinstance(error, _Refused) else "a number has too many digits"
    raise Unprocessable([{"loc": ["body"], "msg": wanted, "type": "json_invalid"}])


def validated(model: type[BaseModel], content: Any, where: str) -> Any:
    """Validate values that stand in the request's part `where`.

    Raises:
        Unprocessable: with every problem.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        listed = error.errors(include_url=False, include_context=False, include_input=False)
        problems = [_problem([where, *item["loc"]], item["msg"], item["type"]) for item in listed]
    raise _limited(problems)


def _value(text: str, number: re.Match[str]) -> int | float:
    return int(text) if number.lastindex is None else float(text)


class _Refused(ValueError):
    """JSON that is valid for Python's parser alone."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise _Refused("a key is duplicated in an object")
    return content


def _no_constant(name: str) -> Any:
    raise _Refused(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)


def _problem(loc: list[Any], message: str, kind: str) -> Problem:
    places = [part if isinstance(part, int) else str(part)[:_NAME_LENGTH] for part in loc]
    return {"loc": places, "msg": message.removeprefix("Value error, "), "type": kind}


def _limited(problems: list[Problem], more: int = 0) -> Unprocessable:
    return Unprocessable(problems[:LISTED], more + max(0, len(problems) - LISTED))
