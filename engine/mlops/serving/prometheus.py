"""The Prometheus metrics of this process, or of all workers if they share a folder."""

import asyncio
import datetime
import os
import time
from collections import Counter as Tally
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from mlops.columns import Schema
from mlops.inference.encoding import Columns
from mlops.inference.loaded_model import Served

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_ROWS = (1, 2, 5, 10, 50, 100, 500, 1000)
_STEPS = 20
_METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS"})
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
        self.missing = counter("feature_missing_total", "Missing values", "feature")
        self.unseen = counter("feature_unseen_total", "Values that no training row had", "feature")
        self.logged = counter("prediction_log_writes_total", "Writes", "outcome")
        self.reloads = counter("model_reloads_total", "New bundles", "outcome")
        self._info = Gauge(
            "model_info", "1 for the served model", ["version", "engine"],
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
        self._rows: list[tuple[Columns, Sequence[Any]]] = []
        self._sizes: list[int] = []
        self._answers: list[tuple[str, str, int, float]] = []

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request within a second, by its route: a client's path is never a label."""
        self._later()
        known = method if method in _METHODS else "other"
        self._answers.append((known, route, status, seconds))

    def _count_requests(self, key: tuple[str, str, int], times: list[float]) -> None:
        method, route, status = key
        if key not in self._of_request:
            counter = self._requests.labels(route, method, status)
            self._of_request[key] = counter, self._latency.labels(route)
        counter, latency = self._of_request[key]
        counter.inc(len(times))
        _observe(latency, times)

    def rows(self, columns: Columns, answers: Sequence[Any], n_requests: int) -> None:
        """Count the predicted rows of one request, or of several of equal size, within a second.

        Counting many rows at once, with their missing and unseen values, takes a tenth of the time
        of counting them one by one.
        """
        self._later()
        self._rows.append((columns, answers))
        self._sizes += [len(answers) // n_requests] * n_requests
        if len(answers) + len(self._sizes) > _TOGETHER:
            self.count()

    def _later(self) -> None:
        if not self._rows and not self._answers:
            asyncio.get_running_loop().call_later(_DELAY, self.count)

    def count(self) -> None:
        """Count the pending requests and rows."""
        answers, self._answers = self._answers, []
        for key, times in _grouped(answers).items():
            self._count_requests(key, times)
        waiting, self._rows = self._rows, []
        sizes, self._sizes = self._sizes, []
        answered = [value for _, several in waiting for value in several]
        self.predictions.inc(len(answered))
        _observe(self.batches, sizes)
        for name, gaps in self._of_feature.items():
            missing, unseen = _oddities(
                _joined([c[name] for c, _ in waiting]), self._seen.get(name)
            )
            if missing:
                gaps.inc(missing)
            if unseen:
                self.unseen.labels(name).inc(unseen)
        if answered and isinstance(answered[0], str):
            for choice, rows in Tally(answered).items():
                self.chosen.labels(choice).inc(rows)
        else:
            _observe(self.values, answered)

    def model(self, served: Served) -> None:
        """Set the metrics of the model that is served from now on."""
        self.count()
        open_names = {feature.name for feature in served.schema.features if feature.open}
        seen = served.manifest["data"]["seen"]  # incomplete for open features
        self._seen = {name: kept for name, kept in seen.items() if name not in open_names}
        self._info.clear()
        self._info.labels(served.version, served.manifest["engine"]).set(1)
        if day := served.manifest["data"]["test"].get("to"):
            newest = datetime.datetime.fromisoformat(day).replace(tzinfo=datetime.UTC)
            self._newest = newest.timestamp()

    def text(self) -> bytes:
        """Return all metrics in Prometheus text format."""
        self.count()
        if self._newest is not None:
            self._age.set((time.time() - self._newest) / _DAY)
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self.registry)
        shared = CollectorRegistry()
        multiprocess.MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        return generate_latest(shared)


def _grouped(
    answers: list[tuple[str, str, int, float]],
) -> dict[tuple[str, str, int], list[float]]:
    found: dict[tuple[str, str, int], list[float]] = {}
    for method, route, status, seconds in answers:
        found.setdefault((method, route, status), []).append(seconds)
    return found


def _observe(histogram: Histogram, values: Sequence[float]) -> None:
    """Observe many values at once; the library itself takes them one by one."""
    if not values:
        return
    observed = np.array(values, dtype=np.float64)
    places = np.bincount(np.searchsorted(histogram._upper_bounds, observed))
    for bucket, count in zip(histogram._buckets, places.tolist(), strict=False):
        if count:
            bucket.inc(count)
    histogram._sum.inc(float(observed.sum()))


def _joined(parts: list[Any]) -> Any:
    """Join the values of a column: an array if one of them is, else a list."""
    if len(parts) == 1:
        return parts[0]
    if any(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate([np.asarray(part, dtype=np.float64) for part in parts])
    return list(chain.from_iterable(parts))


def _oddities(found: Any, seen: list[Any] | None) -> tuple[int, int]:
    """Count missing values, and choices or numbers outside of those in the training rows."""
    if isinstance(found, np.ndarray) or (seen and not isinstance(seen[0], str)):
        values = np.asarray(found, dtype=np.float64)
        low, high = seen or (-np.inf, np.inf)
        beyond = (values < low) | (values > high)
        return int(np.count_nonzero(np.isnan(values))), int(np.count_nonzero(beyond))
    times = Tally(found)
    missing = times.pop(None, 0)
    known = set(seen or times)
    return missing, sum(count for choice, count in times.items() if choice not in known)


def _edges(schema: Schema) -> list[float]:
    """Return evenly spaced edges over the target's range; powers of ten if it has no bounds."""
    low, high = schema.target.low, schema.target.high
    if low is None or high is None:
        return [10.0**power for power in range(-6, 13)]
    return [low + (high - low) * step / _STEPS for step in range(1, _STEPS + 1)]
