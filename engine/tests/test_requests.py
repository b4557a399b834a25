"""The quick way to read a body takes only what the careful one takes, and reads it alike."""

import json
import random
from typing import Any

import pytest

from malformed import BODIES, body, valid
from mlops.serving.requests import Parser, Unprocessable
from project.schema import SCHEMA

PARSER = Parser(SCHEMA, max_rows=50)


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


def test_of_whatever_bytes_the_two_ways_give_the_same_rows() -> None:
    rng, taken = random.Random(1), 0
    for _ in range(20_000):
        rows: list[Any] = [valid(rng) for _ in range(rng.randint(1, 2))]
        content = changed(rng, json.dumps({"rows": rows}).encode())
        found = PARSER.quick.body(content)
        if found is not None:
            taken += 1
            assert found == PARSER.examined(content), content
    assert taken > 500, "else nothing was compared"
