"""The quick way to read a body takes only what the careful one takes, and reads it alike."""

import json
import random
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest

from malformed import BODIES, body, valid
from mlops.columns import Column, Schema
from mlops.request_parsing.requests import Parser, Unprocessable, parse_json
from mlops.request_parsing.tensors import _DECODER, Asked, _keys, columns_of, datatype
from mlops.serving.predictions import pairs
from project.schema import SCHEMA

PARSER = Parser(SCHEMA, max_rows=50)
INPUTS = {column.name: column for column in SCHEMA.inputs}


def test_a_plain_body_is_read_in_the_quick_way() -> None:
    rng = random.Random(0)
    rows = [valid(rng) for _ in range(50)]

    for form in ({}, {"indent": 2}, {"separators": (" , ", " : ")}):
        content = json.dumps({"rows": rows}, **form).encode()  # type: ignore[arg-type]
        assert PARSER.quick.body(content) == PARSER.examined(content)


@pytest.mark.parametrize("name", BODIES)
def test_what_is_malformed_is_left_to_the_careful_way(name: str) -> None:
    assert PARSER.quick.body(BODIES[name]) is None


@pytest.mark.parametrize(
    "row",
    [
        '"size": 1, "size": 1500',
        '"size": 1500, "size" :1500',
        '"size"\t: 1500, "\\u0073ize": 1500',
        '"size": 1500, "quality": null, "quality": null',
    ],
)
def test_a_key_that_stands_twice_is_never_taken(row: str) -> None:
    assert PARSER.quick.body(body(row)) is None
    with pytest.raises(Unprocessable, match="a key is duplicated"):
        PARSER.batch(body(row))


def test_rows_that_stand_twice_are_never_taken() -> None:
    twice = b'{"rows": [], "rows": [{"size": 1500, "rooms": 6}]}'

    assert PARSER.quick.body(twice) is None


@pytest.mark.parametrize("fault", [b"0", b"{}", b"[]", b'{"size": 1500, "rooms": 6}'])
def test_more_than_the_allowed_rows_are_not_even_looked_at(
    fault: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    parser = Parser(SCHEMA, max_rows=5)
    monkeypatch.setattr(parser, "rows", None)  # whoever looks at rows fails

    with pytest.raises(Unprocessable, match="wanted at most 5 rows"):
        parser.batch(b'{"rows": [' + b",".join([fault] * 100) + b"]}")


def changed(rng: random.Random, content: bytes) -> bytes:
    """Change, take away or double a few bytes anywhere."""
    for _ in range(rng.randint(1, 3)):
        at, until = sorted(rng.randrange(len(content)) for _ in range(2))
        until = min(until, at + rng.randint(0, 12))
        middle = rng.choice([b"", bytes([rng.randrange(256)]), content[at:until] * 2])
        content = content[:at] + middle + content[until:]
    return content


def columns(rows: list[Any]) -> dict[str, list[Any]]:
    names = sorted({name for row in rows for name in row})
    return {name: [row.get(name) for row in rows] for name in names}


def tensors(rows: list[Any]) -> dict[str, Any]:
    inputs = [
        {"name": name, "shape": [len(rows)], "datatype": datatype(SCHEMA[name]), "data": data}
        for name, data in columns(rows).items()
    ]
    return {"id": "1", "inputs": inputs}


def quickly(form: str, content: bytes) -> Any:
    if form != "tensors":
        return PARSER.quick.body(content)
    try:
        asked = _DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if content.count(b":") != _keys(asked):
        return None
    try:
        return PARSER.quick.columns(columns_of(asked, b"", INPUTS))
    except Unprocessable:
        return None


def carefully(form: str, content: bytes) -> Any:
    if form != "tensors":
        return PARSER.examined(content)
    asked = msgspec.convert(parse_json(content), Asked)
    return PARSER.examined_columns(columns_of(asked, b"", INPUTS), ["inputs"])


FORMS: dict[str, Any] = {
    "rows": lambda rows: {"rows": rows},
    "columns": lambda rows: {"columns": columns(rows)},
    "tensors": tensors,
}


@pytest.mark.parametrize("bodies", [5_000, pytest.param(110_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("form", FORMS)
def test_of_whatever_bytes_the_two_ways_give_the_same_rows(form: str, bodies: int) -> None:
    rng, taken = random.Random(1), 0
    for _ in range(bodies):
        rows: list[Any] = [valid(rng) for _ in range(rng.randint(1, 2))]
        if rng.random() < 0.3:
            rows[0] |= {"neighborhood": "NAmes", "quality": rng.choice([5, None])}
        content = changed(rng, json.dumps(FORMS[form](rows)).encode())
        found = quickly(form, content)
        if found is not None:
            taken += 1
            assert found == carefully(form, content), content
    assert taken > bodies / 100, "else nothing was compared"


def test_a_query_is_parsed_as_by_python_itself() -> None:
    rng, parts = random.Random(0), [*"ab=&&;%+?# ", "size=1500", "%C3%A9", "\xe9", "%zz"]
    for _ in range(20_000):
        query = "".join(rng.choices(parts, k=rng.randint(0, 8)))
        assert pairs(query.encode("latin-1")) == parse_qsl(query, keep_blank_values=True), query


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("false", False), ("True", True), ("False", False)]
)
def test_a_query_has_booleans_as_json_or_python_writes_them(text: str, value: bool) -> None:
    columns = (
        Column("id", "", int, low=1, role="key"),
        Column("paid", "", bool),
        Column("price", "", float, low=0, role="target"),
    )

    assert Parser(Schema(columns), max_rows=5).single([("paid", text)]) == {"paid": [value]}
