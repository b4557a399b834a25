"""uvicorn's HTTP protocol with timeouts, processing one request of a connection at a time.

uvicorn itself has no timeout for the rest of a request, nor for a client to read its answer. And it
parses all requests that a client pipelines: 256 kB of small requests needed 30 MB of memory.
"""

import sys
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mlops.gateway.pipelining import Line
from mlops.gateway.single_writes import WHOLE, Cycle, Joined

if TYPE_CHECKING:
    from mlops.serving.settings import Settings

if sys.platform != "win32":
    import resource

# Bytes parsed at once, except of a body: all requests in a piece are parsed before their turn.
_PIECE = 512
_EXTENSIONS: dict[str, Any] = {WHOLE: {}}
_OWN_FILES = 100  # files that a process has open beside its connections
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n"
    b"content-length: 0\r\n\r\n"
)


class _Flow(FlowControl):
    """uvicorn's flow control, which does not resume reading while `held`."""

    held = False

    def resume_reading(self) -> None:
        if not self.held:
            super().resume_reading()


class Bounded(HttpToolsProtocol):
    """A connection that never waits for its client without a deadline."""

    settings: "Settings"
    most: int
    line: Line
    flow: _Flow
    transport: Any  # a Joined

    def connection_made(self, transport: Any) -> None:
        super().connection_made(Joined(transport, self.loop))  # type: ignore[arg-type]
        self.flow = _Flow(transport)
        self._rest = memoryview(b"")  # not parsed yet: a request is being answered
        self._answering: Any = None
        self._new: Any = None  # the same, if nothing answers it yet
        self._begun = True  # the next request; the first is due once the client connects
        self._later = False  # pipelined requests wait for their turn
        self._ended = False  # the client sends no more, but may read
        self._due = 0  # bytes of a body that are still to come
        self._unused = 0  # bytes since the last complete head or part of a body
        self._since, self._stuck = self.loop.time(), 0.0
        if len(self.connections) > self.most and not self._make_room():
            transport.write(_FULL)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answering is not None:  # uvicorn notifies only the last request
            self._answering.disconnected = True
            self._answering.message_event.set()
        self.pipeline.clear()
        self._hold(memoryview(b""))
        super().connection_lost(exc)
        self.line.leave(self)

    def data_received(self, data: bytes) -> None:
        self._begin()  # a blank line counts as well
        self._rest = memoryview(bytes(self._rest) + data if self._rest else data)
        self._parse()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection open while a request has no answer yet."""
        self._ended = True
        self.transport.flush()  # send written answers before the connection closes
        return self._waits_for_answer()

    def _parse(self) -> None:
        """Parse until a request is complete; the next one is parsed after its answer."""
        rest = self._rest
        while rest and not self._waits_for_answer() and not self.transport.is_closing():
            piece = max(_PIECE, min(len(rest), self._due))
            self._unused += min(len(rest), piece)
            super().data_received(rest[:piece])  # type: ignore[arg-type]
            rest = rest[piece:]
            if self._unused > self.settings.max_header_bytes:
                self.transport.close()  # the head is too long
        self._hold(rest)
        self._answer()

    def _hold(self, rest: memoryview) -> None:
        self._rest, self.flow.held = rest, bool(rest)
        if rest:
            self.flow.pause_reading()

    def _waits_for_answer(self) -> bool:
        """Return whether a complete request of this connection has no complete answer yet."""
        if self._later or self.pipeline:
            return True
        return self._answering is not None and not self.cycle.more_body

    def _begin(self) -> None:
        if not self._begun:
            self._begun, self._since = True, self.loop.time()

    def on_message_begin(self) -> None:
        self._begin()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._unused = 0
        told = dict(self.headers).get(b"content-length", b"0")
        self._due = int(told) if told.isdigit() and len(told) < 19 else 0
        self.scope["extensions"] = _EXTENSIONS
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unused = 0
        self._due -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._begun = False
        super().on_message_complete()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Start to answer, once the client has received the previous answer."""
        if self._later or self._answering is not None or self._unsent():
            self.pipeline.append((cycle, app))
            self._later = True
            return
        self._answering, self._stuck = cycle, 0.0
        cycle.__class__ = Cycle  # uvicorn has no setting for it
        self._new = cycle, app

    def _answer(self) -> None:
        """Answer a new request: by the application's `begin`, or else in a task."""
        if self._new is None:
            return
        (cycle, app), self._new = self._new, None
        whole = not cycle.more_body and not self.transport.is_closing()
        begin, send = getattr(app, "begin", None), partial(self._send, cycle)
        if not (whole and begin and begin(cycle.scope, bytes(cycle.body), send)):
            super()._start_asgi_task(cycle, app)

    def _send(self, cycle: Any, status: int, headers: list[Any], body: bytes) -> None:
        """Send a whole response; in a task if the client or the connection is not the usual one."""

        async def send_whole(scope: Any, receive: Any, send: Any) -> None:
            start = {"type": "http.response.start", "status": status, "headers": headers}
            await send({**start, WHOLE: body})

        if not cycle.sent_at_once(status, headers, body):
            super()._start_asgi_task(cycle, send_whole)

    def _unsent(self) -> bool:
        """Return whether data are still unsent; if so, `resume_writing` is called afterwards."""
        unsent = self.transport.get_write_buffer_size() > 0
        if unsent:
            self.transport.set_write_buffer_limits(high=0)
        return unsent

    def on_response_complete(self) -> None:
        self._answering, self._since = None, self.loop.time()
        self._later = bool(self._rest or self.pipeline)
        # Not uvicorn's, which starts a timer for each response: `end_if_overdue` does its work.
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
        self.transport.flush()
        self.line.leave(self)
        if self._later and not self._unsent():
            self.line.join(self)
        elif self._ended and not self._later:
            self.transport.close()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stuck = 0.0
        if self._later and self._answering is None:
            self.line.join(self)

    def go_on(self) -> bool:
        """Process pipelined requests; return whether one is being answered."""
        self._later = False
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        self._parse()  # also the rest of a body whose head came with the previous request
        if not self._rest and not self._waits_for_answer():
            self.flow.resume_reading()
            if self._ended:
                self.transport.close()
        return self._answering is not None

    def end_if_overdue(self, now: float) -> None:
        """Close the connection if its client exceeded a timeout."""
        if not self.transport.get_write_buffer_size():
            self._stuck = 0.0
            if self._answering is not None:
                if self._answering.more_body and now - self._since > self.settings.read_timeout:
                    self._answering.scope["state"]["overdue"] = True
                    self._answering.message_event.set()  # receive() returns an empty body
            elif not self._later and now - self._since > self._patience():
                self.transport.close()
        elif not self._stuck:
            self._stuck = now
        elif now - self._stuck > self.settings.write_timeout:
            self.transport.abort()

    def _waits_for_client(self) -> bool:
        return self.flow.write_paused or not self._waits_for_answer()

    def _patience(self) -> float:
        settings = self.settings
        return settings.read_timeout if self._begun else settings.keep_alive_seconds

    def _make_room(self) -> bool:
        """Close the connection that has waited longest for its client; False if none is waiting."""
        others = (o for o in self.connections if o is not self and isinstance(o, Bounded))
        waiting = [o for o in others if o._waits_for_client() and not o.transport.is_closing()]
        if waiting:
            min(waiting, key=lambda other: other._since).transport.abort()
        return bool(waiting)


def bounded_protocol(settings: "Settings") -> type[Bounded]:
    """Build the protocol class for these settings."""
    most = _open_files(settings.max_connections + _OWN_FILES) - _OWN_FILES
    bound = max(1, min(settings.max_connections, most))
    return type("Protocol", (Bounded,), {"settings": settings, "most": bound, "line": Line()})


def _open_files(wanted: int) -> int:
    """Raise the limit of open files to `wanted`, if allowed; return the limit."""
    if sys.platform == "win32":
        return wanted
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if now == resource.RLIM_INFINITY or now >= wanted:
        return wanted
    now = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (now, most))
    return now


def end_overdue(connections: Iterable[Any], now: float) -> None:
    """Close all connections whose clients exceeded a timeout."""
    for connection in list(connections):
        connection.end_if_overdue(now)
