"""The decision in Prometheus format: for a textfile collector, or to be pushed to a gateway."""

import time
from typing import get_args

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from mlops.monitoring.decision import Decision
from mlops.monitoring.performance import overall
from mlops.monitoring.reasons import Verdict
from mlops.params import Params


def exposition(decision: Decision, params: Params) -> str:
    """Return verdict, accuracy and drift as gauges in Prometheus text format."""
    r = CollectorRegistry()
    verdict = Gauge("model_monitor_verdict", "1 for the current verdict", ["verdict"], registry=r)
    for name in get_args(Verdict):
        verdict.labels(name).set(name == decision.verdict)
    ran = Gauge(
        "model_monitor_last_run_timestamp_seconds", "Time of the end of the last run", registry=r
    )
    ran.set(time.time())
    value = Gauge("model_monitor_metric", "Metric of labelled predictions", ["metric"], registry=r)
    worse = Gauge(
        "model_monitor_metric_worse_ratio",
        "How much worse than at the review it is, as a share", ["metric"], registry=r,
    )  # fmt: skip
    surely = Gauge(
        "model_monitor_metric_surely_worse_ratio",
        "Lower bound of how much worse than at the review it is", ["metric"], registry=r,
    )  # fmt: skip
    allowed = Gauge(
        "model_monitor_metric_allowed_ratio",
        "How much worse than at the review it may be", ["metric"], registry=r,
    )  # fmt: skip
    for kept in overall(decision.performance):
        if kept.value is not None:
            value.labels(kept.metric).set(kept.value)
        if kept.worse is not None and kept.surely_worse is not None:
            worse.labels(kept.metric).set(kept.worse)
            surely.labels(kept.metric).set(kept.surely_worse)
            allowed.labels(kept.metric).set(params.monitor.max_worse[kept.metric])
    distance = Gauge(
        "model_monitor_drift_distance",
        "Chi-squared distance from the reference", ["column"], registry=r,
    )  # fmt: skip
    for change in decision.changes:
        if change.what == "distribution":
            distance.labels(change.column).set(change.effect)
    return generate_latest(r).decode()
