"""Malformed requests of every class we could think of: fixed ones, and ones drawn at random."""

import gzip
import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from project.schema import SCHEMA
from served import ROW


def body(row: str) -> bytes:
    return f'{{"rows": [{{"rooms": 6, {row}}}]}}'.encode()


BODIES: dict[str, bytes] = {
    "empty": b"",
    "blank": b"  ",
    "null": b"null",
    "number": b"1",
    "text": b'"rows"',
    "list": b"[]",
    "no rows": b"{}",
    "rows null": b'{"rows": null}',
    "rows object": b'{"rows": {}}',
    "rows empty": b'{"rows": []}',
    "rows of zeros": b'{"rows": [' + b"0," * 40 + b"0]}",
    "too many rows": b'{"rows": [' + b"0," * 60 + b"0]}",
    "extra key": b'{"rows": [{"size": 1500, "rooms": 6}], "x": 1}',
    "cut": b'{"rows": [{"size": 1500, "rooms"',
    "trailing": b'{"rows": [{"size": 1500, "rooms": 6}]} x',
    "trailing comma": b'{"rows": [{"size": 1500, "rooms": 6},]}',
    "single quotes": b"{'rows': []}",
    "comment": b'{"rows": [{"size": 1500, "rooms": 6}]} // x',
    "form": b"size=1500&rooms=6",
    "xml": b"<rows/>",
    "multipart": b'--x\r\nContent-Disposition: form-data; name="size"\r\n\r\n1\r\n--x--',
    "deep list": b"[" * 200_000,
    "deep object": b'{"rows":' * 100_000,
    "deep in a row": body('"size": ' + "[" * 50_000 + "]" * 50_000),
    "utf-16": '{"rows": [{"size": 1500, "rooms": 6}]}'.encode("utf-16"),
    "utf-32": '{"rows": [{"size": 1500, "rooms": 6}]}'.encode("utf-32"),
    "two byte order marks": b"\xef\xbb\xbf" * 2 + body('"size": 1500'),
    "byte order mark alone": b"\xef\xbb\xbf",
    "utf-16 without a mark": '{"rows": [{"size": 1500, "rooms": 6}]}'.encode("utf-16-be"),
    "latin-1": body('"size": 1500, "neighborhood": "é"').decode().encode("latin-1"),
    "nul": body('"size": 1500, "neighborhood": "\\u0000"'),
    "raw nul": b"\x00",
    "random": bytes(range(256)),
    "gzip": b"\x1f\x8b\x08\x00" + b"\x00" * 40,
    "surrogate": body('"size": 1500, "neighborhood": "\\ud800"'),
    "surrogate key": body('"size": 1500, "\\udfff": 1'),
    "NaN": body('"size": NaN'),
    "Infinity": body('"size": Infinity'),
    "-Infinity": body('"size": -Infinity'),
    "1e400": body('"size": 1e400'),
    "-1e400": body('"size": -1e400'),
    "1.7e308": body('"size": 1.7e308'),
    "many digits": body('"size": ' + "1" * 5000),
    "long integer": body('"size": ' + "1" * 4000),
    "long rooms": body('"size": 1500, "bedrooms": ' + "1" * 400),
    "leading zero": body('"size": 01500'),
    "hexadecimal": body('"size": 0x10'),
    "boolean": body('"size": true'),
    "number as text": body('"size": "1500"'),
    "list for a number": body('"size": [1500]'),
    "object for a number": body('"size": {"$gt": 0}'),
    "twice": body('"size": 1500, "size": 1600'),
    "rows twice": b'{"rows": [], "rows": [{"size": 1500, "rooms": 6}]}',
    "SQL": body('"size": 1500, "neighborhood": "x\'; DROP TABLE predictions; --"'),
    "template": body('"size": 1500, "neighborhood": "{{7*7}}${7*7}<%= 7*7 %>"'),
    "markup": body('"size": 1500, "<script>alert(1)</script>": 1'),
    "prototype": body('"size": 1500, "__proto__": {"x": 1}'),
    "dunder": body('"size": 1500, "__class__": "x"'),
    "long key": body('"size": 1500, "' + "k" * 50_000 + '": 1'),
    "many keys": body('"size": 1500, ' + ", ".join(f'"k{i}": 1' for i in range(5000))),
}

