"""The routes for predictions and feedback."""

import math
import time
from typing import Any

import orjson
from fastapi import FastAPI, Request
from pydantic import ConfigDict, Field, create_model
from starlette.responses import Response

from mlops.columns import Schema
from mlops.gateway.refusals import Refusal
from mlops.prediction_log.log_writer import UnknownPrediction
from mlops.request import column_field
from mlops.request_parsing.requests import parse_json, validated
from mlops.serving import response_models
from mlops.serving.predictions import PATH, Predictions
from mlops.serving.response_models import LIMITS, Written, errors
from mlops.serving.service import Service


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
        return Written(await predictions.answer(predictions.one, request.scope))

    @app.post(
        PATH,
        summary="Predict for many rows",
        response_model=response_models.batch_model(schema),
        responses=responses,
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": content}}},
    )
    async def predict_many(request: Request) -> Response:
        return Written(await predictions.answer(predictions.many, request.scope))


def add_feedback(app: FastAPI, service: Service) -> None:
    model, pace = _feedback_model(service.schema), RateLimiter(service.settings.feedback_per_minute)
    content = {"schema": model.model_json_schema()}

    @app.post(
        "/feedback",
        summary="Report the actual value of a prediction",
        responses=errors(401, 404, 422, 429, *LIMITS),
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": content}}},
    )
    async def feedback(request: Request) -> response_models.Feedback:
        given: Any = validated(model, parse_json(request.scope["state"]["body"]), "body")
        if service.log is None:
            raise Refusal(404, "this server logs no predictions", kind="unknown_prediction")
        if not await service.log.knows(given.prediction_id):  # not counted against the limit
            raise _unknown()
        if seconds := pace.wait():
            told = f"wanted at most {pace.a_minute} per minute"
            header = (b"retry-after", b"%d" % math.ceil(seconds))
            raise Refusal(429, told, header, kind="too_much")
        try:
            await service.log.feedback(given.prediction_id, orjson.dumps(given.actual).decode())
        except UnknownPrediction:
            raise _unknown() from None
        return response_models.Feedback(prediction_id=given.prediction_id)


def _unknown() -> Refusal:
    return Refusal(404, "no prediction has this id", kind="unknown_prediction")


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
