"""The API's functions without HTTP: predict, log, count refusals, and reload new bundles.

Requests for one row that arrive about the same time are predicted and logged together: eight of
them take little longer than one.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import orjson

from mlops.columns import Schema
from mlops.errors import UserError
from mlops.gateway.tokens import random_tokens
from mlops.inference.encoding import Columns, Floats, count_rows
from mlops.inference.engine import FEW
from mlops.inference.loaded_model import Served
from mlops.prediction_log.log_writer import LogAway, PredictionLog
from mlops.prediction_log.tables import PLACE, TIME
from mlops.request_parsing.quick_requests import Values
from mlops.serving.home_page import Page
from mlops.serving.prometheus import Metrics
from mlops.serving.settings import Settings
from mlops.timestamps import present

LOGGER = logging.getLogger("mlops.serving")

_LATELY = 1.0  # seconds after a request for one row in which others are expected
_GATHERED = 0.002  # seconds for which a request may wait for others, to be answered with them


class Predicted(NamedTuple):
    """The model that predicted a request's rows, its values and their ids."""

    served: Served
    values: list[Any]
    ids: list[str]


class Answer(Protocol):
    """What takes the result of a request: a future of asyncio, or a response to be sent."""

    def done(self) -> bool:
        """Return whether it has its result, or wants none any more."""

    def set_result(self, result: Predicted, /) -> None:
        """Take the predictions."""

    def set_exception(self, error: BaseException, /) -> None:
        """Take the reason why there are none."""


class _Asked(NamedTuple):
    """A request whose `answer` is to be set.

    Attributes:
        columns: the values for the engine and the metrics: of many rows, numbers as arrays.
    """

    values: Values
    columns: Columns
    request_id: str
    answer: Answer


class _Batch(NamedTuple):
    """Rows that were predicted together: of one request, or of several for one row each."""

    asked: list[_Asked]
    columns: Columns
    predicted: Predicted

    @property
    def size(self) -> int:
        """Rows of each request."""
        return len(self.predicted.ids) // len(self.asked)

    def parts(self, rows: list[Any]) -> list[list[Any]]:
        """Return the part of each request."""
        size = self.size
        return [rows[at : at + size] for at in range(0, len(rows), size)]


