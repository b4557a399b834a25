"""What answers at an address may be a proxy, or another program: a problem, never a trace."""

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mlops.errors import UserError
from mlops.paths import BUNDLE
from mlops.project import load_schema_of
from mlops.release import smoke
from mlops.release.smoke_checks import get, wrong_answers, wrong_identity
from mlops.versions import served_at


@contextlib.contextmanager
def started(server: socketserver.TCPServer) -> Iterator[str]:
    """Serve in a thread until the block ends; yield the address."""
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def other(request: pytest.FixtureRequest) -> Iterator[str]:
    """Start a server that gives all requests one answer; yield its address."""
    status, body = request.param

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with started(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as address:
        yield address


@pytest.mark.parametrize(
    "other",
    [
        (503, b"<html><body><h1>503 Service Unavailable</h1></body></html>"),
        (200, b"<html>Welcome to nginx!</html>"),
        (200, b"\xff\xfe"),
        (200, b""),
        (200, b"null"),
        (200, b"[1, 2]"),
        (200, b"{}"),
        (200, b'{"predictions": [], "predicted_price": null, "git_commit": 7}'),
        (404, b'{"detail": "Not Found"}'),
    ],
    indirect=True,
    ids=["proxy", "page", "bytes", "nothing", "null", "list", "no fields", "other fields", "404"],
)
def test_all_checks_fail_in_words_on_another_program(
    other: str, reproduced: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reproduced)

    problems = [*wrong_identity(other, "c0ffee"), *wrong_answers(other, load_schema_of(BUNDLE))]

    checked = [problem.partition(":")[0] for problem in problems]
    assert checked == ["/model", "/model", "a batch", "a row", "bad input"], problems
    assert isinstance(get(other)[1], dict)
    with pytest.raises(UserError, match="reports no model version"):
        served_at(other)


@pytest.fixture
def odd(request: pytest.FixtureRequest) -> Iterator[str]:
    """Start a server that sends some bytes to whoever connects, and hangs up."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(request.param)

    with started(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as address:
        yield address


@pytest.mark.parametrize(
    "odd",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}",
        b"HTTP/1.1 503 Away\r\ncontent-length: 100\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
    indirect=True,
    ids=["no HTTP", "nothing", "cut short", "an error cut short", "bad chunk"],
)
def test_a_server_that_breaks_off_is_a_problem_with_its_last_words(
    odd: str, reproduced: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reproduced)
    monkeypatch.setattr(smoke, "started", lambda *_: contextlib.nullcontext(("name", odd)))
    monkeypatch.setattr(smoke, "_becomes_ready", lambda *_: True)
    monkeypatch.setattr(smoke, "_last_words", lambda *_: ["out of memory"])

    told, *last = smoke.faults("engine", "image", "c0ffee", load_schema_of(BUNDLE))

    assert told.startswith("stopped answering: ")
    assert last == ["out of memory"]
    with pytest.raises(OSError, match=r".+"):
        get(odd)
    with pytest.raises(UserError, match="reports no model version"):
        served_at(odd)
