"""What Prometheus is told of this process, or of all workers where they share a folder."""

import asyncio
import datetime
import os
import time
from collections.abc import Sequence
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from mlops.columns import Schema
from mlops.serving.encoding import Row
from mlops.serving.loaded_model import Served

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_ROWS = (1, 2, 5, 10, 50, 100, 500, 1000)
_STEPS = 20
_DAY = 86_400.0
_DELAY, _TOGETHER = 1.0, 256  # seconds and requests after which rows are counted


class Metrics:
    """The counters of one server."""

    def __init__(self, schema: Schema) -> None:
        self.registry = r = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=r)

        self._requests = counter("http_requests_total", "Requests", "route", "method", "status")
        name = "http_request_duration_seconds"
        self._latency = Histogram(name, "Latency", ["route"], buckets=_SECONDS, registry=r)
        self.predictions = counter("predictions_total", "Rows predicted")
        self.batches = Histogram("prediction_rows", "Rows", buckets=_ROWS, registry=r)
        edges = _edges(schema)
        self.values = Histogram("prediction_value", "Values", buckets=edges, registry=r)
        self.chosen = counter("prediction_choice_total", "Choices predicted", "choice")
        self.missing = counter("feature_missing_total", "Gaps", "feature")
        self.unseen = counter("feature_unseen_total", "Values that no training row had", "feature")
        self.logged = counter("prediction_log_writes_total", "Writes", "outcome")
        self.reloads = counter("model_reloads_total", "New bundles", "outcome")
        self._info = Gauge(
            "model_info", "1 for the model served", ["version", "engine"],
            multiprocess_mode="mostrecent", registry=r,
        )  # fmt: skip
        self._age = Gauge(
            "model_data_age_days", "Age of the newest row of the data",
            multiprocess_mode="mostrecent", registry=r,
        )  # fmt: skip
        self._newest: float | None = None
        self._seen: dict[str, Any] = {}
        self._of_request: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._of_feature = {c.name: self.missing.labels(c.name) for c in schema.inputs}
        self._waiting: list[tuple[Sequence[Row], Sequence[Any]]] = []

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered by a route; never a client's own spelling."""
        known = method if method in ("GET", "POST", "HEAD", "OPTIONS") else "other"
        found = self._of_request.get((route, known, status))
        if found is None:
            found = self._requests.labels(route, known, status), self._latency.labels(route)
            self._of_request[route, known, status] = found
        counter, latency = found
        counter.inc()
        latency.observe(seconds)

    def rows(self, rows: Sequence[Row], answers: Sequence[Any]) -> None:
        """Count predicted rows, and what was missing in them, within a second.

        Many rows at a time cost a tenth of what they cost one by one.
        """
        if not self._waiting:
            asyncio.get_running_loop().call_later(_DELAY, self._count)
        self._waiting.append((rows, answers))
        self.batches.observe(len(rows))
        if len(rows) + len(self._waiting) > _TOGETHER:
            self._count()

    def _count(self) -> None:
        rows = [row for several, _ in self._waiting for row in several]
        values = [value for _, several in self._waiting for value in several]
        self._waiting.clear()
        self.predictions.inc(len(rows))
        for name, gaps in self._of_feature.items():
            present = [row[name] for row in rows if row[name] is not None]
            if len(present) < len(rows):
                gaps.inc(len(rows) - len(present))
            if unseen := _unseen(present, self._seen.get(name)):
                self.unseen.labels(name).inc(unseen)
        for value in values:
            if isinstance(value, str):
                self.chosen.labels(value).inc()
            else:
                self.values.observe(value)

    def model(self, served: Served) -> None:
        """Tell of the model that is served from now on."""
        self._count()
        self._seen = served.manifest["data"]["seen"]
        self._info.clear()
        self._info.labels(served.version, served.manifest["engine"]).set(1)
        if day := served.manifest["data"]["test"].get("to"):
            newest = datetime.datetime.fromisoformat(day).replace(tzinfo=datetime.UTC)
            self._newest = newest.timestamp()

    def text(self) -> bytes:
        """Write all of it as Prometheus reads it."""
        self._count()
        if self._newest is not None:
            self._age.set((time.time() - self._newest) / _DAY)
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self.registry)
        shared = CollectorRegistry()
        multiprocess.MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        return generate_latest(shared)


def _unseen(present: list[Any], seen: list[Any] | None) -> int:
    """Count choices that no training row had, or numbers below or above all of theirs."""
    if not present or not seen:
        return 0
    if isinstance(present[0], str):
        return sum(choice not in seen for choice in present)
    low, high = seen
    if low <= min(present) and max(present) <= high:
        return 0
    return sum(not low <= value <= high for value in present)


def _edges(schema: Schema) -> list[float]:
    """Cut the target's range evenly; a target without bounds gets powers of ten."""
    low, high = schema.target.low, schema.target.high
    if low is None or high is None:
        return [10.0**power for power in range(-6, 13)]
    return [low + (high - low) * step / _STEPS for step in range(1, _STEPS + 1)]
