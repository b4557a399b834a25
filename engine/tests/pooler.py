"""A stand-in for a pooler of Postgres that gives each transaction another session, as PgBouncer.

It refuses what such a pooler can't hold: options at the start of a session, and statements that a
session prepared under a name. Everything else goes to the server and back.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

_ENCRYPTION = (80877103, 80877104)  # codes by which a client asks for it before it starts


def _refusal(words: str) -> bytes:
    fields = b"SFATAL\0C08P01\0M" + words.encode() + b"\0\0"
    return b"E" + struct.pack("!I", len(fields) + 4) + fields


def _message(file: socket.SocketIO, has_type: bool) -> tuple[bytes, bytes]:
    """Read a message of the client; give its type and the whole of it. Both empty at the end."""
    head = file.read(5 if has_type else 4) or b""
    if len(head) < 4:
        return b"", b""
    size = struct.unpack("!I", head[-4:])[0] - 4
    return head[:1] if has_type else b"", head + (file.read(size) if size else b"")


def _serve(client: socket.socket, port: int) -> None:
    with client, socket.create_connection(("127.0.0.1", port), 10) as server:
        sent = client.makefile("rb")
        _, start = _message(sent, has_type=False)  # type: ignore[arg-type]
        while start and struct.unpack("!I", start[4:8])[0] in _ENCRYPTION:
            client.sendall(b"N")
            _, start = _message(sent, has_type=False)  # type: ignore[arg-type]
        if b"\0options\0" in start:
            client.sendall(_refusal("unsupported startup parameter: options"))
            return
        server.sendall(start)
        back = threading.Thread(target=_relay, args=(server, client), daemon=True)
        back.start()
        while True:
            kind, message = _message(sent, has_type=True)  # type: ignore[arg-type]
            if kind == b"P" and message[5:6] != b"\0":
                client.sendall(_refusal("prepared statement does not exist"))
                break
            if not message:
                break
            server.sendall(message)


def _relay(server: socket.socket, client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := server.recv(65_536):
            client.sendall(data)


@contextlib.contextmanager
def pooler(port: int) -> Iterator[int]:
    """Pool the Postgres on `port`; give the pooler's own port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listening.accept()
                    threading.Thread(target=_quietly, args=(client, port), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def _quietly(client: socket.socket, port: int) -> None:
    with contextlib.suppress(OSError):
        _serve(client, port)
