"""Compare the served model's metrics on feedback with those at its review."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from mlops.columns import Schema
from mlops.intervals import Spread, spread
from mlops.metric_registry import Metrics
from mlops.metrics import Predictions, rounded
from mlops.params import Monitor, Params
from mlops.slices import slices
from mlops.undefined import UNDEFINED, reason_of


@dataclass(frozen=True)
class Performance:
    """One metric of labelled rows of production.

    Attributes:
        part: "all", or "column: slice".
        low, high: its interval at `evaluate.confidence`.
        reference: its value at the review; None for a slice, as are `worse` and `surely_worse`.
        worse: how much worse it is, as a share of `reference`; negative if it is better.
        surely_worse: lower bound of `worse`, at the confidence of the monitor.
        unknown: why the metric is undefined, or can't be compared with the review; else empty.
    """

    metric: str
    part: str
    rows: int
    value: float | None
    low: float | None
    high: float | None
    reference: float | None
    worse: float | None
    surely_worse: float | None
    unknown: str = ""


def performance(
    labelled: pd.DataFrame,
    predictions: Predictions,
    reference: dict[str, Any],
    schema: Schema,
    params: Params,
    metrics: Metrics,
) -> list[Performance]:
    """Compare the metrics in `monitor.max_worse` with the review's, and compute them by slice.

    Slices of fewer than `monitor.min_rows` rows are left out. Slices are not compared with the
    review, because some are harder to predict than the whole from the start.
    """
    found = _measured("all", predictions, reference["metrics"], params, metrics)
    for column, label, members in slices(labelled, params.evaluate.slices, schema):
        if members.sum() >= params.monitor.min_rows:
            found += _measured(f"{column}: {label}", predictions.take(members), {}, params, metrics)
    return found


def _measured(
    part: str, taken: Predictions, reference: dict[str, Any], params: Params, metrics: Metrics
) -> list[Performance]:
    known, found = metrics.estimates(taken), []
    for metric in params.monitor.max_worse:
        value, influence, reason = known[metric]
        margin = spread(influence).margin(params.evaluate.confidence)
        ends = rounded(value - margin), rounded(value + margin)
        then = reference.get(metric, {"value": None, "error": None})
        higher = metrics.higher_is_better[metric]
        worse = _loss(value, spread(influence), higher, then, params)
        if not np.isfinite(value):
            unknown = f"{UNDEFINED}: {reason}"
        else:
            unknown = _unknown(then) if reference and None in worse else ""
        line = (metric, part, len(taken.actual), rounded(value), *ends, then["value"], *worse)
        found.append(Performance(*line, unknown))
    return found


def _unknown(then: dict[str, Any]) -> str:
    """Return why a value can't be expressed as a share of the review's."""
    if then["value"] is None:
        return f"{UNDEFINED} at the review: {reason_of(then)}"
    if then["value"] == 0:
        return "0 at the review, so the change has no percentage"
    return "known from too few rows to separate it from chance"


def _loss(
    value: float, known: Spread, higher: bool, then: dict[str, Any], params: Params
) -> tuple[float | None, float | None]:
    """Return the loss as a share of the reference, and its lower bound by both samples' errors."""
    if not then["value"] or then["error"] is None:
        return None, None
    change = then["value"] - value
    loss = change if higher else -change
    chance = params.monitor.alpha / len(params.monitor.max_worse)
    margin = np.hypot(known.error, then["error"]) * stats.t.ppf(1 - chance, known.degrees)
    scale = abs(then["value"])
    return rounded(loss / scale), rounded((loss - margin) / scale)


def overall(found: list[Performance]) -> list[Performance]:
    """Select the metrics of all rows, leaving out slices."""
    return [p for p in found if p.part == "all"]


def too_much_worse(found: Performance, monitor: Monitor) -> bool:
    """Return whether a metric is worse than allowed, and significantly worse at all.

    Drift is judged in the same way: by its size and its significance.
    """
    if found.worse is None or found.surely_worse is None:
        return False
    return found.surely_worse > 0 and found.worse > monitor.max_worse[found.metric]