QUERIES = [
    "size=1500&rooms=6&size=1600",
    "size=nan&rooms=6",
    "size=inf&rooms=6",
    "size=1e309&rooms=6",
    "size=1_500&rooms=6",
    "size=%201500&rooms=6",
    "size=0x5dc&rooms=6",
    "size=true&rooms=6",
    "size=[1500]&rooms=6",
    "size=1500&rooms=6&unknown=",
    "size=1500&rooms=6&unknown=1",
    "size=" + "9" * 4000 + "&rooms=6",
    "size=%ff&rooms=6",
    "size=1500&rooms=6.5",
    "size=&rooms=6",
    "size=%D9%A1%D9%A5&rooms=6",
]


class Request(NamedTuple):
    """A request, and what may come back.

    Attributes:
        statuses: that an answer may have; 0 is a closed connection without one.
        fields: that a 422 has to name, all of them and no other; None asks for no particular one.
        whole: False if the server can't know that nothing more will come: the client closes its
            half.
        answers: that come; the statuses hold for each.
    """

    sent: bytes
    statuses: frozenset[int]
    fields: frozenset[str] | None = None
    whole: bool = True
    answers: int = 1


def post(
    content: bytes,
    *statuses: int,
    path: str = "/predict",
    head: bytes = b"",
    fields: frozenset[str] | None = None,
) -> Request:
    lines = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(content)}\r\n".encode()
    return Request(lines + head + b"\r\n" + content, frozenset(statuses or (422,)), fields)


def raw(text: bytes, *statuses: int, whole: bool = True, answers: int = 1) -> Request:
    return Request(text, frozenset(statuses), whole=whole, answers=answers)


def get(target: str, *statuses: int, fields: frozenset[str] | None = None) -> Request:
    line = f"GET {target} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
    return Request(line, frozenset(statuses or (422,)), fields)


def valid(rng: random.Random) -> dict[str, Any]:
    return {**ROW, "size": rng.randint(500, 4000)}


def _text(rng: random.Random, length: int = 30) -> str:
    alphabet = "abc'\"<>{}$%\\/;\u00e9\u202e\ud7ff\U0001f600\x00\x1b\n "
    return "".join(rng.choices(alphabet, k=rng.randint(1, length)))


def _value(rng: random.Random, depth: int = 0) -> Any:
    """Draw any JSON value."""
    kind = rng.randrange(6 if depth > 3 else 8)
    if kind < 6:
        return (
            None,
            rng.random() < 0.5,
            rng.randint(-(10**20), 10**20),
            rng.gauss(0, 1e9),
            _text(rng),
            "",
        )[kind]
    inner = [_value(rng, depth + 1) for _ in range(rng.randint(0, 4))]
    return inner if kind == 6 else {_text(rng, 5): item for item in inner}


def _bad_fields(rng: random.Random) -> tuple[dict[str, Any], frozenset[str]]:
    """Spoil some features of a row, in some way that each refuses."""
    row, chosen = valid(rng), rng.sample(SCHEMA.features, rng.randint(1, 8))
    for column in chosen:
        wrong: list[Any] = [[], {}, [1], {"$gt": 0}, True, "no such choice", _text(rng) + "?"]
        if column.choices:
            wrong += [1, -0.5]
        else:
            wrong += [-1 - rng.random() * 1e9, 10 ** rng.randint(9, 300), str(rng.random())]
        if not column.nullable:
            wrong.append(None)
        row[column.name] = rng.choice(wrong)
    if rng.random() < 0.3:
        row[f"unknown{rng.randrange(99)}"] = _value(rng)
    return row, frozenset(row) - (frozenset(ROW) - {c.name for c in chosen})


def _bad_row(rng: random.Random) -> Request:
    row, fields = _bad_fields(rng)
    return post(json.dumps({"rows": [row]}).encode(), fields=fields)


def _bad_query(rng: random.Random) -> Request:
    row, fields = _bad_fields(rng)
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in row.items()}
    texts |= {name: texts[name] + "x" for name in fields}
    return get("/predict?" + urlencode(texts, errors="replace"), fields=fields)


def _cut(rng: random.Random) -> Request:
    content = json.dumps({"rows": [valid(rng)]}).encode()
    return post(content[: rng.randrange(len(content))])


