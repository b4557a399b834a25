"""The routes for predictions and feedback."""

import math
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import orjson
from fastapi import FastAPI, Request
from pydantic import ConfigDict, Field, create_model
from starlette.responses import Response
from starlette.types import Scope

from mlops.columns import Schema
from mlops.request import column_field
from mlops.serving import response_models
from mlops.serving.prediction_log import UnknownPrediction
from mlops.serving.quick_requests import Values
from mlops.serving.requests import Parser, Unprocessable, parse_json, validated
from mlops.serving.response_models import LIMITS, errors, raw, refusal, reply
from mlops.serving.service import Predicted, Service

PATH = "/predict"


class Predictions:
    """Answers prediction requests of any form: from an ASGI scope to JSON bytes.

    FastAPI only describes them: its work for each call would take longer than the model's.
    """

    def __init__(self, service: Service) -> None:
        self.parser = Parser(service.schema, service.settings.max_rows)
        self._service = service

    async def one(self, scope: Scope) -> bytes:
        """Answer GET /predict."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        served, values, ids = await self.predict(scope, lambda: self.parser.single(query))
        answer = {
            served.key: served.answers(values)[0],
            "prediction_id": ids[0],
            "model_version": served.version,
        }
        if served.choices:
            answer["probabilities"] = values[0]
        return orjson.dumps(answer)

    async def many(self, scope: Scope) -> bytes:
        """Answer POST /predict."""
        body = scope["state"]["body"]
        served, values, ids = await self.predict(scope, lambda: self.parser.batch(body))
        answer = {
            "predictions": served.answers(values),
            "prediction_ids": ids,
            "model_version": served.version,
        }
        if served.choices:
            answer["probabilities"] = values
        return orjson.dumps(answer)

    async def predict(self, scope: Scope, parse: Callable[[], Values]) -> Predicted:
        """Predict the rows that `parse` returns; count the requests that it rejects."""
        try:
            given = parse()
        except Unprocessable as error:
            self._service.refused(error.problems)
            raise
        state = scope["state"]
        told = state.get("told", True)
        return await self._service.predict(given, state["request_id"], told=told)


def add_predictions(app: FastAPI, service: Service, predictions: Predictions) -> None:
    """Add both routes at PATH."""
    schema, responses = service.schema, errors(401, 422, *LIMITS)
    content = {
        "schema": response_models.body_schema(predictions.parser, schema),
        "examples": response_models.body_examples(schema),
    }

    @app.get(
        PATH,
        summary="Predict for one row",
        response_model=response_models.single_model(schema),
        responses=responses,
        openapi_extra={"parameters": response_models.query_parameters(schema)},
    )
    async def predict_one(request: Request) -> Response:
        return raw(await predictions.one(request.scope))

    @app.post(
        PATH,
        summary="Predict for many rows",
        response_model=response_models.batch_model(schema),
        responses=responses,
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": content}}},
    )
    async def predict_many(request: Request) -> Response:
        return raw(await predictions.many(request.scope))


def add_feedback(app: FastAPI, service: Service) -> None:
    model, pace = _feedback_model(service.schema), RateLimiter(service.settings.feedback_per_minute)
    content = {"schema": model.model_json_schema()}

    @app.post(
        "/feedback",
        summary="Report the actual value of a prediction",
        response_model=response_models.Feedback,
        responses=errors(401, 404, 422, 429, *LIMITS),
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": content}}},
    )
    async def feedback(request: Request) -> Response:
        given: Any = validated(model, parse_json(request.scope["state"]["body"]), "body")
        if service.log is None:
            return refusal(
                request.scope, 404, "this server logs no predictions", "unknown_prediction"
            )
        if not await service.log.knows(given.prediction_id):  # not counted against the limit
            return refusal(request.scope, 404, "no prediction has this id", "unknown_prediction")
        if seconds := pace.wait():
            headers = {"Retry-After": str(math.ceil(seconds))}
            told = f"wanted at most {pace.a_minute} per minute"
            return refusal(request.scope, 429, told, "too_much", headers)
        try:
            await service.log.feedback(given.prediction_id, orjson.dumps(given.actual).decode())
        except UnknownPrediction:
            return refusal(request.scope, 404, "no prediction has this id", "unknown_prediction")
        return reply({"prediction_id": given.prediction_id, "status": "recorded"})


class RateLimiter:
    """Allows a number of requests a minute, which may come in one burst; others have to wait.

    A retraining may learn from feedback, so a client must not send very much in a short time.
    """

    def __init__(self, a_minute: int) -> None:
        self.a_minute, self._next = a_minute, 0.0

    def wait(self) -> float:
        """Count one and return 0; or return the seconds after which one is allowed."""
        now, each = time.monotonic(), 60 / self.a_minute
        start = max(self._next, now)
        if (too_early := start + each - 60 - now) > 0:
            return too_early
        self._next = start + each
        return 0.0


def _feedback_model(schema: Schema) -> Any:
    """Build the model of feedback; an actual value must be within the target's bounds, too."""
    return create_model(
        "Actual",
        __config__=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False),
        prediction_id=(str, Field(min_length=1, max_length=64, pattern="^[0-9a-f]+$")),
        actual=column_field(schema.target),
    )
