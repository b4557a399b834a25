"""The routes of the Open Inference Protocol, and their OpenAPI descriptions."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path, Request
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from mlops.serving.inference_protocol import Protocol
from mlops.serving.response_models import LIMITS, raw, refusal, reply
from mlops.serving.service import Service

PREFIX = "/v2"
MODELS = f"{PREFIX}/models/"
_TAGS: list[Any] = ["Open Inference Protocol"]


class Failure(BaseModel):
    """Why a request was refused."""

    error: str


class Server(BaseModel):
    """Name, version and extensions of the server."""

    name: str
    version: str
    extensions: list[str]


class Health(BaseModel):
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


def add_health(app: FastAPI, service: Service) -> None:
    """Add the public health routes."""

    @app.get(f"{PREFIX}/health/live", tags=_TAGS, responses=failures(431))
    async def v2_live() -> Health:
        return Health(live=True)

    @app.get(
        f"{PREFIX}/health/ready", tags=_TAGS, response_model=Health, responses=failures(431, 503)
    )
    async def v2_ready(request: Request) -> Response:
        return await _ready(service, request, {"live": True})


async def _ready(service: Service, request: Request, answer: dict[str, Any]) -> Response:
    why = await service.why_not_ready()
    if why:
        return refusal(request.scope, 503, why, "not_ready", {"retry-after": "1"})
    return reply(answer)


def add_protocol(app: FastAPI, service: Service, protocol: Protocol) -> None:
    """Add the routes that need the key."""
    base = f"{MODELS}{protocol.name}"

    @app.get(f"{PREFIX}/", include_in_schema=False)
    @app.get(PREFIX, tags=_TAGS, responses=failures(401, 431, 503))
    async def server() -> Server:
        version = service.settings.git_commit
        return Server(name="mlops", version=version, extensions=["binary_tensor_data"])

    async def model() -> Model:
        return Model(**protocol.model())

    async def ready(request: Request) -> Response:
        return await _ready(service, request, {"name": protocol.name, "ready": True})

    async def infer(request: Request) -> Response:
        return raw(await protocol.infer(request.scope))

    def same(version: Annotated[str, Path()]) -> None:
        if version != service.served.version:
            raise HTTPException(404, f"no such version: wanted {service.served.version}")

    asked = {"required": True, "content": {"application/json": {"schema": _asked(protocol)}}}
    for path, needed in ((base, []), (f"{base}/versions/{{version}}", [Depends(same)])):
        shared: dict[str, Any] = {"tags": _TAGS, "dependencies": needed}
        app.get(path, responses=failures(401, 404, 431, 503), **shared)(model)
        app.get(
            f"{path}/ready",
            response_model=ModelReady,
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
