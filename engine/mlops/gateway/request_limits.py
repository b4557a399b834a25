"""Middleware before the application: all limits, an id for each request, and the access log.

Pure ASGI: a middleware in the usual request/response style would take as long as the prediction.
"""

import asyncio
import re
import time
from collections.abc import Callable, Collection, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops.gateway.access import Door, Headers, check_encoding, without_host
from mlops.gateway.access_log import AccessLog
from mlops.gateway.refusals import Header, Refusal, WholeSend, answer_to
from mlops.gateway.single_writes import CLOSE, WHOLE
from mlops.gateway.tokens import random_tokens

if TYPE_CHECKING:
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

Quick = Callable[[Scope, WholeSend], None]
"""Answers a request without a task: the response is sent, not before this returns."""


class Gate:
    """ASGI middleware around `app`; `scope["state"]` has the request's id and its whole body.

    Args:
        count: called with method, route, status and seconds of each answered request.
        names: paths by which requests are counted; `state["route"]` has any other route.
        quick: by method and path below the root path.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: "Settings",
        count: Callable[[str, str, int, float], None],
        names: Collection[str],
        quick: Mapping[tuple[str, str], Quick],
    ) -> None:
        self._app, self._settings, self._count = app, settings, count
        self._names, self._door = frozenset(names), Door(settings)
        self._quick = quick
        self._under_way = self._arriving = 0
        self._access_log, self._tokens = AccessLog(), random_tokens()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._pass(scope, receive, send)
            return
        started, status = time.perf_counter(), 500
        headers, path = dict(scope["headers"]), self._door.path(scope)
        state, request_id = self._identify(scope, headers)

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
            self._check_head(scope, path, headers)
            state["body"] = b""
            if scope["method"] not in ("GET", "HEAD") or b"content-length" in headers:
                state["body"] = await self._body(headers, receive, state)
                check_encoding(state["body"], headers)
            self._enter(path)
            try:
                await self._app(scope, receive, answer)
            finally:
                self._under_way -= 1
        except Refusal as refusal:
            await respond(scope, answer, *answer_to(refusal, scope))
        finally:
            route = path if path in self._names else state.get("route", "unmatched")
            self.tell(scope, route, status, started)

    def begin(self, scope: Scope, body: bytes, send: WholeSend) -> bool:
        """Answer a completely received `quick` request without a task; or return False.

        Tasks, and waiting in them, take as long as a prediction.

        Args:
            send: called with status, headers and body of the response, not before this returns.
        """
        path = self._door.path(scope)
        quick = self._quick.get((scope["method"], path))
        if quick is None:
            return False
        started, headers = time.perf_counter(), dict(scope["headers"])
        state, request_id = self._identify(scope, headers)

        def refuse(status: int, own: list[Header], content: bytes) -> None:
            self.tell(scope, path, status, started)
            length = (b"content-length", b"%d" % len(content))
            send(status, [*own, length, *_ALWAYS, (b"x-request-id", request_id)], content)

        def answer(status: int, own: list[Header], content: bytes) -> None:
            self._under_way -= 1
            refuse(status, own, content)

        try:
            self._check_head(scope, path, headers)
            self._check_size(headers, len(body))
            check_encoding(body, headers)
            self._enter(path)
        except Refusal as refusal:
            asyncio.get_running_loop().call_soon(refuse, *answer_to(refusal, scope))
        else:
            state["body"] = body
            quick(scope, answer)
        return True

    def tell(self, scope: Scope, route: str, status: int, started: float) -> None:
        """Count and log an answered request."""
        seconds = time.perf_counter() - started
        self._count(scope["method"], route, status, seconds)
        if self._settings.access_log:
            self._access_log.add(scope, status, seconds)

    def _identify(self, scope: Scope, headers: Headers) -> tuple[dict[str, Any], bytes]:
        """Return the state of a request, with its id; and the id: the client's, or a new one."""
        request_id = headers.get(b"x-request-id", b"")
        if not request_id or not _REQUEST_ID.fullmatch(request_id):
            request_id = next(self._tokens).encode()
        state = scope.setdefault("state", {})
        state["request_id"] = request_id.decode()
        return state, request_id

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

    def _check_head(self, scope: Scope, path: str, headers: Headers) -> None:
        size = sum(map(len, chain.from_iterable(scope["headers"])))
        most = self._settings.max_header_bytes
        if size + len(scope["query_string"]) > most:
            raise Refusal(431, f"headers and query: wanted at most {most} B")
        self._door.check(scope, path, headers)

    def _check_size(self, headers: Headers, size: int) -> None:
        """Check the size of a body: as told in the headers, and as received so far."""
        most, told = self._settings.max_body_bytes, headers.get(b"content-length", b"0")
        if size > most or not told.isdigit() or len(told) > 18 or int(told) > most:
            raise Refusal(413, f"body: wanted at most {most} bytes", CLOSE)

    def _enter(self, path: str) -> None:
        """Count a completely received request, if not too many others are being answered."""
        if self._under_way >= self._settings.max_concurrency and path not in _UNLIMITED:
            raise _too_many()
        self._under_way += 1

    async def _body(self, headers: Headers, receive: Receive, state: dict[str, Any]) -> bytes:
        # Slow clients block no others; they only take the memory of the parts received.
        most_arriving = self._settings.max_body_bytes * self._settings.max_concurrency
        parts, size = [], 0
        self._check_size(headers, size)
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
                self._check_size(headers, size)
                if self._arriving > most_arriving:
                    raise _too_many()
                parts.append(part)
                if not message.get("more_body", False):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
        finally:
            self._arriving -= size


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
