"""The HTTP API: its routes, from the schema, and what they answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mlops.request import describe_schema
from mlops.serving import answers
from mlops.serving.answers import errors, refusal, reply
from mlops.serving.log import LogAway
from mlops.serving.predictions import PATH, add_feedback, add_predictions
from mlops.serving.requests import Unprocessable
from mlops.serving.service import LOGGER, Service


def create_app(service: Service) -> ASGIApp:
    """Build the application around a service."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if service.log is not None:
            service.log.start()
        watching = asyncio.create_task(service.watch())
        yield
        watching.cancel()
        if service.log is not None:
            await service.log.close()

    app = FastAPI(
        title=f"Predicts {service.schema.target.name}",
        description=service.schema.target.description,
        version=service.served.version,
        lifespan=lifespan,
        redoc_url=None,
    )
    add_predictions(app, service)
    add_feedback(app, service)
    _add_information(app, service)
    _add_handlers(app, service)
    return Shortcut(app)


class Shortcut:
    """ASGI application: calls predictions directly, and leaves all else to FastAPI.

    They take a request and give a response, so FastAPI has only to describe them; what it would
    do for each call costs more than the prediction.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        routes = [r for r in app.routes if isinstance(r, APIRoute) and r.path == PATH]
        self._endpoints = {m: route.endpoint for route in routes for m in route.methods or ()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH:
            await self._app(scope, receive, send)
            return
        try:
            endpoint = self._endpoints.get(scope["method"])
            if endpoint is None:
                raise HTTPException(405, headers={"allow": ", ".join(self._endpoints)})
            response = await endpoint(Request(scope))
        except Exception as error:
            handlers: dict[Any, Any] = self._app.exception_handlers
            answer = handlers.get(type(error), handlers[Exception])
            response = await answer(Request(scope), error)
        await response(scope, receive, send)


def _add_information(app: FastAPI, service: Service) -> None:
    @app.get("/health/live", summary="The process is alive", responses=errors(431))
    async def live() -> answers.State:
        return answers.State(status="alive")

    @app.get(
        "/health/ready",
        summary="Model verified, log writable, not draining",
        response_model=answers.State,
        responses=errors(431, 503),
    )
    async def ready() -> Response:
        why = await service.why_not_ready()
        return (
            refusal(503, why, "not_ready", {"retry-after": "1"})
            if why
            else reply({"status": "ready"})
        )

    @app.get("/model", summary="What is served", responses=errors(431, 503))
    async def model() -> dict[str, Any]:
        left_out = ("files", "engine_files", "engine_libraries", "columns")
        shown = {k: v for k, v in service.served.manifest.items() if k not in left_out}
        hashes = {name: f["sha256"] for name, f in service.served.manifest["files"].items()}
        shown["schema"] = describe_schema(service.schema)
        return {**shown, "git_commit": service.settings.git_commit, "files_sha256": hashes}

    @app.get("/metrics", summary="For Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/", summary="The page", response_class=HTMLResponse)
    async def page() -> Response:
        return HTMLResponse(service.page.html, headers=service.page.headers)


def _add_handlers(app: FastAPI, service: Service) -> None:
    @app.exception_handler(Unprocessable)
    async def unprocessable(request: Request, error: Unprocessable) -> Response:
        if request.url.path == PATH:
            service.refused(error.problems)
        return reply({"detail": error.problems, "more": error.more}, 422)

    @app.exception_handler(LogAway)
    async def log_away(request: Request, error: LogAway) -> Response:
        return refusal(503, "the prediction log is away", "log_away", {"retry-after": "2"})

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        return refusal(error.status_code, error.detail, "http", dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        name = request.scope["state"]["request_id"]
        LOGGER.error("failed", exc_info=error, extra={"request_id": name})
        return refusal(500, f"failed; see the server's log, request {name}", "internal")
