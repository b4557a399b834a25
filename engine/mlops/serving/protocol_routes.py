"""The routes of the Open Inference Protocol, and their OpenAPI descriptions."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path, Request
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from mlops.serving.health import Health
from mlops.serving.inference_protocol import PREFIX, Protocol
from mlops.serving.predictions import Predictions
from mlops.serving.response_models import LIMITS, Written
from mlops.serving.service import Service

_TAGS: list[Any] = ["Open Inference Protocol"]


class Failure(BaseModel):
    """Why a request was refused."""

    error: str


class Server(BaseModel):
    """Name, version and extensions of the server."""

    name: str
    version: str
    extensions: list[str]


class Alive(BaseModel):
    """Health of the server."""

    live: bool


class ModelReady(BaseModel):
    """Readiness of the model."""

    name: str
    ready: bool


class TensorKind(BaseModel):
    """An input or output; -1 stands for any number of rows."""

    name: str
    datatype: str
    shape: list[int]


class Model(BaseModel):
    """Inputs and outputs of the model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorKind]
    outputs: list[TensorKind]


class Given(TensorKind):
    """A tensor: its values in the order of its shape."""

    data: list[float | str]


class Inferred(BaseModel):
    """An inference response."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[Given]


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe error responses, by status."""
    return {status: {"model": Failure, "description": "See `error`"} for status in statuses}


def add_health(app: FastAPI, health: Health) -> None:
    """Add the public health routes."""

    @app.get(f"{PREFIX}/health/live", tags=_TAGS, response_model=Alive, responses=failures(431))
    async def v2_live(request: Request) -> Response:
        return Written(await health.v2_live(request.scope))

    @app.get(
        f"{PREFIX}/health/ready", tags=_TAGS, response_model=Alive, responses=failures(431, 503)
    )
    async def v2_ready(request: Request) -> Response:
        return Written(await health.v2_ready(request.scope))


def add_protocol(
    app: FastAPI,
    service: Service,
    health: Health,
    predictions: Predictions,
    protocol: Protocol,
) -> None:
    """Add the routes that need the key."""

    @app.get(f"{PREFIX}/", include_in_schema=False)
    @app.get(PREFIX, tags=_TAGS, responses=failures(401, 431, 503))
    async def server() -> Server:
        version = service.settings.git_commit
        return Server(name="mlops", version=version, extensions=["binary_tensor_data"])

    async def model() -> Model:
        return Model(**protocol.model())

    async def ready() -> ModelReady:
        await health.check()
        return ModelReady(name=protocol.name, ready=True)

    async def infer(request: Request) -> Response:
        return Written(await predictions.answer(protocol.infer, request.scope))

    def same(version: Annotated[str, Path()]) -> None:
        if version != service.served.version:
            raise HTTPException(404, f"no such version: wanted {service.served.version}")

    asked = {"required": True, "content": {"application/json": {"schema": _asked(protocol)}}}
    for path, needed in (
        (protocol.path, []),
        (f"{protocol.path}/versions/{{version}}", [Depends(same)]),
    ):
        shared: dict[str, Any] = {"tags": _TAGS, "dependencies": needed}
        app.get(path, responses=failures(401, 404, 431, 503), **shared)(model)
        app.get(
            f"{path}/ready",
            responses=failures(401, 404, 431, 503),
            **shared,
        )(ready)
        app.post(
            f"{path}/infer",
            response_model=Inferred,
            responses=failures(400, 401, 404, *LIMITS),
            openapi_extra={"requestBody": asked},
            **shared,
        )(infer)


def _asked(protocol: Protocol) -> dict[str, Any]:
    parameters = {"type": "object"}
    described = protocol.model()
    tensor = {
        "type": "object",
        "properties": {
            "name": {"enum": [one["name"] for one in described["inputs"]]},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
            "datatype": {"type": "string"},
            "parameters": parameters,
            "data": {"type": "array", "items": {}},
        },
        "required": ["name", "shape", "datatype"],
    }
    output = {
        "type": "object",
        "properties": {
            "name": {"enum": [one["name"] for one in described["outputs"]]},
            "parameters": parameters,
        },
        "required": ["name"],
    }
    return {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "parameters": parameters,
            "inputs": {"type": "array", "items": tensor},
            "outputs": {"type": "array", "items": output},
        },
        "required": ["inputs"],
    }