def _flipped(rng: random.Random) -> Request:
    content = bytearray(json.dumps({"rows": [valid(rng)]}).encode())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return post(bytes(content), 200, 422)


def _headers(rng: random.Random) -> Request:
    head = b"".join(b"x-%d: %s\r\n" % (i, b"a" * 100) for i in range(rng.randint(170, 400)))
    return raw(b"GET /health/live HTTP/1.1\r\nhost: x\r\n" + head + b"\r\n", 431, 0)


def _line(rng: random.Random) -> Request:
    target = "".join(rng.choices("abc/.%\\?&=;:@~_-", k=rng.randint(1, 60)))
    return get("/x" + target, 400, 404, 422)


def _head_bytes(rng: random.Random) -> Request:
    noise = bytes(rng.choices(range(256), k=rng.randint(1, 60)))
    return raw(noise + b"\r\n\r\n", 400, 404, 405, 431, 0, whole=False)


LIVE = b"GET /health/live HTTP/1.1\r\nhost: x\r\n"
POST = b"POST /predict HTTP/1.1\r\nhost: x\r\n"


def _control(rng: random.Random) -> Request:
    control = rng.choice(
        [
            "%00",
            "%09",
            "%0A",
            "%0B",
            "%0D",
            "%0D%0A",
            "%1B",
            "%7F",
            "%C2%80",
            "%C2%9F",
            "%E2%80%A8",
            "%E2%80%A9",
            "%0a%0a",
        ]
    )
    path = rng.choice(
        ["/predict", "/feedback", "/model", "/docs", "/health/ready", "/metrics", "/"]
    )
    place = rng.randint(0, len(path))
    host = rng.choice(["", "", "http://x"])
    return get(host + (path[:place] or "/") + control + path[place:] + "?size=1500&rooms=6", 404)


def _ahead(rng: random.Random) -> Request:
    """Several requests, good and bad, before the first answer."""
    many = rng.choices([get("/health/live", 200), get("/predict", 422), _cut(rng)], k=40)
    many = many[: rng.randint(2, 40)]
    return raw(b"".join(one.sent for one in many), 200, 422, answers=len(many))


def _half_closed(rng: random.Random) -> Request:
    content = json.dumps({"rows": [valid(rng)]}).encode()
    one = rng.choice([get("/health/live", 200), get("/model", 200), post(content, 200)])
    return one._replace(sent=one.sent * (many := rng.randint(1, 5)), whole=False, answers=many)


def _after(rng: random.Random) -> Request:
    more = rng.choice([b"\r\n", b"\n", b"\r\n" * 50, b"\x00", b"GET", b"}" * 99, b"\xff" * 9])
    return raw(LIVE + b"\r\n" + more, 200, 400, whole=False)


def _refused_body(rng: random.Random) -> Request:
    """A body that goes on after the head was refused."""
    head, statuses = rng.choice(
        [
            (b"POST /nowhere HTTP/1.1\r\nhost: x\r\n", (400, 404)),
            (POST + b"content-encoding: gzip\r\n", (400, 415)),
            (b"PUT /predict HTTP/1.1\r\nhost: x\r\n", (400, 405)),
            (POST + b"x: " + b"a" * 20_000 + b"\r\n", (400, 431)),
        ]
    )
    more = rng.choice([b"{", b"1\r\nx\r\n", b"\r\n"]) * rng.randint(1, 90)
    length = rng.choice([b"content-length: 5000\r\n", b"transfer-encoding: chunked\r\n"])
    return raw(head + length + b"\r\n" + more, *statuses, 0, whole=False)


