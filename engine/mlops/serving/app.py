"""The HTTP API: its routes, built from the schema, and its exception handlers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp

from mlops.request import describe_schema
from mlops.serving import response_models
from mlops.serving.access import near
from mlops.serving.api_docs import add_docs
from mlops.serving.fast_path import Shortcut
from mlops.serving.inference_protocol import Protocol
from mlops.serving.prediction_log import LogAway
from mlops.serving.prediction_routes import PATH, Predictions, add_feedback, add_predictions
from mlops.serving.preflights import Preflights
from mlops.serving.protocol_routes import MODELS, add_health, add_protocol
from mlops.serving.request_limits import Gate
from mlops.serving.requests import Unprocessable
from mlops.serving.response_models import (
    below_root,
    errors,
    problem_body,
    raw,
    refusal,
    reply,
    speaks_v2,
)
from mlops.serving.service import LOGGER, Service

Extension = Callable[[FastAPI], None]


def create_app(service: Service, extend: Extension | None = None) -> ASGIApp:
    """Build the whole application for a service: gate, routes, and a project's extension."""
    app, settings = _new_app(service), service.settings
    _add_information(app, service)
    add_health(app, service)
    _add_handlers(app, service)
    handlers, first = dict(app.exception_handlers), len(app.routes)
    if extend is not None:
        extend(app)
    # The extension's dependencies apply to these routes, but not to the public ones before; its own
    # routes come last.
    added = app.routes[first:]
    del app.routes[first:]
    predictions = Predictions(service)
    protocol = Protocol(service, predictions)
    add_predictions(app, service, predictions)
    add_protocol(app, service, protocol)
    add_feedback(app, service)
    app.routes.extend(added)
    quick = {
        ("GET", PATH): predictions.one,
        ("POST", PATH): predictions.many,
        ("POST", f"{MODELS}{protocol.name}/infer"): protocol.infer,
    }
    shortcut = Shortcut(app, quick, settings.root_path, handlers)
    gate = Gate(shortcut, settings, service.metrics, _names(app))
    if not settings.cors_origins:
        return gate
    return Preflights(gate, settings.cors_origins)


def _names(app: FastAPI) -> list[str]:
    """List the paths without parameters."""
    return [r.path for r in app.routes if isinstance(r, Route) and "{" not in r.path]


def _new_app(service: Service) -> FastAPI:

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if service.log is not None:
            service.log.start()
        watching = asyncio.create_task(service.watch())
        yield
        watching.cancel()
        if service.log is not None:
            await service.log.close()

    return FastAPI(
        title=f"Predicts {service.schema.target.name}",
        description=service.schema.target.description,
        version=service.served.version,
        lifespan=lifespan,
        docs_url=None,  # see add_docs
        redoc_url=None,
        redirect_slashes=False,  # it would redirect to any host that a client sends
    )


def _add_information(app: FastAPI, service: Service) -> None:
    add_docs(app)

    @app.get("/health/live", summary="The process is alive", responses=errors(431))
    async def live() -> response_models.State:
        return response_models.State(status="alive")

    @app.get(
        "/health/ready",
        summary="Model verified, log writable, not draining",
        response_model=response_models.State,
        responses=errors(431, 503),
    )
    async def ready(request: Request) -> Response:
        why = await service.why_not_ready()
        return (
            refusal(request.scope, 503, why, "not_ready", {"retry-after": "1"})
            if why
            else reply({"status": "ready"})
        )

    @app.get("/model", summary="The served model", responses=errors(431, 503))
    async def model() -> dict[str, Any]:
        left_out = ("files", "engine_files", "engine_libraries", "columns", "page")
        shown = {k: v for k, v in service.served.manifest.items() if k not in left_out}
        hashes = {name: f["sha256"] for name, f in service.served.manifest["files"].items()}
        shown["schema"] = describe_schema(service.schema)
        return {**shown, "git_commit": service.settings.git_commit, "files_sha256": hashes}

    @app.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/", summary="Page to try the model", response_class=HTMLResponse)
    async def page() -> Response:
        return HTMLResponse(service.page.html, headers=service.page.headers)


def _add_handlers(app: FastAPI, service: Service) -> None:
    @app.exception_handler(Unprocessable)
    async def unprocessable(request: Request, error: Unprocessable) -> Response:
        path = below_root(request.scope)
        body = problem_body(path, error.problems, error.more)
        return raw(body, 400 if speaks_v2(path) else 422)

    @app.exception_handler(LogAway)
    async def log_away(request: Request, error: LogAway) -> Response:
        told = "the prediction log is unavailable"
        return refusal(request.scope, 503, told, "log_away", {"retry-after": "2"})

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        headers, message = dict(error.headers or {}), error.detail
        if error.status_code == 405:
            headers["allow"] = ", ".join(_methods(app, request))
        if error.status_code == 404 and "route" not in request.scope:
            known = [service.settings.root_path + name for name in _names(app)]
            name = near(request.scope["path"], known)
            if name is None and below_root(request.scope).startswith(MODELS):
                name = next(path for path in known if MODELS in path)
            if name is not None:
                message = f"{message}: wanted {name}"
        return refusal(request.scope, error.status_code, message, "http", headers)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        name = request.scope["state"]["request_id"]
        LOGGER.error("failed", exc_info=error, extra={"request_id": name})
        told = f"failed; see the server's log, request {name}"
        return refusal(request.scope, 500, told, "internal")


def _methods(app: FastAPI, request: Request) -> list[str]:
    """List the methods allowed for a path: FastAPI itself has a route for each method."""
    found: set[str] = set()
    for route in app.routes:
        if route.matches({**request.scope})[0] is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return sorted(found | {"HEAD"} if "GET" in found else found)
