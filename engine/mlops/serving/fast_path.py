"""Routing of requests: by FastAPI, or directly where that makes no difference."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

WHOLE = "mlops.whole_response"
"""ASGI extension of `protocol.Bounded`: the message that starts a response may have its body."""

_JSON = (b"content-type", b"application/json")

Quick = Callable[[Scope], Awaitable[bytes]]


class Shortcut:
    """ASGI application: calls predictions directly, and leaves all else to FastAPI.

    FastAPI only describes predictions: its work for each call takes longer than the prediction.

    Args:
        quick: functions that return JSON bytes, by method and path below the root path.
        root: the root path.
        own_handlers: the engine's exception handlers. If the project adds others, or middleware,
            or dependencies of these routes, FastAPI handles all requests, to call them.
    """

    def __init__(
        self,
        app: FastAPI,
        quick: Mapping[tuple[str, str], Quick],
        root: str,
        own_handlers: dict[Any, Any],
    ) -> None:
        self._app = app
        paths = {path for _, path in quick}
        routes = [r for r in app.routes if isinstance(r, APIRoute) and r.path in paths]
        untouched = (
            not app.user_middleware
            and app.exception_handlers == own_handlers
            and all(type(r) is APIRoute and not r.dependant.dependencies for r in routes)
        )
        self._quick = {
            (method, root + path): found for (method, path), found in quick.items() if untouched
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            scope = self._as_get(scope)
        quick = self._quick.get((scope["method"], scope["path"]))
        if quick is None:
            await self._by_fastapi(scope, receive, send)
            return
        try:
            body = await quick(scope)
        except Exception as error:
            handlers: dict[Any, Any] = self._app.exception_handlers
            answer = handlers.get(type(error), handlers[Exception])
            response = await answer(Request(scope), error)
            await response(scope, receive, send)
            return
        headers = [_JSON, (b"content-length", b"%d" % len(body))]
        start = {"type": "http.response.start", "status": 200, "headers": headers}
        if WHOLE in scope.get("extensions", ()):
            await send({**start, WHOLE: body})
            return
        await send(start)
        await send({"type": "http.response.body", "body": body})

    def _as_get(self, scope: Scope) -> Scope:
        """Answer HEAD as GET unless it has a route of its own; the server then sends no body."""
        if any(route.matches({**scope})[0] is Match.FULL for route in self._app.routes):
            return scope
        scope["state"]["told"] = False
        return {**scope, "method": "GET"}

    async def _by_fastapi(self, scope: Scope, receive: Receive, send: Send) -> None:
        state, root = scope["state"], scope.get("root_path", "")
        try:
            await self._app(scope, replayed(state["body"], receive), send)
        finally:
            if scope.get("root_path", "") != root:
                state["route"] = "mounted"  # another application, with routes of its own
            # Has the prefix of an included router, which the route itself lacks.
            elif (whole := scope.get("fastapi", {}).get("effective_route_context")) is not None:
                state["route"] = whole.path
            elif (path := getattr(scope.get("route"), "path", None)) is not None:
                state["route"] = path


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that replays a body that was read already, then the messages after it."""
    waiting = [body]

    async def again() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return again
