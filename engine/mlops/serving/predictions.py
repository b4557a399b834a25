"""Predictions: from the request in an ASGI scope to the JSON of the answer."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson
from starlette.types import Scope

from mlops.gateway.refusals import JSON, WholeSend, answer_to
from mlops.request_parsing.quick_requests import Values
from mlops.request_parsing.requests import Parser, Unprocessable, pairs
from mlops.serving.service import Predicted, Service

PATH = "/predict"


class Form(NamedTuple):
    """A form of prediction requests.

    Attributes:
        read: returns the values of a request; it may raise Unprocessable.
        write: returns the content of the answer.
    """

    read: Callable[[Scope], Values]
    write: Callable[[Scope, Predicted], Any]


class Predictions:
    """Answers prediction requests of any form.

    Attributes:
        one: the form of GET /predict.
        many: the form of POST /predict.
    """

    def __init__(self, service: Service) -> None:
        self.parser = parser = Parser(service.schema, service.settings.max_rows)
        self._service = service
        self.one = Form(lambda scope: parser.single(pairs(scope["query_string"])), _write_one)
        self.many = Form(lambda scope: parser.batch(scope["state"]["body"]), _write_many)

    async def answer(self, form: Form, scope: Scope) -> bytes:
        """Predict the rows of a request; return the body of the answer."""
        values, state = self._read(form, scope), scope["state"]
        told = state.get("told", True)
        predicted = await self._service.predict(values, state["request_id"], told=told)
        return orjson.dumps(form.write(scope, predicted))

    def ask(self, form: Form, scope: Scope, send: WholeSend) -> None:
        """Predict the rows of a request; the response is sent, not before this returns."""
        answer = _Response(form, scope, send)
        try:
            values = self._read(form, scope)
            self._service.ask(values, scope["state"]["request_id"], answer)
        except Exception as error:
            asyncio.get_running_loop().call_soon(answer.set_exception, error)

    def _read(self, form: Form, scope: Scope) -> Values:
        """Read a request, and count it if it is rejected."""
        try:
            return form.read(scope)
        except Unprocessable as error:
            self._service.refused(error.problems)
            raise


class _Response:
    """Takes the predictions of a request, and sends its response."""

    def __init__(self, form: Form, scope: Scope, send: WholeSend) -> None:
        self._form, self._scope, self._send, self._sent = form, scope, send, False

    def done(self) -> bool:
        return self._sent

    def set_result(self, predicted: Predicted) -> None:
        try:
            body = orjson.dumps(self._form.write(self._scope, predicted))
        except Exception as error:
            self.set_exception(error)
        else:
            self._sent = True
            self._send(200, [JSON], body)

    def set_exception(self, error: BaseException) -> None:
        self._sent = True
        self._send(*answer_to(error, self._scope))


def _write_one(scope: Scope, predicted: Predicted) -> dict[str, Any]:
    served, values, ids = predicted
    answer = {
        served.key: served.answers(values)[0],
        "prediction_id": ids[0],
        "model_version": served.version,
    }
    if served.choices:
        answer["probabilities"] = values[0]
    return answer


def _write_many(scope: Scope, predicted: Predicted) -> dict[str, Any]:
    served, values, ids = predicted
    answer = {
        "predictions": served.answers(values),
        "prediction_ids": ids,
        "model_version": served.version,
    }
    if served.choices:
        answer["probabilities"] = values
    return answer