class Service:
    """The state of one process.

    Attributes:
        served: the current model; a new bundle replaces it atomically.
        draining: set by SIGTERM; the process still answers, but reports that it is not ready.
    """

    def __init__(self, settings: Settings, schema: Schema, metrics: Metrics) -> None:
        self.settings, self.schema, self.metrics = settings, schema, metrics
        self._timed = schema.timed
        self.draining = False
        self._tokens = random_tokens()
        self._places = [f"{place:0{PLACE}x}" for place in range(settings.max_rows)]
        self._inputs = {column.name for column in schema.inputs}
        self._numbers = [c.name for c in schema.inputs if c.type in (float, int)]
        self._ones: list[_Asked] = []  # requests for one row, to be answered next
        self._others: list[_Asked] = []  # those for several rows
        self._counted = 0  # of these, the ones that the last turn of the event loop found
        self._together = 0  # requests that were answered last, together
        self._answer_by = 0.0  # when the waiting ones are answered even if more arrive
        self._ones_until = 0.0  # until then, requests for one row are expected
        self._take(Served.read(settings.bundle, schema))
        self.log: PredictionLog | None = None
        if settings.prediction_log_url != "none":
            self.log = PredictionLog(
                settings.prediction_log_url, settings.log_timeout, settings.retention_days
            )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write the log and watch for new bundles within the block."""
        if self.log is not None:
            self.log.start()
        watching = asyncio.create_task(self.watch())
        yield
        watching.cancel()
        if self.log is not None:
            await self.log.close()

    def _take(self, served: Served) -> None:
        # Anyone may see the page, also where predictions want a key.
        page = Page(served, self.schema, examples=not self.settings.api_key)
        self.served, self.page = served, page
        self.metrics.model(served)

    async def predict(self, values: Values, request_id: str, *, told: bool = True) -> Predicted:
        """Predict the rows of a request, and log them; see `ask`.

        With `told` False (a HEAD request, whose answer has no body), nothing is logged or counted.

        Raises:
            LogAway: logging failed, and the setting `log_failure` is "refuse".
        """
        if told:
            answer = asyncio.get_running_loop().create_future()
            self.ask(values, request_id, answer)
            return await answer
        self._fill_time([values])
        served, n_rows = self.served, count_rows(values)
        found = served.values(served.engine.predict_columns(values))
        return Predicted(served, found, self._ids(1, n_rows))

    def ask(self, values: Values, request_id: str, answer: Answer) -> None:
        """Predict the rows of a request, log them, and set `answer`, not before this returns.

        If a feature needs a time and a row has none, the present time is used.
        """
        columns: Columns = values
        if (n_rows := count_rows(values)) > FEW:
            self._fill_time([values])
            numbers = {name: np.array(values[name], dtype=np.float64) for name in self._numbers}
            columns = {**values, **numbers}
        asked = _Asked(values, columns, request_id, answer)
        if n_rows <= FEW or self._may_hold_up_others(n_rows):
            if not self._ones and not self._others:
                self._answer_by = time.monotonic() + _GATHERED
                asyncio.get_running_loop().call_soon(self._answer_turn)
            (self._ones if n_rows == 1 else self._others).append(asked)
            return
        served, loop = self.served, asyncio.get_running_loop()
        found = loop.run_in_executor(None, served.engine.predict_columns, columns)
        found.add_done_callback(lambda done: self._settle(served, [asked], columns, done.result))

    def _may_hold_up_others(self, n_rows: int) -> bool:
        # To hand rows over to a thread takes as long as to predict some hundred of them.
        return n_rows <= self.served.quick_rows and time.monotonic() > self._ones_until

    def _fill_time(self, requests: list[Values]) -> None:
        if (timed := self._timed) is None:
            return
        now = present(timed.type, self.schema.timezone)
        for values in requests:
            times = values[timed.name]
            values[timed.name] = [now if at is None else at for at in times]

    def _ids(self, n_requests: int, n_rows: int) -> list[str]:
        # Starts with the time, so that new ids are adjacent in the index; the rest is unguessable.
        now, places = f"{time.time_ns() // 1_000_000:0{TIME}x}", self._places[:n_rows]
        tokens = [now + next(self._tokens) for _ in range(n_requests)]
        return [token + place for token in tokens for place in places]

    def _answer_turn(self) -> None:
        """Answer the requests that the last turns of the event loop have brought."""
        waiting = len(self._ones) + len(self._others)
        # Clients that were answered together send their next requests one after another. While each
        # turn brings some, a turn more makes one commit of many. A lone client never waits.
        more = self._together > 1 and self._counted < waiting < FEW
        if more and time.monotonic() < self._answer_by:
            self._counted = waiting
            asyncio.get_running_loop().call_soon(self._answer_turn)
            return
        self._counted, self._together = 0, waiting
        ones, self._ones = self._ones, []
        others, self._others = self._others, []
        self._fill_time([one.values for one in (*ones, *others)])
        if ones:
            self._ones_until = time.monotonic() + _LATELY
        for start in range(0, len(ones), FEW):
            self._answer_together(ones[start : start + FEW])
        for one in others:
            self._answer_together([one])
        if self.log is not None:
            self.log.hand_over()

    def _answer_together(self, asked: list[_Asked]) -> None:
        served, columns = self.served, asked[0].columns
        if len(asked) > 1:  # each for one row
            columns = {name: [one.values[name][0] for one in asked] for name in columns}
        self._settle(served, asked, columns, lambda: served.engine.predict_columns(columns))

    def _settle(
        self, served: Served, asked: list[_Asked], columns: Columns, predict: Callable[[], Floats]
    ) -> None:
        """Predict, log and answer; if one of several requests fails, the others don't."""
        try:
            found, n_rows = served.values(predict()), count_rows(columns)
            ids = self._ids(len(asked), n_rows // len(asked))
            self._log(_Batch(asked, columns, Predicted(served, found, ids)))
        except Exception as error:
            if len(asked) > 1:
                for one in asked:
                    self._answer_together([one])
            elif not asked[0].answer.done():
                asked[0].answer.set_exception(error)

    def _log(self, batch: _Batch) -> None:
        """Log predictions, if wanted, and then answer their requests."""
        if self.log is None:
            self._answer(batch)
            return
        at, (served, found, ids), size = time.time(), batch.predicted, batch.size
        records = []
        for name, one, value in zip(ids[::size], batch.asked, batch.parts(found), strict=True):
            features: Any = one.values  # for several rows: one record
            if size == 1:
                features, value = {name: given for name, (given,) in features.items()}, value[0]
            told = _json(features), _json(value)
            records.append((name, at, served.version, one.request_id, *told, size))
        written = self.log.predictions(records)
        written.add_done_callback(partial(self._logged, batch))

    def _logged(self, batch: _Batch, written: "asyncio.Future[None]") -> None:
        error = written.exception()
        outcome = "written" if error is None else "failed"
        self.metrics.logged.labels(outcome).inc(len(batch.predicted.ids))
        if error is not None:
            for one in batch.asked:
                facts = {"request_id": one.request_id, "cause": str(error)}
                LOGGER.error("not logged", extra=facts)
        if error is None or self.settings.log_failure == "answer":
            self._answer(batch)
            return
        for one in batch.asked:
            if not one.answer.done():
                one.answer.set_exception(error)

    def _answer(self, batch: _Batch) -> None:
        served, values, ids = batch.predicted
        for one, *own in zip(batch.asked, batch.parts(values), batch.parts(ids), strict=True):
            if not one.answer.done():  # else its request was cancelled
                one.answer.set_result(Predicted(served, *own))
        self.metrics.rows(batch.columns, served.answers(values), len(batch.asked))

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
