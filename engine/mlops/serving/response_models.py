"""The API's answers, as the OpenAPI document describes them: models, examples, errors."""

import datetime
import json
from typing import Any

from pydantic import BaseModel, create_model
from starlette.responses import Response

from mlops.columns import Column, Schema
from mlops.request import describe_schema

Document = dict[str, Any]

LIMITS = (408, 413, 415, 431, 503)
"""Statuses of a request that is beyond a limit."""

_EXAMPLES: dict[type, Any] = {
    bool: True,
    str: "text",
    datetime.date: "2024-05-01",
    datetime.datetime: "2024-05-01T10:30:00",
}

_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"), ensure_ascii=False)


class Problem(BaseModel):
    """One thing that is wrong with a request: where, and what was wanted."""

    loc: list[str | int]
    msg: str
    type: str


class Refusal(BaseModel):
    """Why a request was refused; `more` counts problems that are not listed."""

    detail: list[Problem]
    more: int = 0


class State(BaseModel):
    """Of a health check."""

    status: str


class Feedback(BaseModel):
    """What really happened, for a prediction that was made."""

    prediction_id: str
    status: str = "recorded"


def single_model(schema: Schema) -> type[BaseModel]:
    """Build the model of an answer to GET /predict."""
    fields: dict[str, Any] = {
        f"predicted_{schema.target.name}": _predicted(schema),
        "prediction_id": str,
        "model_version": str,
    }
    if schema.target.choices:
        fields["probabilities"] = dict[str, float]
    return create_model("Prediction", **fields)


def batch_model(schema: Schema) -> type[BaseModel]:
    """Build the model of an answer to POST /predict."""
    fields: dict[str, Any] = {
        "predictions": list[_predicted(schema)],  # type: ignore[misc]
        "prediction_ids": list[str],
        "model_version": str,
    }
    if schema.target.choices:
        fields["probabilities"] = list[dict[str, float]]
    return create_model("Predictions", **fields)


def _predicted(schema: Schema) -> Any:
    return str if schema.target.choices else float


def reply(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Answer in JSON that any client can read: no NaN, and lone surrogates replaced."""
    body = _ENCODER.encode(content).encode("utf-8", "replace")
    return Response(body, status, headers, media_type="application/json")


def refusal(
    status: int, message: str, kind: str, headers: dict[str, str] | None = None
) -> Response:
    """Refuse a request for one reason."""
    problem = {"loc": [], "msg": message, "type": kind}
    return reply({"detail": [problem], "more": 0}, status, headers)


def errors(*statuses: int) -> dict[int | str, Document]:
    """Describe refusals for the OpenAPI document."""
    meanings = {
        400: "The client went away, or the request is no HTTP",
        401: "The API key is missing or wrong",
        404: "No prediction has this id",
        408: "The body did not arrive in time",
        413: "The body is too large",
        415: "The body is compressed",
        422: "Every field that is wrong, named",
        429: "Too much feedback in a minute: try again",
        431: "The headers are too large",
        503: "Too many requests at a time, or the prediction log is away: try again",
    }
    described: dict[int | str, Document] = {
        status: {"model": Refusal, "description": meanings[status]} for status in statuses
    }
    header = {"schema": {"type": "integer"}, "description": "Seconds to wait"}
    for status in described.keys() & {429, 503}:
        described[status]["headers"] = {"Retry-After": header}
    return described


def example_row(schema: Schema) -> Document:
    """Make up a plausible row: every required input, from the middle of its bounds."""
    return {c.name: _middle(c) for c in schema.inputs if not c.nullable and c.role != "time"}


def query_parameters(schema: Schema) -> list[Document]:
    """Describe the query of GET /predict: every input is a parameter."""
    request = describe_schema(schema)["request"]
    example = example_row(schema)
    parameters = []
    for name, described in request["properties"].items():
        parameter = {"name": name, "in": "query", "schema": described}
        parameter["required"] = name in request.get("required", [])
        parameter["description"] = described.get("description", "")
        if name in example:
            parameter["example"] = example[name]
        parameters.append(parameter)
    return parameters


def _middle(column: Column) -> Any:
    if column.choices:
        return column.choices[0]
    if (example := _EXAMPLES.get(column.type)) is not None:
        return example
    low = 0.0 if column.low is None else column.low
    high = low + 100.0 if column.high is None else column.high
    middle = low + (high - low) / 4
    return round(middle) if column.type is int else round(middle, -1) or middle