def _twice(rng: random.Random) -> Request:
    """The same name or length or host, or an id, stands there twice."""
    name = rng.randbytes(14).hex().encode()
    given = b'{"prediction_id": "%b", "prediction_id": "%b", "actual": 5000}' % (name, name[::-1])
    return rng.choice(
        [
            post(given, 404, 422, path="/feedback"),
            raw(LIVE + b"x-request-id: %b\r\nx-request-id: a\r\n\r\n" % name, 200),
            raw(LIVE + b"host: y\r\n\r\n", 200, 400),
            raw(LIVE + b"content-length: 0\r\ncontent-length: 0\r\n\r\n", 200, 400, 0),
            raw(POST + b"transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400, 422, 0),
        ]
    )


def _last_line_end(rng: random.Random) -> Request:
    """A line end behind a value that is right without it."""
    end = rng.choice(["\n", "\r\n", "\r", "\u2028", "\x85", "\x0b"])
    row = {**valid(rng), "neighborhood": "OldTown" + end}
    told = {"prediction_id": rng.randbytes(14).hex() + end, "actual": 5000}
    return rng.choice(
        [
            post(json.dumps({"rows": [row]}).encode(), fields=frozenset({"neighborhood"})),
            get("/predict?" + urlencode(row), fields=frozenset({"neighborhood"})),
            get("/predict?size=1500&rooms=6" + quote(end), fields=frozenset({"rooms"})),
            post(json.dumps(told).encode(), path="/feedback", fields=frozenset({"prediction_id"})),
        ]
    )


def _other_http(rng: random.Random) -> Request:
    """What other versions of HTTP, or other hands, would send."""
    chunked = POST + b"transfer-encoding: chunked\r\n\r\n"
    return rng.choice(
        [
            raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 404, 405, 0, whole=False),
            raw(b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n", 400, 404, 405),
            raw(b"GET /health/live HTTP/1.0\r\n\r\n", 200, whole=False),
            raw(b"GET /health/live\r\n\r\n", 200, 400, 0, whole=False),
            raw(b"GET /health/live HTTP/1.1\n\n", 200, 400, 0, whole=False),
            raw(LIVE + b"a : b\r\n\r\n", 200, 400, 0),
            raw(LIVE + b"a: b\r\n c\r\n\r\n", 200, 400, 0),
            raw(LIVE + b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\n\r\n", 200, 400),
            raw(POST + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n{}", 422),
            raw(chunked + b"2;a=b\r\n{}\r\n0\r\nx: y\r\n\r\n", 422),
            raw(chunked + b"2\n{}\n0\n\n", 400, 422, 0, whole=False),
            raw(b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n", 400, 404, 405, 0, whole=False),
        ]
    )


def _head(rng: random.Random) -> Request:
    target = rng.choice(["/", "/model", "/nowhere", "/predict", "/predict?size=1500&rooms=6"])
    end = rng.choice([b"", b"content-length: 3\r\n\r\n{}"])
    line = f"HEAD {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n".encode()
    return raw(line + end + b"\r\n", 200, 400, 404, 422, 405)


GENERATED: dict[str, Callable[[random.Random], Request]] = {
    "several bad fields": _bad_row,
    "several bad fields in a query": _bad_query,
    "any JSON": lambda r: post(json.dumps(_value(r)).encode()),
    "any JSON for the rows": lambda r: post(json.dumps({"rows": [_value(r)]}).encode()),
    "any JSON as feedback": lambda r: post(json.dumps(_value(r)).encode(), path="/feedback"),
    "any bytes": lambda r: post(r.randbytes(r.randint(1, 300))),
    "a body cut anywhere": _cut,
    "a bit flipped anywhere": _flipped,
    "a compressed body": lambda r: post(
        gzip.compress(json.dumps({"rows": [valid(r)]}).encode()),
        415,
        head=b"content-encoding: %s\r\n" % r.choice([b"gzip", b"GZIP", b"br", b"gzip, identity"]),
    ),
    "a compressed body that does not say so": lambda r: post(
        gzip.compress(json.dumps({"rows": [valid(r)]}).encode())
    ),
    "a control character in a path": _control,
    "requests ahead of their answers": _ahead,
    "a client that closed its half": _half_closed,
    "bytes after a request": _after,
    "a body that goes on after a refusal": _refused_body,
    "something twice": _twice,
    "a line end behind a value": _last_line_end,
    "another HTTP": _other_http,
    "HEAD": _head,
    "another spelling of a path": lambda r: get(
        r.choice(
            [
                "//predict",
                "/./predict",
                "/x/../predict",
                "/predict/",
                "/predict%2F",
                "/%70redict/",
                "/Predict",
                "/predict;x",
                "/predict%3F",
                "/predict%00",
                "/%2Fpredict",
                "/predict%20",
            ]
        )
        + r.choice(["", "?size=1500&rooms=6"]),
        404,
    ),
    "another charset": lambda r: post(json.dumps({"rows": [valid(r)]}).encode("utf-16-le")),
    "another content type": lambda r: post(
        b"<rows/>", head=b"content-type: %s\r\n" % r.choice([b"text/xml", b"multipart/x", b"\xff"])
    ),
    "an unknown id": lambda r: post(
        json.dumps({"prediction_id": r.randbytes(14).hex(), "actual": 5000}).encode(),
        404,
        path="/feedback",
    ),
    "SQL for an id": lambda r: post(
        json.dumps({"prediction_id": f"' OR {r.random()}=1 --", "actual": 5000}).encode(),
        path="/feedback",
        fields=frozenset({"prediction_id"}),
    ),
    "a length that is none": lambda r: raw(
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %s\r\n\r\n"
        % r.choice([b"-1", b"x", b"1e3", b"0x10", b"9" * 40]),
        400,
        413,
    ),
    "a length that is too large": lambda r: raw(
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
        % r.randint(10**6 + 1, 10**17),
        413,
    ),
    "two lengths": lambda r: raw(
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: %d\r\n\r\n{}"
        % r.randint(3, 9),
        400,
        0,
    ),
    "a length and chunks": lambda r: raw(
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n"
        b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n" % r.randint(3, 9),
        400,
        422,
        0,
    ),
    "chunks of no size": lambda r: raw(
        b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n%s\r\nx\r\n"
        % r.choice([b"-1", b"zz", b"f" * 40, b""]),
        400,
        0,
        whole=False,
    ),
    "an unfinished body": lambda r: raw(
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n"
        + b"{" * r.randint(0, 99),
        400,
        0,
        whole=False,
    ),
    "an unfinished head": lambda r: raw(
        b"POST /predict HTTP/1.1\r\nhost: x\r\nx-a: " + b"a" * r.randint(0, 900),
        400,
        0,
        whole=False,
    ),
    "a flood of headers": _headers,
    "a long header": lambda r: raw(
        b"GET / HTTP/1.1\r\nhost: x\r\ncookie: " + b"a" * r.randint(17_000, 70_000) + b"\r\n\r\n",
        431,
        0,
    ),
    "a header of any bytes": lambda r: raw(
        b"GET /health/live HTTP/1.1\r\nhost: x\r\nx-request-id: "
        + bytes(r.choices(range(128, 256), k=r.randint(1, 90)))
        + b"\r\n\r\n",
        200,
        400,
    ),
    "a long query": lambda r: get("/predict?size=" + "1" * r.randint(17_000, 60_000), 431, 0),
    "many parameters": lambda r: get(
        "/predict?" + "&".join(f"k{i}=1" for i in range(r.randint(50, 1500)))
    ),
    "a key twice": lambda r: get(f"/predict?size={r.randint(500, 900)}&rooms=6&size=1000"),
    "any text for a number": lambda r: get(
        f"/predict?rooms=6&size={quote(_text(r) + 'x')}", fields=frozenset({"size"})
    ),
    "an unknown path": lambda r: get(f"/{r.randbytes(9).hex()}", 404),
    "any target": _line,
    "a path out of the root": lambda r: get("/" + "../" * r.randint(1, 20) + "etc/passwd", 404),
    "another method": lambda r: raw(
        b"%s /predict HTTP/1.1\r\nhost: x\r\n\r\n"
        % r.choice([b"PUT", b"DELETE", b"PATCH", b"TRACE"]),
        405,
    ),
    "a method that is none": lambda r: raw(
        b"ZAP%d / HTTP/1.1\r\nhost: x\r\n\r\n" % r.randrange(99), 400
    ),
    "a version that is none": lambda r: raw(
        b"GET / HTTP/%d.7\r\nhost: x\r\n\r\n" % r.randint(2, 9), 400, 0
    ),
    "a head of any bytes": _head_bytes,
    "a socket wanted": lambda r: raw(
        b"GET /predict HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: %s\r\n\r\n"
        % r.randbytes(8).hex().encode(),
        400,
        403,
        422,
        0,
    ),
}

CLASSES: dict[str, Callable[[random.Random], Request]] = {
    **GENERATED,
    **{name: lambda r, content=content: post(content) for name, content in BODIES.items()},
    **{query: lambda r, query=query: get(f"/predict?{query}") for query in QUERIES},
}
"""Of each class, a function that draws a request."""
