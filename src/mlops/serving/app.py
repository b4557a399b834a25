"""The HTTP API: its routes, from the schema, and what they answer."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from pydantic import ConfigDict, Field, create_model
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from mlops.columns import Schema
from mlops.serving import answers
from mlops.serving.answers import errors, most_likely, refusal, reply
from mlops.serving.log import LogAway, UnknownPrediction
from mlops.serving.requests import Parser, Unprocessable, parse_json, validated
from mlops.serving.service import LOGGER, Service

_LIMITS = (408, 413, 431, 503)


def create_app(service: Service) -> FastAPI:
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
    _add_predictions(app, service)
    _add_feedback(app, service)
    _add_information(app, service)
    _add_handlers(app, service)
    _shorten(app)
    return app


def _shorten(app: FastAPI) -> None:
    """Let the routes of predictions be found first and called without dependencies to solve.

    They take a request and give a response, so FastAPI has only to describe them; what it would
    do for each call costs more than the prediction.
    """
    for route in [route for route in app.routes if isinstance(route, APIRoute)]:
        if route.path == "/predict":
            methods = sorted(route.methods or ())
            app.router.routes.insert(0, Route(route.path, route.endpoint, methods=methods))


def _add_predictions(app: FastAPI, service: Service) -> None:
    parser = Parser(service.schema, service.settings.max_rows)
    parameters = answers.query_parameters(service.schema)
    rows = parser.rows.model_json_schema(ref_template="#/components/schemas/{model}")
    definitions = rows.pop("$defs")
    rows["properties"]["rows"]["items"] = definitions["Row"]
    content = {
        "schema": rows,
        "example": {"rows": [answers.example_row(service.schema)]},
    }
    responses = errors(401, 422, *_LIMITS)

    @app.get(
        "/predict",
        summary="Predict for one row",
        response_model=answers.single_model(service.schema),
        responses=responses,
        openapi_extra={"parameters": parameters},
    )
    async def predict_one(request: Request) -> Response:
        row = parser.single(request.query_params.multi_items())
        name = request.scope["state"]["request_id"]
        served, values, ids = await service.predict([row], name)
        answer = {
            served.key: most_likely(values[0]),
            "prediction_id": ids[0],
            "model_version": served.version,
        }
        if served.choices:
            answer["probabilities"] = values[0]
        return reply(answer)

    @app.post(
        "/predict",
        summary="Predict for many rows",
        response_model=answers.batch_model(service.schema),
        responses=responses,
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": content}}},
    )
    async def predict_many(request: Request) -> Response:
        rows = parser.batch(await request.body())
        name = request.scope["state"]["request_id"]
        served, values, ids = await service.predict(rows, name)
        answer = {
            "predictions": [most_likely(value) for value in values],
            "prediction_ids": ids,
            "model_version": served.version,
        }
        if served.choices:
            answer["probabilities"] = values
        return reply(answer)


def _add_feedback(app: FastAPI, service: Service) -> None:
    model = _feedback_model(service.schema)
    content = {"schema": model.model_json_schema()}

    @app.post(
        "/feedback",
        summary="Tell what really happened",
        response_model=answers.Feedback,
        responses=errors(401, 404, 422, *_LIMITS),
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": content}}},
    )
    async def feedback(request: Request) -> Response:
        given: Any = validated(model, parse_json(await request.body()), "body")
        if service.log is None:
            return refusal(404, "no prediction is logged here", "unknown_prediction")
        try:
            await service.log.feedback(given.prediction_id, json.dumps(given.actual))
        except UnknownPrediction:
            return refusal(404, "no prediction has this id", "unknown_prediction")
        return reply({"prediction_id": given.prediction_id, "status": "recorded"})


def _feedback_model(schema: Schema) -> Any:
    """Build the model of feedback; the bounds of the target hold for what happened, too."""
    from mlops.request import column_field

    return create_model(
        "Actual",
        __config__=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False),
        prediction_id=(str, Field(min_length=1, max_length=64, pattern="^[0-9a-f]+$")),
        actual=column_field(schema.target),
    )


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
        left_out = ("files", "engine_files", "engine_libraries")
        shown = {k: v for k, v in service.served.manifest.items() if k not in left_out}
        hashes = {name: f["sha256"] for name, f in service.served.manifest["files"].items()}
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
        if request.url.path == "/predict":
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
