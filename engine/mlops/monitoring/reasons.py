"""The reasons of a verdict: each finding that needs attention, as a message."""

from dataclasses import dataclass
from typing import Literal

from scipy import stats

from mlops.columns import Schema
from mlops.monitoring.drift import PREDICTION, Change
from mlops.monitoring.log_reader import Window
from mlops.monitoring.performance import Performance, overall, too_much_worse
from mlops.params import Params
from mlops.prediction_log.tables import ANY
from mlops.review.github_markdown import number

Verdict = Literal["ok", "watch", "act"]
Cause = Literal["data", "model", "notice"]


@dataclass(frozen=True)
class Reason:
    """A reason of a verdict.

    Attributes:
        cause: "data": the data are wrong, and a retrained model would learn their errors;
            "model": retraining may fix it; "notice": no action is needed yet.
    """

    verdict: Verdict
    cause: Cause
    text: str


def find_reasons(
    window: Window,
    found: list[Change],
    kept: list[Performance],
    schema: Schema,
    params: Params,
) -> list[Reason]:
    """Return the reasons from refused requests, worse metrics and drift."""
    reasons = [
        *_refusals(window, params),
        *_of_performance(kept, params),
        *_of_unknown(kept),
        *_of_drift(found, _holds(kept, params), schema, params),
    ]
    if not found and not kept and not reasons:
        reasons.append(Reason("watch", "notice", "nothing could be judged"))
    return reasons


def _refusals(window: Window, params: Params) -> list[Reason]:
    count, limit = window.refused, params.monitor.max_share
    if not (n := count + window.requests):
        return []
    if stats.binomtest(count, n, limit, "greater").pvalue >= params.monitor.alpha:
        return []
    reasons = sorted(window.refusals.items(), key=lambda item: (-item[1], item[0]))
    named = "; ".join(f"{name} ({k:,})" for name, k in reasons if name != ANY)
    text = f"{count / n:.0%} of {n:,} requests were refused, allowed are {limit:.0%}: {named}"
    return [Reason("act", "data", text)]


def _holds(kept: list[Performance], params: Params) -> bool:
    """Return whether accuracy is known, and no worse than allowed."""
    limits = params.monitor.max_worse
    known = [p for p in overall(kept) if p.worse is not None]
    return bool(known) and all((p.worse or 0.0) <= limits[p.metric] for p in known)


def _of_performance(kept: list[Performance], params: Params) -> list[Reason]:
    return [
        Reason(
            "act",
            "model",
            f"{p.metric} is {number(p.value, 4)} on {p.rows:,} labelled rows, {p.worse:.0%} worse "
            f"than at the review ({number(p.reference, 4)}), allowed are "
            f"{params.monitor.max_worse[p.metric]:.0%}",
        )
        for p in overall(kept)
        if too_much_worse(p, params.monitor)
    ]


def _of_unknown(kept: list[Performance]) -> list[Reason]:
    """List metrics that can't be compared with the review: omitting them would look like a pass."""
    return [
        Reason(
            "watch",
            "notice",
            f"{p.metric} is not judged on {p.rows:,} labelled rows: it {_was(p)} {p.unknown}",
        )
        for p in overall(kept)
        if p.unknown
    ]


def _was(p: Performance) -> str:
    return "is" if p.value is None else f"is {number(p.value, 4)}, and"


def _of_drift(found: list[Change], harmless: bool, schema: Schema, params: Params) -> list[Reason]:
    reasons = []
    for change in sorted((c for c in found if c.drifted), key=lambda one: one.q_value):
        text = f"{change.column}: {_in_words(change, params)}"
        if _is_mistake(change, schema, params):
            reasons.append(Reason("act", "data", text))
        elif harmless:
            reasons.append(Reason("watch", "notice", f"{text}; accuracy has not fallen"))
        else:
            reasons.append(Reason("act", "model", text))
    return reasons


def _is_mistake(change: Change, schema: Schema, params: Params) -> bool:
    """Return whether drift is an error in the data; new choices, in contrast, can be real."""
    if change.what == "outside":
        return change.column != PREDICTION and not schema.feature(change.column).is_categorical
    return change.what == "missing" or change.effect > params.monitor.implausible_effect


def _in_words(change: Change, params: Params) -> str:
    if change.what == "missing":
        return f"missing in {change.effect:.0%} more of the rows than in the reference"
    if change.what == "outside":
        return f"{change.effect:.0%} of the values are outside the training data's range or choices"
    text = f"distribution differs from the reference (distance {change.effect:.2f})"
    if change.effect > params.monitor.implausible_effect:
        text += ": its unit or meaning seems to have changed"
    return text
