"""The API's functions without HTTP: predict, log, count refusals, and reload new bundles."""

import asyncio
import logging
import secrets
import time
from collections.abc import Sequence
from typing import Any

import orjson

from mlops.columns import Schema
from mlops.errors import UserError
from mlops.serving.home_page import Page
from mlops.serving.loaded_model import Served
from mlops.serving.prediction_log import LogAway, PredictionLog
from mlops.serving.prometheus import Metrics
from mlops.serving.quick_requests import Values
from mlops.serving.settings import Settings
from mlops.serving.tables import PLACE, TIME
from mlops.timestamps import present

LOGGER = logging.getLogger("mlops.serving")

_INLINE_ROWS = 32  # more are predicted in a thread, so that they don't block single rows


class Service:
    """The state of one process.

    Attributes:
        served: the current model; a new bundle replaces it atomically.
        draining: set by SIGTERM; the process still answers, but reports that it is not ready.
    """

    def __init__(self, settings: Settings, schema: Schema, metrics: Metrics) -> None:
        self.settings, self.schema, self.metrics = settings, schema, metrics
        self.draining = False
        self._places = [f"{place:0{PLACE}x}" for place in range(settings.max_rows)]
        self._inputs = {column.name for column in schema.inputs}
        self._take(Served.read(settings.bundle, schema))
        self.log: PredictionLog | None = None
        if settings.prediction_log_url != "none":
            self.log = PredictionLog(
                settings.prediction_log_url, settings.log_timeout, settings.retention_days
            )

    def _take(self, served: Served) -> None:
        # Anyone may see the page, also where predictions want a key.
        page = Page(served, self.schema, examples=not self.settings.api_key)
        self.served, self.page = served, page
        self.metrics.model(served)

    async def predict(
        self, values: Values, request_id: str, *, told: bool = True
    ) -> tuple[Served, list[Any], list[str]]:
        """Predict rows and log them; return the model, its values and their ids.

        If a feature needs a time and a row has none, the present time is used. With `told` False
        (a HEAD request, whose answer has no body), nothing is logged or counted.

        Raises:
            LogAway: logging failed, and the setting `log_failure` is "refuse".
        """
        served, n_rows = self.served, len(next(iter(values.values())))
        if (timed := self.schema.timed) is not None and None in values[timed.name]:
            now = present(timed.type, self.schema.timezone)
            values[timed.name] = [now if at is None else at for at in values[timed.name]]
        if n_rows == 1:
            found = served.engine.predict([{name: value[0] for name, value in values.items()}])
        elif n_rows <= _INLINE_ROWS:
            found = served.engine.predict_columns(values)
        else:
            found = await asyncio.to_thread(served.engine.predict_columns, values)
        predicted = served.values(found)
        # Starts with the time, so that new ids are adjacent in the index; the rest is unguessable.
        token = f"{time.time_ns() // 1_000_000:0{TIME}x}{secrets.token_hex(8)}"
        ids = [token + place for place in self._places[:n_rows]]
        if not told:
            return served, predicted, ids
        if self.log is not None:
            await self._record(self.log, served, values, predicted, ids, request_id)
        self.metrics.rows(values, served.answers(predicted))
        return served, predicted, ids

    async def _record(
        self,
        log: PredictionLog,
        served: Served,
        values: Values,
        predicted: list[Any],
        ids: list[str],
        request_id: str,
    ) -> None:
        at, version = time.time(), served.version
        records = [
            (
                name,
                at,
                version,
                request_id,
                _json(dict(zip(values, row, strict=True))),
                _json(value),
            )
            for name, row, value in zip(
                ids, zip(*values.values(), strict=True), predicted, strict=True
            )
        ]
        try:
            await log.predictions(records)
        except LogAway as error:
            self.metrics.logged.labels("failed").inc(len(ids))
            LOGGER.error("not logged", extra={"request_id": request_id, "cause": str(error)})
            if self.settings.log_failure == "refuse":
                raise
        else:
            self.metrics.logged.labels("written").inc(len(ids))

    def refused(self, problems: Sequence[dict[str, Any]]) -> None:
        """Count a refused request by the features that were wrong in it, for the monitor."""
        if self.log is not None:
            self.log.refused({f"{self._field(p['loc'])}: {p['type']}" for p in problems})

    def _field(self, loc: Sequence[Any]) -> str:
        """Return the schema's input; any other name is the client's, and may be any text."""
        return next((part for part in loc if part in self._inputs), "request")

    async def why_not_ready(self) -> str | None:
        """Return why this process should get no traffic; None if it is ready."""
        if self.draining:
            return "draining"
        if self.log is not None:
            try:
                await self.log.check()
            except LogAway as error:
                LOGGER.error("log away", extra={"cause": str(error)})
                return "the prediction log is not writable"
        return None

    async def watch(self) -> None:
        """Serve each new bundle as soon as it is complete and verified; runs until cancelled."""
        if not self.settings.reload_seconds:
            return
        seen = self._stamp()
        while True:
            await asyncio.sleep(self.settings.reload_seconds)
            stamp = self._stamp()
            if stamp is None or stamp == seen:
                continue
            try:
                served = await asyncio.to_thread(Served.read, self.settings.bundle, self.schema)
            except (UserError, OSError, ValueError, KeyError) as error:
                self.metrics.reloads.labels("refused").inc()
                LOGGER.error("new bundle refused", extra={"cause": str(error)})
                continue  # it may be partly copied: try again
            seen = stamp
            if served.version != self.served.version:
                self._take(served)
                self.metrics.reloads.labels("taken").inc()
                LOGGER.info("new bundle taken", extra={"model_version": served.version})

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = (self.settings.bundle / "manifest.json").stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def _json(content: Any) -> str:
    return orjson.dumps(content).decode()
