"""Malformed requests by the thousands on a real server: it refuses, says why, and stays well."""

import contextlib
import json
import random
import socket
import time
from pathlib import Path

import pytest

from malformed import CLASSES, Request
from served import ROW, Process, running

LARGEST_ANSWER = 16_384
GROWTH = 20 * 2**20
"""Bytes of memory that a server may have more after all of it."""


class Client:
    """Sends one request after another on a connection that is rebuilt when it was closed."""

    def __init__(self, port: int) -> None:
        self._address = "127.0.0.1", port
        self._socket: socket.socket | None = None
        self._found = b""

    def ask(self, request: Request) -> list[tuple[int, bytes]]:
        """Give status and body of each answer; status 0 if the connection was closed without."""
        if self._socket is None:
            self._socket, self._found = socket.create_connection(self._address, timeout=20), b""
        closes, answers = False, []
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(request.sent)
            if not request.whole:
                self._socket.shutdown(socket.SHUT_WR)
        while not closes and len(answers) < request.answers:
            try:
                head, closes, content = self._receive(self._socket)
            except ConnectionError:
                head, closes, content = b"", True, b""
            answers.append((int(head[9:12] or 0), content))
        if closes or not request.whole:
            self.close()
        return answers

    def _receive(self, connection: socket.socket) -> tuple[bytes, bool, bytes]:
        while b"\r\n\r\n" not in self._found:
            if not (part := connection.recv(65_536)):
                return b"", True, b""
            self._found += part
        head, self._found = self._found.split(b"\r\n\r\n", 1)
        head = head.lower()
        if head.startswith(b"http/1.1 100"):
            return self._receive(connection)
        length = head.partition(b"content-length: ")[2].split(b"\r\n")[0]
        while not length or len(self._found) < int(length):
            if not (part := connection.recv(65_536)):
                return head, True, self._found
            self._found += part
        content, self._found = self._found[: int(length)], self._found[int(length) :]
        return head, b"connection: close" in head, content

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None


def memory(server: Process) -> int:
    """Give the resident bytes of a server."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def check(name: str, request: Request, status: int, content: bytes) -> None:
    where = f"{name}: {status} {content[:300]!r} for {request.sent[:300]!r}"
    assert status in request.statuses, where
    assert len(content) <= LARGEST_ANSWER, where
    if status == 422 and not request.sent.startswith(b"HEAD "):
        problems = json.loads(content)["detail"]
        assert all(problem["msg"] for problem in problems), where
        assert problems, where
        if request.fields is not None:
            named = {part for p in problems for part in p["loc"] if isinstance(part, str)}
            assert named - {"body", "query", "rows"} == request.fields, where


def send_malformed(
    server: Process, number: int, seed: int = 0, also: frozenset[int] = frozenset()
) -> None:
    """Send requests of each class in turn; a status may be one of theirs, or of `also`."""
    rng, client = random.Random(seed), Client(server.port)
    with contextlib.closing(client):
        for place in range(number):
            name = list(CLASSES)[place % len(CLASSES)]
            request = CLASSES[name](rng)
            request = request._replace(statuses=request.statuses | also)
            for status, content in (answers := client.ask(request)):
                check(name, request, status, content)
            assert len(answers) == request.answers or answers[-1][0] == 503, (name, answers)


def flood(bundle: Path, tmp_path: Path, number: int) -> None:
    assert len(CLASSES) >= 40
    settings = {"SERVE_ACCESS_LOG": "0"}
    with running(bundle, f"sqlite:///{tmp_path}/log.db", **settings) as server:
        send_malformed(server, 2 * len(CLASSES))
        before = memory(server)
        send_malformed(server, number, seed=1)
        assert memory(server) - before <= GROWTH
        assert server.ask("POST", "/predict", {"rows": [ROW]})[0] == 200
        assert server.ask("GET", "/health/ready")[0] == 200
        assert "Traceback" not in server.end()[1]


def test_malformed_requests_are_refused_and_every_bad_field_is_named(
    bundle: Path, tmp_path: Path
) -> None:
    flood(bundle, tmp_path, 3_000)


@pytest.mark.slow
def test_a_hundred_thousand_malformed_requests_leave_no_trace(bundle: Path, tmp_path: Path) -> None:
    flood(bundle, tmp_path, 100_000)


def test_a_hundred_megabytes_are_never_taken_in(bundle: Path) -> None:
    with running(bundle) as server:
        assert server.ask("POST", "/predict", {"rows": [ROW]})[0] == 200
        before = memory(server)
        for head in (b"content-length: 100000000\r\n", b"transfer-encoding: chunked\r\n"):
            sender = socket.create_connection(("127.0.0.1", server.port), timeout=20)
            with sender, contextlib.suppress(ConnectionError):
                sender.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\n" + head + b"\r\n")
                for _ in range(1600):
                    sender.sendall(b"f424\r\n" + b"[" * 62_500 + b"\r\n")
                pytest.fail("a hundred megabytes were taken")
        assert memory(server) - before <= GROWTH
        assert server.ask("POST", "/predict", {"rows": [ROW]})[0] == 200


def test_bodies_that_trickle_are_given_up_and_harm_no_other(bundle: Path) -> None:
    with running(bundle, SERVE_READ_TIMEOUT="1") as server, contextlib.ExitStack() as stack:
        slow = []
        for _ in range(50):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            one.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n")
            slow.append(one)
        began = time.monotonic()
        for _ in range(8):
            for one in slow:
                with contextlib.suppress(ConnectionError):
                    one.send(b" ")
            assert server.ask("GET", "/predict?size=1500&rooms=6")[0] == 200
            time.sleep(0.2)
        for one in slow:
            one.settimeout(20)
            assert one.recv(4096).startswith(b"HTTP/1.1 408")
        assert time.monotonic() - began < 20
