"""The Open Inference Protocol (V2, REST) for one model: columns as named tensors.

Clients of KServe, Triton, MLServer and Seldon use it. A missing value is null, an empty text in a
BYTES tensor, NaN in a binary one, or an omitted input.
"""

import re
from typing import Any

from msgspec import UNSET
from starlette.types import Scope

from mlops.inference.loaded_model import Served
from mlops.request_parsing.quick_requests import Values
from mlops.request_parsing.requests import limited, problem
from mlops.request_parsing.tensors import Asked, columns_of, datatype, read_asked
from mlops.serving.predictions import Form, Predictions
from mlops.serving.service import Predicted, Service

PREFIX = "/v2"
MODELS = f"{PREFIX}/models/"


class Protocol:
    """The protocol's answers for the model of one service.

    Attributes:
        name: the model's name.
        path: the path of the model.
        paths: all paths but those of health checks and of one version.
        infer: the form of inference requests.
    """

    def __init__(self, service: Service, predictions: Predictions) -> None:
        self._service, self._predictions = service, predictions
        target = service.schema.target.name
        fits = re.fullmatch(r"[A-Za-z0-9._-]{1,64}", target)
        self.name = service.settings.model_name or (target if fits else "model")
        self.path = f"{MODELS}{self.name}"
        self.paths = {PREFIX, f"{PREFIX}/", *(self.path + end for end in ("", "/ready", "/infer"))}
        self._inputs = {column.name: column for column in service.schema.inputs}
        self.infer = Form(self._read, self._write)

    def model(self) -> dict[str, Any]:
        """Return the model's metadata: versions, inputs and outputs."""
        served = self._service.served
        outputs = [
            {"name": name, "datatype": kind, "shape": [-1, *rest]}
            for name, kind, rest in _output_kinds(served)
        ]
        return {
            "name": self.name,
            "versions": [served.version],
            "platform": f"mlops_{served.manifest['engine']}",
            "inputs": [
                {"name": column.name, "datatype": datatype(column), "shape": [-1]}
                for column in self._inputs.values()
            ],
            "outputs": outputs,
        }

    def _read(self, scope: Scope) -> Values:
        state = scope["state"]
        asked, binary = read_asked(state["body"], dict(scope["headers"]))
        self._check_outputs(asked)
        state["asked"] = asked
        values = columns_of(asked, binary, self._inputs)
        return self._predictions.parser.columns(values, ["inputs"])

    def _write(self, scope: Scope, predicted: Predicted) -> dict[str, Any]:
        served, values, ids = predicted
        asked: Asked = scope["state"]["asked"]
        answer: dict[str, Any] = {"model_name": self.name, "model_version": served.version}
        if asked.id is not UNSET:
            answer["id"] = asked.id
        made = {tensor["name"]: tensor for tensor in _outputs(served, values, ids)}
        wanted = [output.name for output in asked.outputs or ()]
        answer["outputs"] = [made[name] for name in wanted or made]
        return answer

    def _check_outputs(self, asked: Asked) -> None:
        known = {name for name, _, _ in _output_kinds(self._service.served)}
        wrong = [output.name for output in asked.outputs or () if output.name not in known]
        if wrong:
            raise limited(
                [problem(["outputs", name], "no such output", "tensor") for name in wrong]
            )


def _output_kinds(served: Served) -> list[tuple[str, str, list[int]]]:
    kinds: list[tuple[str, str, list[int]]] = [
        (served.key, "BYTES" if served.choices else "FP64", []),
        ("prediction_id", "BYTES", []),
    ]
    if served.choices:
        kinds.append(("probabilities", "FP64", [len(served.choices)]))
    return kinds


def _outputs(served: Served, values: list[Any], ids: list[str]) -> list[dict[str, Any]]:
    data = [served.answers(values), ids]
    if served.choices:
        data.append([value[choice] for value in values for choice in served.choices])
    return [
        {"name": name, "datatype": kind, "shape": [len(ids), *rest], "data": found}
        for (name, kind, rest), found in zip(_output_kinds(served), data, strict=True)
    ]
