"""What stands before the application: every limit, a name for each request, a line in the log.

Pure ASGI: a middleware in the usual style would cost as much as the prediction.
"""

import asyncio
import hmac
import json
import logging
import re
import secrets
import time
from collections.abc import MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops.serving.metrics import Metrics
from mlops.serving.settings import Settings

ACCESS = logging.getLogger("mlops.serving.access")

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_UNLIMITED = frozenset({"/health/live", "/health/ready", "/metrics"})
_GUARDED = frozenset({"/predict", "/feedback"})
_CLOSE = (b"connection", b"close")
_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]


class _Refusal(Exception):
    """A request that is answered before it reaches the application."""

    def __init__(self, status: int, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers


class Gate:
    """ASGI middleware around `app`; `scope["state"]` has the request's name and its whole body."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._under_way = self._arriving = 0
        key = settings.api_key
        self._key = None if key is None else key.get_secret_value().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8).encode()
        state = scope.setdefault("state", {})
        state["request_id"] = request_id.decode()

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [*message.get("headers", ()), *_ALWAYS, (b"x-request-id", request_id)]
                message = {**message, "headers": own}
            await send(message)

        try:
            state["body"] = await self._admit(scope, headers, receive)
            await self._answer(scope, receive, answer)
        except _Refusal as refusal:
            await _refuse(refusal, answer)
        finally:
            seconds = time.perf_counter() - started
            self._metrics.request(scope["method"], scope["path"], status, seconds)
            if self._settings.access_log:
                ACCESS.info("request", extra=_facts(scope, status, seconds))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that has arrived whole, if not too many others are under way."""
        if self._under_way >= self._settings.max_concurrency and scope["path"] not in _UNLIMITED:
            raise _too_many()
        self._under_way += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1

    async def _admit(
        self, scope: Scope, headers: MutableMapping[bytes, bytes], receive: Receive
    ) -> bytes:
        """Hold a request to the limits; give its body."""
        settings = self._settings
        size = sum(len(name) + len(value) for name, value in scope["headers"])
        if size + len(scope["query_string"]) > settings.max_header_bytes:
            raise _Refusal(431, f"headers and query: wanted at most {settings.max_header_bytes} B")
        if (
            self._key is not None
            and scope["path"] in _GUARDED
            and not hmac.compare_digest(headers.get(b"x-api-key", b""), self._key)
        ):
            raise _Refusal(401, "wanted the API key in the header X-API-Key")
        if scope["method"] in ("GET", "HEAD") and b"content-length" not in headers:
            return b""
        try:
            async with asyncio.timeout(settings.read_timeout):
                return await self._body(headers, receive)
        except TimeoutError:
            message = f"wanted the body in {settings.read_timeout:g} s"
            raise _Refusal(408, message, _CLOSE) from None

    async def _body(self, headers: MutableMapping[bytes, bytes], receive: Receive) -> bytes:
        most = self._settings.max_body_bytes
        # Clients that send slowly hold nobody up, only the memory of what they have sent.
        most_arriving = most * self._settings.max_concurrency
        too_large = _Refusal(413, f"body: wanted at most {most} bytes", _CLOSE)
        told = headers.get(b"content-length", b"0")
        if not told.isdigit() or len(told) > 18 or int(told) > most:
            raise too_large
        parts, size = [], 0
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Refusal(400, "the client went away")
                part = message.get("body", b"")
                size += len(part)
                self._arriving += len(part)
                if size > most:
                    raise too_large
                if self._arriving > most_arriving:
                    raise _too_many()
                parts.append(part)
                if not message.get("more_body", False):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
        finally:
            self._arriving -= size


def _too_many() -> _Refusal:
    return _Refusal(503, "too many requests at a time", (b"retry-after", b"1"))


async def _refuse(refusal: _Refusal, send: Send) -> None:
    body = json.dumps({"detail": [{"loc": [], "msg": refusal.message, "type": "refused"}]})
    headers = [(b"content-type", b"application/json"), *refusal.headers]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})


def _facts(scope: Scope, status: int, seconds: float) -> dict[str, Any]:
    """Say what the access log tells; never a feature's value, so no query."""
    return {
        "request_id": scope["state"]["request_id"],
        "method": scope["method"][:16],
        "path": scope["path"][:128],
        "status": status,
        "ms": round(seconds * 1000, 3),
    }
