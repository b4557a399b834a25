"""uvicorn's response and transport, which send a whole response by one system call."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

WHOLE = "mlops.whole_response"
"""ASGI extension: the message that starts a response may have its body."""
CLOSE = (b"connection", b"close")
"""The header of the last response of a connection."""


class Joined:
    """A transport that joins all writes of one iteration of the event loop.

    uvicorn writes the head and the body of an answer separately, which takes two system calls.
    """

    def __init__(self, transport: Any, loop: Any) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []
        self.is_closing, self.abort = transport.is_closing, transport.abort

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)

    def flush(self) -> None:
        if self._parts and not self._transport.is_closing():
            self._transport.write(b"".join(self._parts))
        self._parts.clear()

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def get_write_buffer_size(self) -> int:
        self.flush()
        return int(self._transport.get_write_buffer_size())


class Cycle(RequestResponseCycle):
    """uvicorn's request and response, which sends some responses by one message.

    uvicorn's check of each header takes longer than the rest of sending a prediction.
    """

    async def send(self, message: Any) -> None:
        body = message.pop(WHOLE, None)
        if body is None:
            await super().send(message)
        elif not self.sent_at_once(message["status"], message["headers"], body):
            await super().send(message)
            await super().send({"type": "http.response.body", "body": body})

    def sent_at_once(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bool:
        """Send a whole response, if it is a usual one."""
        headers = [*self.default_headers, *headers]
        waits = self.flow.write_paused or self.disconnected
        if waits or not self.keep_alive or self.scope["method"] == "HEAD" or CLOSE in headers:
            return False
        self.response_started, self.waiting_for_100_continue = True, False
        lines = [b"%b: %b\r\n" % header for header in headers]
        self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", body]))
        self.response_complete = True
        self.message_event.set()
        self.on_response()
        return True
