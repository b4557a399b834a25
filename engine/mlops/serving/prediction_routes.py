"""The routes that predict, and the one that is told what really happened."""

import math
import time
from typing import Any

from fastapi import FastAPI, Request
from pydantic import ConfigDict, Field, create_model
from pydantic_core import to_json
from starlette.responses import Response

from mlops.columns import Schema
from mlops.request import column_field
from mlops.serving import response_models
from mlops.serving.prediction_log import UnknownPrediction
from mlops.serving.requests import Parser, Unprocessable, parse_json, validated
from mlops.serving.response_models import LIMITS, errors, refusal, reply
from mlops.serving.service import Service

PATH = "/predict"


def add_predictions(app: FastAPI, service: Service) -> None:
    parser = Parser(service.schema, service.settings.max_rows)
    parameters = response_models.query_parameters(service.schema)
    rows = parser.rows.model_json_schema(ref_template="#/components/schemas/{model}")
    definitions = rows.pop("$defs")
    rows["properties"]["rows"]["items"] = definitions["Row"]
    content = {
        "schema": rows,
        "example": {"rows": [response_models.example_row(service.schema)]},
    }
    responses = errors(401, 422, *LIMITS)

    @app.get(
        PATH,
        summary="Predict for one row",
        response_model=response_models.single_model(service.schema),
        responses=responses,
        openapi_extra={"parameters": parameters},
    )
    async def predict_one(request: Request) -> Response:
        try:
            row = parser.single(request.query_params.multi_items())
        except Unprocessable as error:
            service.refused(error.problems)
            raise
        name = request.scope["state"]["request_id"]
        served, values, ids = await service.predict([row], name)
        answer = {
            served.key: served.answers(values)[0],
            "prediction_id": ids[0],
            "model_version": served.version,
        }
        if served.choices:
            answer["probabilities"] = values[0]
        return reply(answer)

    @app.post(
        PATH,
        summary="Predict for many rows",
        response_model=response_models.batch_model(service.schema),
        responses=responses,
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": content}}},
    )
    async def predict_many(request: Request) -> Response:
        try:
            rows = parser.batch(request.scope["state"]["body"])
        except Unprocessable as error:
            service.refused(error.problems)
            raise
        name = request.scope["state"]["request_id"]
        served, values, ids = await service.predict(rows, name)
        answer = {
            "predictions": served.answers(values),
            "prediction_ids": ids,
            "model_version": served.version,
        }
        if served.choices:
            answer["probabilities"] = values
        return reply(answer)


def add_feedback(app: FastAPI, service: Service) -> None:
    model, pace = _feedback_model(service.schema), RateLimiter(service.settings.feedback_per_minute)
    content = {"schema": model.model_json_schema()}

    @app.post(
        "/feedback",
        summary="Tell what really happened",
        response_model=response_models.Feedback,
        responses=errors(401, 404, 422, 429, *LIMITS),
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": content}}},
    )
    async def feedback(request: Request) -> Response:
        given: Any = validated(model, parse_json(request.scope["state"]["body"]), "body")
        if service.log is None:
            return refusal(404, "no prediction is logged here", "unknown_prediction")
        if not await service.log.knows(given.prediction_id):  # takes nothing from the others' pace
            return refusal(404, "no prediction has this id", "unknown_prediction")
        if seconds := pace.wait():
            headers = {"Retry-After": str(math.ceil(seconds))}
            return refusal(429, f"wanted at most {pace.a_minute} a minute", "too_much", headers)
        try:
            await service.log.feedback(given.prediction_id, to_json(given.actual).decode())
        except UnknownPrediction:
            return refusal(404, "no prediction has this id", "unknown_prediction")
        return reply({"prediction_id": given.prediction_id, "status": "recorded"})


class RateLimiter:
    """Lets so much through a minute, also at once: what comes next may have to wait.

    Feedback is what a retraining may learn from: so nobody can tell it very much in a short time.
    """

    def __init__(self, a_minute: int) -> None:
        self.a_minute, self._next = a_minute, 0.0

    def wait(self) -> float:
        """Count one, and give 0; or give the seconds after which there is room for one."""
        now, each = time.monotonic(), 60 / self.a_minute
        start = max(self._next, now)
        if (too_early := start + each - 60 - now) > 0:
            return too_early
        self._next = start + each
        return 0.0


def _feedback_model(schema: Schema) -> Any:
    """Build the model of feedback; the bounds of the target hold for what happened, too."""
    return create_model(
        "Actual",
        __config__=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False),
        prediction_id=(str, Field(min_length=1, max_length=64, pattern="^[0-9a-f]+$")),
        actual=column_field(schema.target),
    )
