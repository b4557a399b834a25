"""Listen on loopback with TLS and hand each request on."""

import ssl
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket

from github_fake.web import Answer

Answerer = Callable[[str, str, Mapping[str, str], bytes], Answer]
PATIENCE = 30  # seconds without a byte before a connection is dropped


class _Handler(BaseHTTPRequestHandler):
    """Read one request, answer it, close."""

    server: "_Listener"
    timeout = PATIENCE

    def _handle(self) -> None:
        """Answer any method."""
        headers = dict(self.headers.items())
        answer = self.server.answerer(self.command, self.path, _titled(headers), self._read())
        body = answer.encoded()
        self.send_response(answer.status)
        for name, value in ({"Content-Type": "application/json"} | dict(answer.headers)).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _handle  # noqa: N815 (http.server names them)

    def _read(self) -> bytes:
        """Read the body, whole or in chunks (git sends large pushes so)."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def log_message(self, *arguments: object) -> None:
        """Keep quiet: the calls are logged by who answers."""


def _titled(headers: Mapping[str, str]) -> dict[str, str]:
    """Spell header names one way: clients differ."""
    return {name.title(): value for name, value in headers.items()}


class _Listener(ThreadingHTTPServer):
    """Accept connections; a handshake never blocks the next one."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, context: ssl.SSLContext, answerer: Answerer) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.context = context
        self.answerer = answerer

    def get_request(self) -> tuple[socket, tuple[str, int]]:
        """Wrap an accepted connection; the handshake happens in its own thread."""
        plain, address = self.socket.accept()
        secure = self.context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        return secure, address

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that broke off; a handler's own fault shows as a missing answer."""


class Server:
    """Start and stop the listener, always at the same port."""

    def __init__(self, certificate: Path, answerer: Answerer) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._answerer = answerer
        self._listener: _Listener | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Return the address; the port is known once started."""
        return f"https://localhost:{self._port}"

    def start(self) -> None:
        """Bind and serve in a thread of our own."""
        self._listener = _Listener(self._port, self._context, self._answerer)
        self._port = self._listener.server_address[1]
        poll = 0.02  # seconds: stop() waits for one round
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(poll,), daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop to listen and wait for the thread."""
        if self._listener:
            self._listener.shutdown()
            self._listener.server_close()
            self._thread.join(timeout=PATIENCE)
            self._listener = None
