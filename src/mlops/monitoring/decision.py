"""From what was found to one verdict, with its reasons in words."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from mlops.columns import Schema
from mlops.metrics import Predictions
from mlops.monitoring.drift import Change, changes
from mlops.monitoring.log import ACTUAL, AT, PREDICTED, Window, refused
from mlops.monitoring.performance import Performance, overall, performance, too_much_worse
from mlops.params import Params
from mlops.review.markup import number
from mlops.serving.tables import ANY

Verdict = Literal["ok", "watch", "act"]
Cause = Literal["data", "model", "notice"]

COMMON = 0.05
"""Share of the predictions from which on a slice without feedback is named."""


@dataclass(frozen=True)
class Reason:
    """Why a verdict is what it is.

    Attributes:
        cause: "data" are wrong, and a retrained model would learn what is wrong with them;
            "model" may be mended by retraining; a "notice" asks for nothing yet.
    """

    verdict: Verdict
    cause: Cause
    text: str


@dataclass(frozen=True)
class Decision:
    """All that a report shows.

    Attributes:
        retrain: whether the verdict asks for a retraining.
        notes: what could not be judged, or is odd, in words.
    """

    verdict: Verdict
    retrain: bool
    reasons: list[Reason]
    notes: list[str]
    model_version: str
    rows: int
    total: int
    labelled: int
    since: float | None
    changes: list[Change] = field(default_factory=list)
    performance: list[Performance] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=dict)


def decide(
    window: Window, version: str, reference: dict[str, Any], schema: Schema, params: Params
) -> Decision:
    """Judge a window against the reference of the served model `version`."""
    monitor = params.monitor
    notes = list(window.oddities)
    found: list[Change] = []
    kept: list[Performance] = []
    if len(window.rows) >= monitor.min_rows:
        found = changes(window.rows, _said(window.rows), reference, schema, monitor)
    else:
        notes.append(
            f"Drift was not judged: {len(window.rows)} prediction(s) in the last "
            f"{monitor.max_age_days:g} days, wanted monitor.min_rows = {monitor.min_rows}"
        )
    if len(window.labelled) >= monitor.min_rows:
        predictions = _predictions(window.labelled, schema, params)
        kept = performance(window.labelled, predictions, reference, schema, params)
        notes += _one_sided(window, schema, params)
    else:
        notes.append(
            f"Accuracy was not judged: {len(window.labelled)} prediction(s) of model {version} "
            f"have feedback, wanted monitor.min_rows = {monitor.min_rows}"
        )
    reasons = [
        *_refusals(window, params),
        *_of_performance(kept, params),
        *_of_drift(found, _holds(kept, params), schema, params),
    ]
    if not found and not kept and not reasons:
        reasons.append(Reason("watch", "notice", "nothing could be judged"))
    verdicts = {reason.verdict for reason in reasons}
    verdict: Verdict = "act" if "act" in verdicts else "watch" if "watch" in verdicts else "ok"
    causes = {reason.cause for reason in reasons if reason.verdict == "act"}
    return Decision(
        verdict,
        retrain=causes == {"model"},
        reasons=reasons,
        notes=notes,
        model_version=version,
        rows=len(window.rows),
        total=window.total,
        labelled=len(window.labelled),
        since=float(window.rows[AT].min()) if len(window.rows) else None,
        changes=found,
        performance=kept,
        refusals=window.refusals,
    )


def _said(rows: pd.DataFrame) -> pd.Series:
    """Give predictions as one column: numbers, or the likeliest choices."""
    if isinstance(rows[PREDICTED].iloc[0], dict):
        return rows[PREDICTED].map(lambda shares: max(shares, key=shares.__getitem__))
    return rows[PREDICTED].astype("float64")


def _predictions(labelled: pd.DataFrame, schema: Schema, params: Params) -> Predictions:
    choices = list(schema.target.choices)
    if not choices:
        actual, predicted = (labelled[name].to_numpy(np.float64) for name in (ACTUAL, PREDICTED))
        return Predictions(params.task, actual, predicted)
    places = np.array([choices.index(actual) for actual in labelled[ACTUAL]], dtype=np.float64)
    shares = [[row[choice] for choice in choices] for row in labelled[PREDICTED]]
    return Predictions(params.task, places, np.asarray(shares, dtype=np.float64))


def _refusals(window: Window, params: Params) -> list[Reason]:
    count, limit = refused(window), params.monitor.max_share
    if not (n := count + window.requests):
        return []
    if stats.binomtest(count, n, limit, "greater").pvalue >= params.monitor.alpha:
        return []
    reasons = sorted(window.refusals.items(), key=lambda item: (-item[1], item[0]))
    named = "; ".join(f"{name} ({k:,})" for name, k in reasons if name != ANY)
    text = f"{count / n:.0%} of {n:,} requests were refused, allowed are {limit:.0%}: {named}"
    return [Reason("act", "data", text)]


def _holds(kept: list[Performance], params: Params) -> bool:
    """Tell whether accuracy is known, and no worse than allowed."""
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


def _of_drift(found: list[Change], harmless: bool, schema: Schema, params: Params) -> list[Reason]:
    reasons = []
    for change in sorted((c for c in found if c.drifted), key=lambda one: one.q_value):
        text = f"{change.column}: {_in_words(change, params)}"
        if _is_mistake(change, schema, params):
            reasons.append(Reason("act", "data", text))
        elif harmless:
            reasons.append(Reason("watch", "notice", f"{text}; accuracy holds"))
        else:
            reasons.append(Reason("act", "model", text))
    return reasons


def _is_mistake(change: Change, schema: Schema, params: Params) -> bool:
    """Tell faults of the data from a world that changed, where new choices do come up."""
    if change.what == "outside":
        return not schema[change.column].is_categorical
    return change.what == "missing" or change.effect > params.monitor.implausible_effect


def _in_words(change: Change, params: Params) -> str:
    if change.what == "missing":
        return f"missing in {change.effect:.0%} more of the rows than in the reference"
    if change.what == "outside":
        return f"{change.effect:.0%} of the values lie outside of what training saw"
    text = f"distributed otherwise than in the reference (distance {change.effect:.2f})"
    if change.effect > params.monitor.implausible_effect:
        text += ": a unit or a meaning seems to have changed"
    return text


def _one_sided(window: Window, schema: Schema, params: Params) -> list[str]:
    """Name common slices that no feedback came for: accuracy says nothing of them."""
    notes = []
    for name in params.evaluate.slices:
        if not schema[name].is_categorical or not len(window.rows):
            continue
        shares = window.rows[name].value_counts(normalize=True)
        common = shares.index[shares >= COMMON]
        silent = [str(choice) for choice in common if not (window.labelled[name] == choice).any()]
        if silent:
            notes.append(f"No feedback came for {name} {', '.join(silent)}: accuracy is unknown")
    return notes
