"""Clients that send no end, or read no answer, lose their connection; others are served."""

import contextlib
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from load import wait_for
from mlops.gateway.pipelining import Line
from served import KEY, ROW, Process, running
from test_malformed import GROWTH, memory

GET = b"GET /health/live HTTP/1.1\r\nhost: x\r\n"
POST = b"POST /predict HTTP/1.1\r\nhost: x\r\n"
DEADLINES = {"SERVE_READ_TIMEOUT": "1", "SERVE_WRITE_TIMEOUT": "1"}

ENDLESS = {
    "nothing at all": (b"", b""),
    "half a head": (GET, b"x: "),
    "a blank line after an answer": (GET + b"\r\n", b"\r\n"),
    "blank lines before any request": (b"\r\n", b"\r\n"),
    "half a head after an answer": (GET + b"\r\n" + GET, b"x"),
    "a chunked GET": (GET + b"transfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "chunks of a body after 401": (POST + b"transfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "a body after 401": (POST + b"content-length: 10000\r\n\r\n", b"x"),
    "a body after 431": (
        POST + b"x: %s\r\ncontent-length: 10000\r\n\r\n" % (b"a" * 500),
        b"x",
    ),
    "a body after 413": (POST + b"content-length: 100000000\r\n\r\n", b"x"),
    "trailers without an end": (
        GET + b"transfer-encoding: chunked\r\n\r\n0\r\n",
        b"x: y\r\n",
    ),
}
"""What comes first, and what then trickles."""


def connect(server: Process, receive: int | None = None) -> socket.socket:
    connection = socket.socket()
    if receive is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    connection.settimeout(30)
    connection.connect(("127.0.0.1", server.port))
    return connection


def read_all(connection: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65_536):
            found += part
    return found


def closed(connection: socket.socket, more: bytes) -> bool:
    """Send a little more; tell whether the other side has closed."""
    with contextlib.suppress(ConnectionError, BlockingIOError):
        connection.setblocking(False)
        if more:
            connection.send(more)
        while connection.recv(65_536):
            pass
        return True
    try:
        connection.getpeername()
    except OSError:
        return True  # reset
    return False


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Process]:
    with running(bundle, SERVE_API_KEY=KEY, SERVE_MAX_HEADER_BYTES="400", **DEADLINES) as server:
        yield server


@pytest.mark.parametrize("kind", ENDLESS)
def test_what_never_ends_is_closed(server: Process, kind: str) -> None:
    first, more = ENDLESS[kind]
    with connect(server) as connection:
        connection.sendall(first)

        def over() -> bool:
            time.sleep(0.2)
            return closed(connection, more)

        wait_for(over, 25)
    assert server.ask("GET", "/health/live")[0] == 200


