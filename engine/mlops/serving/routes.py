"""All routes of the HTTP API in FastAPI, built from the schema, with a project's extension."""

from collections.abc import Callable, Collection
from typing import Any

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.routing import Match, Route
from starlette.types import Message, Receive, Scope, Send

from mlops.gateway.access import near
from mlops.gateway.refusals import Refusal, answer_to, below_root
from mlops.prediction_log.log_writer import LogAway
from mlops.request import describe_schema
from mlops.request_parsing.requests import Unprocessable
from mlops.serving import response_models
from mlops.serving.api_docs import add_docs
from mlops.serving.health import Health
from mlops.serving.inference_protocol import MODELS, Protocol
from mlops.serving.prediction_routes import add_feedback, add_predictions
from mlops.serving.predictions import Predictions
from mlops.serving.protocol_routes import add_health, add_protocol
from mlops.serving.response_models import Written, errors
from mlops.serving.service import Service


class Routes:
    """ASGI application of FastAPI, within the gate.

    Attributes:
        names: the paths without parameters.
    """

    def __init__(
        self,
        service: Service,
        health: Health,
        predictions: Predictions,
        protocol: Protocol,
        extend: Callable[[FastAPI], None] | None,
    ) -> None:
        self._app = app = _new_app(service)
        _add_information(app, service, health)
        add_health(app, health)
        _add_handlers(app, service.settings.root_path)
        self._own_handlers, first = dict(app.exception_handlers), len(app.routes)
        if extend is not None:
            extend(app)
        # The extension's dependencies apply to these routes, but not to the public ones before; its
        # own routes come last.
        added = app.routes[first:]
        del app.routes[first:]
        add_predictions(app, service, predictions)
        add_protocol(app, service, health, predictions, protocol)
        add_feedback(app, service)
        app.routes.extend(added)
        self.names = frozenset(_names(app))

    def is_changed(self, paths: Collection[str]) -> bool:
        """Return whether the extension changes how requests of these paths are answered."""
        app = self._app
        routes = [r for r in app.routes if isinstance(r, APIRoute) and r.path in paths]
        return bool(
            app.user_middleware
            or app.exception_handlers != self._own_handlers
            or any(type(r) is not APIRoute or r.dependant.dependencies for r in routes)
        )

    def has(self, scope: Scope) -> bool:
        """Return whether there is a route for a request's path and method."""
        return any(route.matches({**scope})[0] is Match.FULL for route in self._app.routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
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


def _names(app: FastAPI) -> list[str]:
    return [r.path for r in app.routes if isinstance(r, Route) and "{" not in r.path]


def _new_app(service: Service) -> FastAPI:
    return FastAPI(
        title=f"Predicts {service.schema.target.name}",
        description=service.schema.target.description,
        version=service.served.version,
        lifespan=lambda _: service.running(),
        docs_url=None,  # see add_docs
        redoc_url=None,
        redirect_slashes=False,  # it would redirect to any host that a client sends
    )


def _add_information(app: FastAPI, service: Service, health: Health) -> None:
    add_docs(app)
    state = response_models.State

    @app.get(
        "/health/live",
        summary="The process is alive",
        response_model=state,
        responses=errors(431),
    )
    async def live(request: Request) -> Response:
        return Written(await health.live(request.scope))

    @app.get(
        "/health/ready",
        summary="Model verified, log writable, not draining",
        response_model=state,
        responses=errors(431, 503),
    )
    async def ready(request: Request) -> Response:
        return Written(await health.ready(request.scope))

    @app.get("/model", summary="The served model", responses=errors(431, 503))
    async def model() -> dict[str, Any]:
        left_out = ("files", "engine_files", "engine_libraries", "columns", "page")
        shown = {k: v for k, v in service.served.manifest.items() if k not in left_out}
        hashes = {name: f["sha256"] for name, f in service.served.manifest["files"].items()}
        shown["schema"] = describe_schema(service.schema)
        return {**shown, "git_commit": service.settings.git_commit, "files_sha256": hashes}

    @app.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
    async def metrics(request: Request) -> Response:
        text = await health.metrics(request.scope)
        return Response(text, media_type="text/plain; version=0.0.4")

    @app.get("/", summary="Page to try the model", response_class=HTMLResponse)
    async def page() -> Response:
        return HTMLResponse(service.page.html, headers=service.page.headers)


def _add_handlers(app: FastAPI, root: str) -> None:
    @app.exception_handler(Unprocessable)
    @app.exception_handler(LogAway)
    @app.exception_handler(Refusal)
    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        status, headers, body = answer_to(error, request.scope)
        return Response(body, status, {k.decode(): v.decode() for k, v in headers})

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        headers, message = dict(error.headers or {}), error.detail
        if error.status_code == 405:
            headers["allow"] = ", ".join(_methods(app, request))
        if error.status_code == 404 and "route" not in request.scope:
            known = [root + name for name in _names(app)]
            name = near(request.scope["path"], known)
            if name is None and below_root(request.scope).startswith(MODELS):
                name = next(path for path in known if MODELS in path)
            if name is not None:
                message = f"{message}: wanted {name}"
        response = await failed(request, Refusal(error.status_code, message, kind="http"))
        response.headers.update(headers)
        return response


def _methods(app: FastAPI, request: Request) -> list[str]:
    """List the methods allowed for a path: FastAPI itself has a route for each method."""
    found: set[str] = set()
    for route in app.routes:
        if route.matches({**request.scope})[0] is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return sorted(found | {"HEAD"} if "GET" in found else found)
