"""The API's answers, as the OpenAPI document describes them: models, examples, errors."""

import datetime
import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, create_model
from starlette.responses import Response
from starlette.types import Scope

from mlops.columns import Column, Schema
from mlops.request import describe_schema
from mlops.serving.requests import Parser

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


def raw(body: bytes, status: int = 200) -> Response:
    """Answer in JSON that is written already."""
    return Response(body, status, media_type="application/json")


def refusal(
    scope: Scope, status: int, message: str, kind: str, headers: dict[str, str] | None = None
) -> Response:
    """Refuse a request for one reason."""
    body = problem_body(below_root(scope), [{"loc": [], "msg": message, "type": kind}])
    return Response(body, status, headers, media_type="application/json")


def below_root(scope: Scope) -> str:
    """Give the path of a request below the root path."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


def speaks_v2(path: str) -> bool:
    """Tell whether a path is one of the Open Inference Protocol."""
    return path == "/v2" or path.startswith("/v2/")


def problem_body(path: str, problems: Sequence[Document], more: int = 0) -> bytes:
    """Write what is wrong with a request, in the words of the protocol that its path belongs to."""
    content: Document = {"detail": problems, "more": more}
    if speaks_v2(path):
        told = "; ".join(_told(one["loc"], one["msg"]) for one in problems)
        content = {"error": f"{told}; and {more} more" if more else told}
    return _ENCODER.encode(content).encode("utf-8", "replace")


def _told(loc: Sequence[str | int], message: str) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    place = place.removeprefix(".").removeprefix("inputs.")
    return f"{place}: {message}" if place else message


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
