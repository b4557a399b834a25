"""The API's answers, as the OpenAPI document describes them: models, examples, errors."""

import datetime
from typing import Any

from pydantic import BaseModel, create_model
from starlette.responses import Response

from mlops.columns import Column, Schema
from mlops.request import describe_schema
from mlops.request_parsing.requests import Parser

Document = dict[str, Any]

LIMITS = (408, 413, 415, 431, 503)
"""Statuses of a request that is beyond a limit."""

_EXAMPLES: dict[type, Any] = {
    bool: True,
    str: "text",
    datetime.date: "2024-05-01",
    datetime.datetime: "2024-05-01T10:30:00",
}


class Written(Response):
    """JSON that is written already."""

    media_type = "application/json"


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


def errors(*statuses: int) -> dict[int | str, Document]:
    """Describe refusals for the OpenAPI document."""
    meanings = {
        400: "The client disconnected, or the request is not valid HTTP",
        401: "The API key is missing or wrong",
        404: "No prediction has this id",
        408: "The body did not arrive in time",
        413: "The body is too large",
        415: "The body is compressed",
        422: "All invalid fields",
        429: "Too many feedback requests per minute: try again",
        431: "The headers are too large",
        503: "Too many concurrent requests, or the prediction log is unavailable: try again",
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


def body_schema(parser: Parser, schema: Schema) -> Document:
    """Describe the body of POST /predict: rows, or columns."""
    rows = parser.rows.model_json_schema(ref_template="#/components/schemas/{model}")
    row = rows.pop("$defs")["Row"]
    rows["properties"]["rows"]["items"] = row
    length = {"minItems": 1, "maxItems": parser.max_rows}
    lists = {
        name: {"type": "array", "items": described, **length}
        for name, described in row["properties"].items()
    }
    columns = {
        "type": "object",
        "properties": lists,
        "required": row.get("required", []),
        "additionalProperties": False,
        "description": "One list per input, all of the same length",
    }
    by_column = {
        "type": "object",
        "properties": {"columns": columns},
        "required": ["columns"],
        "additionalProperties": False,
    }
    return {"anyOf": [rows, by_column]}


def body_examples(schema: Schema) -> Document:
    """Give a body of each form."""
    row = example_row(schema)
    columns = {name: [value] for name, value in row.items()}
    return {"rows": {"value": {"rows": [row]}}, "columns": {"value": {"columns": columns}}}


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
