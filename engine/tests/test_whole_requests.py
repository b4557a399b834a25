"""A request that arrives whole is answered without a task, as one that arrives in parts."""

import contextlib
import json
import re
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from load import wait_for
from served import KEY, ROW, Process, running

ROWS = json.dumps({"rows": [ROW]}).encode()
MANY = json.dumps({"rows": [ROW] * 200}).encode()
COLUMNS = json.dumps({"columns": {name: [value] * 3 for name, value in ROW.items()}}).encode()
TENSORS = json.dumps(
    {
        "inputs": [
            {"name": name, "datatype": "FP64", "shape": [1], "data": [value]}
            for name, value in ROW.items()
        ]
    }
).encode()
INFER = "/v2/models/price/infer"
KEYED = {"x-api-key": KEY}

REQUESTS = {
    "a row": ("POST", "/predict", KEYED, ROWS),
    "rows": ("POST", "/predict", KEYED, MANY),
    "columns": ("POST", "/predict", KEYED, COLUMNS),
    "tensors": ("POST", INFER, KEYED, TENSORS),
    "GET with a body": ("GET", "/predict?size=1500&rooms=6", KEYED, b"x"),
    "a request id": ("POST", "/predict", KEYED | {"x-request-id": "mine"}, ROWS),
    "HTTP/1.1 with connection: close": ("POST", "/predict", KEYED | {"connection": "close"}, ROWS),
    "no key": ("POST", "/predict", {}, ROWS),
    "a wrong key": ("POST", "/predict", {"x-api-key": "another"}, ROWS),
    "no JSON": ("POST", "/predict", KEYED, b"size=1500"),
    "a wrong value": ("POST", "/predict", KEYED, b'{"rows": [{"size": "large", "rooms": 6}]}'),
    "no such tensor": ("POST", INFER, KEYED, TENSORS.replace(b"rooms", b"tombs")),
    "GET with a wrong value": ("GET", "/predict?size=large&rooms=6", KEYED, b"x"),
    "compressed": ("POST", "/predict", KEYED | {"content-encoding": "gzip"}, b"\x1f\x8b"),
    "too large a body": ("POST", "/predict", KEYED, b" " * 20_001),
    "too large a head": ("POST", "/predict", KEYED | {"x": "a" * 870}, ROWS),
    "too many rows": ("POST", "/predict", KEYED, json.dumps({"rows": [{}] * 301}).encode()),
    "another method": ("PUT", "/predict", KEYED, ROWS),
    "another path": ("POST", "/predict/", KEYED, ROWS),
}


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Process]:
    limits = {
        "SERVE_MAX_BODY_BYTES": "20000",
        "SERVE_MAX_HEADER_BYTES": "900",
        "SERVE_MAX_ROWS": "300",
    }
    with running(bundle, SERVE_API_KEY=KEY, **limits) as server:
        yield server


def head(method: str, path: str, headers: dict[str, str], body: bytes, chunked: bool) -> bytes:
    length = {"transfer-encoding": "chunked"} if chunked else {"content-length": str(len(body))}
    lines = [f"{method} {path} HTTP/1.1", "host: x"]
    lines += [f"{name}: {value}" for name, value in (headers | length).items()]
    return "\r\n".join([*lines, "", ""]).encode()


def answer(server: Process, *parts: bytes) -> tuple[list[str], object]:
    """Send a request in parts; give the lines of the answer's head, and its body, without ids."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        found = b""
        with contextlib.suppress(OSError):  # refused by its head, and closed
            for part in parts:
                connection.sendall(part)
                time.sleep(0.05)  # so that the server receives each by itself
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65_536):
                found += part
    first, _, rest = found.partition(b"\r\n\r\n")
    told = re.sub(r"[0-9a-f]{32}|(?<=x-request-id: )[0-9a-f]{16}\b", "…", rest.decode())
    lines = re.sub(r"(?<=x-request-id: )[0-9a-f]{16}\b", "…", first.decode()).split("\r\n")
    return [line for line in lines if not line.startswith("date:")], told


def counted(server: Process) -> list[str]:
    address = f"http://127.0.0.1:{server.port}/metrics"
    with urllib.request.urlopen(address, timeout=30) as answered:
        text = answered.read().decode()
    names = ("http_requests_total", "predictions_total", "prediction_rows_count")
    return [line for line in text.splitlines() if line.startswith(names) and "/metrics" not in line]


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("kind", REQUESTS)
def test_a_whole_request_is_answered_as_one_in_parts(
    server: Process, kind: str, chunked: bool
) -> None:
    method, path, headers, body = REQUESTS[kind]
    start = head(method, path, headers, body, chunked)
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body

    whole = answer(server, start + sent)
    in_parts = answer(server, start, sent)

    assert whole == in_parts
    assert whole[0][0].startswith("HTTP/1.1 ")


@pytest.mark.parametrize("origin", [{}, {"origin": "https://shop.example"}], ids=["", "page"])
def test_pages_of_other_origins_get_their_headers_both_ways(
    bundle: Path, origin: dict[str, str]
) -> None:
    start = head("POST", "/predict", origin, ROWS, False)
    with running(bundle, SERVE_CORS_ORIGINS="https://shop.example") as server:
        whole = answer(server, start + ROWS)
        in_parts = answer(server, start, ROWS)

    assert whole == in_parts
    allowed = "access-control-allow-origin: https://shop.example"
    assert (allowed in whole[0]) is bool(origin)


def test_both_ways_count_alike(bundle: Path) -> None:
    start = head("POST", "/predict", {}, ROWS, False)
    wrong = start.replace(b"content-length", b"content-encoding: br\r\ncontent-length")
    found = []
    for parts in ([start + ROWS], [start, ROWS]):
        with running(bundle) as server:
            for _ in range(3):
                answer(server, *parts)
            answer(server, *[part.replace(start, wrong) for part in parts])
            found.append(counted(server))

    assert found[0] == found[1]
    assert 'http_requests_total{method="POST",route="/predict",status="200"} 3.0' in found[0]
    assert 'http_requests_total{method="POST",route="/predict",status="415"} 1.0' in found[0]


@pytest.mark.parametrize(
    ("key", "body", "status"), [("", ROWS, b"401"), (KEY, b"{}", b"422"), (KEY, ROWS, b"200")]
)
def test_thousands_of_pipelined_requests_are_answered_in_their_order(
    server: Process, key: str, body: bytes, status: bytes
) -> None:
    n = 3000
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        asked = [
            head("POST", "/predict", {"x-api-key": key, "x-request-id": f"r{k}"}, body, False)
            for k in range(n)
        ]
        found = b""
        for at in range(0, n, 100):
            connection.sendall(b"".join(one + body for one in asked[at : at + 100]))
            while found.count(b"HTTP/1.1 ") < at + 100:
                part = connection.recv(1 << 20)
                assert part, "closed"
                found += part

    assert re.findall(rb"HTTP/1.1 (\d+)", found) == [status] * n
    assert re.findall(rb"x-request-id: r(\d+)", found) == [b"%d" % k for k in range(n)]


def test_clients_that_leave_before_their_answer_take_no_place(bundle: Path, tmp_path: Path) -> None:
    start = head("POST", "/predict", {}, ROWS, False)
    with running(bundle, f"sqlite:///{tmp_path}/log.db", SERVE_MAX_CONCURRENCY="2") as server:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                connection.sendall(start + ROWS)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        wait_for(lambda: server.ask("POST", "/predict", {"rows": [ROW]})[0] == 200, 20)
