"""The ASGI application: it answers the usual requests itself, and leaves all others to FastAPI.

FastAPI only describes the usual ones: its work for a prediction takes longer than the prediction.
Its import takes a third of the start, so it waits for the first request that needs it.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from mlops.gateway.access import PUBLIC
from mlops.gateway.refusals import JSON, Header, Refusal, answer_to
from mlops.gateway.request_limits import Gate, respond
from mlops.serving.health import Health
from mlops.serving.inference_protocol import Protocol
from mlops.serving.predictions import PATH, Predictions
from mlops.serving.service import Service

if TYPE_CHECKING:
    from fastapi import FastAPI

    from mlops.serving.routes import Routes

Extension = Callable[["FastAPI"], None]

_WAITING = 16  # requests that may wait for FastAPI's import; predictions have the other places


class Usual(NamedTuple):
    """How a usual request is answered."""

    answer: Callable[[Scope], Awaitable[bytes]]
    content_type: Header = JSON


def create_app(service: Service, extend: Extension | None = None) -> ASGIApp:
    """Build the whole application for a service: gate, routes, and a project's extension."""
    settings, health, predictions = service.settings, Health(service), Predictions(service)
    protocol = Protocol(service, predictions)
    text = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
    forms = {
        ("GET", PATH): predictions.one,
        ("POST", PATH): predictions.many,
        ("POST", f"{protocol.path}/infer"): protocol.infer,
    }
    usual = {
        **{place: Usual(partial(predictions.answer, form)) for place, form in forms.items()},
        ("GET", "/health/live"): Usual(health.live),
        ("GET", "/health/ready"): Usual(health.ready),
        ("GET", "/v2/health/live"): Usual(health.v2_live),
        ("GET", "/v2/health/ready"): Usual(health.v2_ready),
        ("GET", "/metrics"): Usual(health.metrics, text),
    }
    names = PUBLIC | {*protocol.paths, PATH, "/feedback"}

    def build() -> "Routes":
        from mlops.serving.routes import Routes

        return Routes(service, health, predictions, protocol, extend)

    routes = None if extend is None else build()
    if routes is not None:
        names |= routes.names
        if routes.is_changed({path for _, path in usual}):
            usual, forms = {}, {}  # FastAPI handles all requests, to call what the extension adds
    app = Application(service, usual, build, routes)
    quick = {place: partial(predictions.ask, form) for place, form in forms.items()}
    gate = Gate(app, settings, service.metrics.request, names, quick)
    if not settings.cors_origins:
        return gate
    from mlops.gateway.preflights import Preflights

    return Preflights(gate, settings.cors_origins)


class Application:
    """ASGI application within the gate.

    Args:
        usual: by method and path below the root path.
        build: builds the routes in FastAPI; called once, unless there are `routes`.
        routes: built already, with a project's extension.
    """

    def __init__(
        self,
        service: Service,
        usual: Mapping[tuple[str, str], Usual],
        build: Callable[[], "Routes"],
        routes: "Routes | None",
    ) -> None:
        self._service, self._build = service, build
        self._usual = {
            (method, service.settings.root_path + path): found
            for (method, path), found in usual.items()
        }
        self._routes, self._extended = routes, routes is not None
        self._building, self._waiting = asyncio.Lock(), 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" and not self._extended:
            await self._live(receive, send)
            return
        if scope["type"] == "http":
            if scope["method"] == "HEAD":
                scope = await self._as_get(scope)
            usual = self._usual.get((scope["method"], scope["path"]))
            if usual is not None:
                await _answer(usual, scope, send)
                return
        routes = self._routes or await self._built()
        await routes(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Start and stop the service, as FastAPI does with its lifespan."""
        await receive()
        async with self._service.running():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _built(self) -> "Routes":
        if self._waiting == _WAITING:
            raise Refusal(503, "this path is not ready yet", (b"retry-after", b"1"))
        self._waiting += 1
        try:
            async with self._building:
                if self._routes is None:
                    self._routes = await asyncio.to_thread(self._build)
                    gc.freeze()  # as after the start, see __main__
        finally:
            self._waiting -= 1
        return self._routes

    async def _as_get(self, scope: Scope) -> Scope:
        """Answer HEAD as GET unless it has a route of its own; the server then sends no body."""
        if self._extended or ("GET", scope["path"]) not in self._usual:
            routes = self._routes or await self._built()
            if routes.has(scope):
                return scope
        scope["state"]["told"] = False
        return {**scope, "method": "GET"}


async def _answer(usual: Usual, scope: Scope, send: Send) -> None:
    try:
        body = await usual.answer(scope)
    except Exception as error:
        await respond(scope, send, *answer_to(error, scope))
        return
    await respond(scope, send, 200, [usual.content_type], body)