def test_an_idle_connection_is_kept_for_its_time_only(bundle: Path) -> None:
    settings = {**DEADLINES, "SERVE_READ_TIMEOUT": "60", "SERVE_KEEP_ALIVE_SECONDS": "3"}
    with running(bundle, **settings) as server, connect(server) as connection:
        began = time.monotonic()
        connection.sendall(GET + b"\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        wait_for(lambda: closed(connection, b""), 25)
        assert time.monotonic() - began >= 3


@pytest.mark.parametrize("target", ["/", "/openapi.json"])
def test_a_client_that_reads_no_answer_loses_its_connection_and_holds_no_place(
    bundle: Path, target: str
) -> None:
    with running(bundle, SERVE_MAX_CONCURRENCY="2", **DEADLINES) as server:
        with contextlib.ExitStack() as stack:
            deaf = []
            for _ in range(8):
                one = stack.enter_context(connect(server, receive=2048))
                one.setblocking(False)
                for _ in range(400):
                    with contextlib.suppress(BlockingIOError):
                        one.send(f"GET {target} HTTP/1.1\r\nhost: x\r\n\r\n".encode() * 20)
                deaf.append(one)
            wait_for(lambda: server.ask("GET", "/predict?size=1500&rooms=6")[0] == 200, 25)
            ends = select.poll()
            for one in deaf:
                ends.register(one, 0)
            wait_for(lambda: len(ends.poll(0)) == len(deaf), 25)
        assert "Traceback" not in server.end()[1]


@pytest.mark.parametrize("target", ["/", "/health/live", "/predict?size=1500&rooms=6"])
def test_pipelined_requests_are_answered_in_turn_and_take_little_memory(
    bundle: Path, target: str
) -> None:
    request = f"GET {target} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
    with running(bundle, SERVE_ACCESS_LOG="0", **DEADLINES) as server:
        with connect(server) as warm:
            warm.sendall(request * 20 + GET + b"connection: close\r\n\r\n")
            assert read_all(warm).count(b"HTTP/1.1 200") == 21
        before = memory(server)
        with contextlib.ExitStack() as stack:
            for _ in range(20):
                one = stack.enter_context(connect(server, receive=2048))
                one.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    one.send(request * (256_000 // len(request)))
            for _ in range(20):
                assert server.ask("GET", "/health/live")[0] == 200
            assert memory(server) - before <= GROWTH
        assert "Traceback" not in server.end()[1]


@pytest.mark.parametrize("padding", [0, 1000])  # beyond what is parsed at once, too
def test_no_more_is_read_of_a_client_that_reads_no_answer(bundle: Path, padding: int) -> None:
    request = b"GET / HTTP/1.1\r\nhost: x\r\nx: %s\r\n\r\n" % (b"a" * padding) * 100
    with running(bundle, SERVE_WRITE_TIMEOUT="30") as server:
        with connect(server, receive=2048) as one:
            one.settimeout(1)
            sent = 0
            with contextlib.suppress(TimeoutError):
                while sent < 100_000_000:
                    sent += one.send(request)
            assert sent < 20_000_000, "more than both sides' buffers of the system hold"
        assert "Traceback" not in server.end()[1]


class Ahead:
    """A connection that sent requests ahead of their answers."""

    def __init__(self, answered: list["Ahead"]) -> None:
        self.transport, self._answered = SimpleNamespace(is_closing=lambda: False), answered

    def go_on(self) -> bool:
        self._answered.append(self)
        return True


def test_connections_that_send_ahead_are_answered_one_at_a_time() -> None:
    answered: list[Ahead] = []
    line, first, second = Line(), Ahead(answered), Ahead(answered)
    line.join(first)  # type: ignore[arg-type]
    line.join(second)  # type: ignore[arg-type]
    assert answered == [first]

    line.leave(first)  # type: ignore[arg-type]

    assert answered == [first, second]


@pytest.mark.parametrize("requests", [1, 2, 50])
def test_who_closes_one_half_gets_every_answer(bundle: Path, requests: int) -> None:
    body = b'{"rows": [{"size": 1500, "rooms": 6}]}'
    post = POST + b"content-length: %d\r\n\r\n" % len(body) + body
    with running(bundle) as server:
        for request in (GET + b"\r\n", post, b"HEAD" + GET[3:] + b"\r\n"):
            with connect(server) as connection:
                connection.sendall(request * requests)
                connection.shutdown(socket.SHUT_WR)
                assert read_all(connection).count(b"HTTP/1.1 ") == requests
        for cut in (post[:-1], GET, GET + b"\r\n" + GET):
            with connect(server) as connection:
                connection.sendall(cut)
                connection.shutdown(socket.SHUT_WR)
                assert read_all(connection).count(b"HTTP/1.1 ") == cut.count(b"\r\n\r\nGET")
        assert "Traceback" not in server.end()[1]


@pytest.mark.parametrize("sent", [b"", GET, GET + b"\r\n", POST + b"content-length: 9\r\n\r\n"])
def test_more_connections_than_may_be_end_the_one_that_waits_longest(
    bundle: Path, sent: bytes
) -> None:
    with running(bundle, SERVE_MAX_CONNECTIONS="20") as server, contextlib.ExitStack() as stack:
        opened = []
        for _ in range(60):
            one = stack.enter_context(connect(server))
            one.sendall(sent)
            opened.append(one)
            assert not sent or server.ask("POST", "/predict", {"rows": [ROW]})[0] == 200
        assert server.ask("POST", "/predict", {"rows": [ROW]})[0] == 200
        read_all(opened[0])
        assert "Traceback" not in server.end()[1]
