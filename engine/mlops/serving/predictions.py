"""Predictions: from the request in an ASGI scope to the JSON of the answer."""

from collections.abc import Callable
from urllib.parse import parse_qsl

import orjson
from starlette.types import Scope

from mlops.serving.quick_requests import Values
from mlops.serving.requests import Parser, Unprocessable
from mlops.serving.service import Predicted, Service

PATH = "/predict"


class Predictions:
    """Answers prediction requests of any form."""

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
