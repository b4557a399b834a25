"""Middleware before the application: all limits, an id for each request, and the access log.

Pure ASGI: a middleware in the usual request/response style would take as long as the prediction.
"""

import asyncio
import contextlib
import os
import re
import sys
import time
from collections.abc import Collection, MutableMapping
from itertools import chain
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops.serving.access import Door, check_encoding, without_host
from mlops.serving.prometheus import Metrics
from mlops.serving.protocol import CLOSE, WHOLE
from mlops.serving.refusals import Header, Refusal, answer_to
from mlops.serving.settings import Settings

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_UNLIMITED = frozenset(
    {"/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready", "/metrics"}
)
_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]


class Gate:
    """ASGI middleware around `app`; `scope["state"]` has the request's id and its whole body.

    Args:
        names: paths by which requests are counted; `state["route"]` has any other route.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, metrics: Metrics, names: Collection[str]
    ) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._names, self._door = frozenset(names), Door(settings)
        self._under_way = self._arriving = 0
        self._access_log = _AccessLog()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._pass(scope, receive, send)
            return
        started, status = time.perf_counter(), 500
        headers, path = dict(scope["headers"]), self._door.path(scope)
        request_id = headers.get(b"x-request-id", b"")
        if not request_id or not _REQUEST_ID.fullmatch(request_id):
            request_id = os.urandom(8).hex().encode()
        state = scope.setdefault("state", {})
        state["request_id"] = request_id.decode()

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = message.get("headers", ())
                if 300 <= status < 400:
                    own = without_host(own, headers.get(b"host", b""))
                message["headers"] = [*own, *_ALWAYS, (b"x-request-id", request_id)]
            await send(message)

        try:
            state["body"] = await self._admit(scope, path, headers, receive)
            await self._answer(scope, path, receive, answer)
        except Refusal as refusal:
            await respond(scope, answer, *answer_to(refusal, scope))
        finally:
            route = path if path in self._names else state.get("route", "unmatched")
            self.tell(scope, route, status, started)

    def tell(self, scope: Scope, route: str, status: int, started: float) -> None:
        """Count and log an answered request."""
        seconds = time.perf_counter() - started
        self._metrics.request(scope["method"], route, status, seconds)
        if self._settings.access_log:
            self._access_log.add(scope, status, seconds)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on lifespan events and WebSockets; a WebSocket needs the key."""
        if scope["type"] == "websocket":
            self._door.path(scope)
            try:
                self._door.check_key(dict(scope["headers"]))
            except Refusal:
                await send({"type": "websocket.close", "code": 1008})
                return
        await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, path: str, receive: Receive, send: Send) -> None:
        """Answer a completely received request, if not too many others are being answered."""
        if self._under_way >= self._settings.max_concurrency and path not in _UNLIMITED:
            raise _too_many()
        self._under_way += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1

    async def _admit(
        self, scope: Scope, path: str, headers: MutableMapping[bytes, bytes], receive: Receive
    ) -> bytes:
        """Check a request against the limits; return its body."""
        settings = self._settings
        size = sum(map(len, chain.from_iterable(scope["headers"])))
        if size + len(scope["query_string"]) > settings.max_header_bytes:
            raise Refusal(431, f"headers and query: wanted at most {settings.max_header_bytes} B")
        self._door.check(scope, path, headers)
        if scope["method"] in ("GET", "HEAD") and b"content-length" not in headers:
            return b""
        body = await self._body(headers, receive, scope["state"])
        check_encoding(body, headers)
        return body

    async def _body(
        self, headers: MutableMapping[bytes, bytes], receive: Receive, state: dict[str, Any]
    ) -> bytes:
        most = self._settings.max_body_bytes
        # Slow clients block no others; they only take the memory of the parts received.
        most_arriving = most * self._settings.max_concurrency
        told = headers.get(b"content-length", b"0")
        if not told.isdigit() or len(told) > 18 or int(told) > most:
            raise _too_large(most)
        parts, size = [], 0
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refusal(400, "the client disconnected")
                if "overdue" in state:  # set by Bounded.end_if_overdue
                    wanted = f"wanted the body within {self._settings.read_timeout:g} s"
                    raise Refusal(408, wanted, CLOSE)
                part = message.get("body", b"")
                size += len(part)
                self._arriving += len(part)
                if size > most:
                    raise _too_large(most)
                if self._arriving > most_arriving:
                    raise _too_many()
                parts.append(part)
                if not message.get("more_body", False):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
        finally:
            self._arriving -= size


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"body: wanted at most {most} bytes", CLOSE)


def _too_many() -> Refusal:
    return Refusal(503, "too many concurrent requests", (b"retry-after", b"1"))


async def respond(
    scope: Scope, send: Send, status: int, headers: list[Header], body: bytes
) -> None:
    """Send a whole response, by one message if the server can."""
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    start: Message = {"type": "http.response.start", "status": status, "headers": headers}
    if WHOLE in scope.get("extensions", ()):
        await send({**start, WHOLE: body})
        return
    await send(start)
    await send({"type": "http.response.body", "body": body})


class _AccessLog:
    """Lines of JSON on standard output, written together once per iteration of the event loop.

    A record of `logging` would take as long as the prediction.
    """

    def __init__(self) -> None:
        self._lines: list[bytes] = []

    def add(self, scope: Scope, status: int, seconds: float) -> None:
        """Add a line for a request; without the query, which has features' values."""
        facts = {
            "time": round(time.time(), 3),
            "level": "info",
            "logger": "mlops.serving.access",
            "message": "request",
            "request_id": scope["state"]["request_id"],
            "method": scope["method"][:16],
            "path": scope["path"][:128],
            "status": status,
            "ms": round(seconds * 1000, 3),
        }
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._write)
        self._lines.append(orjson.dumps(facts, option=orjson.OPT_APPEND_NEWLINE))

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        with contextlib.suppress(OSError, ValueError):  # nobody reads the log: keep answering
            sys.stdout.buffer.write(b"".join(lines))
            sys.stdout.buffer.flush()
