"""The decision as JSON and as Markdown: verdict first, reasons second, details folded."""

import datetime
from dataclasses import asdict
from typing import Any

from mlops.monitoring.decision import Decision
from mlops.monitoring.performance import Performance, overall, too_much_worse
from mlops.monitoring.reasons import Reason, Verdict
from mlops.params import Params
from mlops.prediction_log.tables import ANY
from mlops.review.github_markdown import cell, folded, number, table

_HEADS: dict[Verdict, str] = {
    "ok": "✅ Ok: production is as it was at the review",
    "watch": "👀 Watch: something changed; no action needed yet",
    "act": "🚨 Act: action needed",
}
LISTED = 40


def as_json(decision: Decision, params: Params) -> dict[str, Any]:
    """Return the whole decision as JSON-serializable values."""
    return {
        "verdict": decision.verdict,
        "retrain": decision.retrain,
        "accuracy_fell": any(
            too_much_worse(kept, params.monitor) for kept in overall(decision.performance)
        ),
        "reasons": [asdict(reason) for reason in decision.reasons],
        "notes": decision.notes,
        "model_version": decision.model_version,
        "predictions": decision.total,
        "predictions_read": decision.rows,
        "labelled": decision.labelled,
        "since": _time(decision.since),
        "refusals": decision.refusals,
        "drift": [asdict(change) for change in decision.changes],
        "performance": [asdict(kept) for kept in decision.performance],
        "parameters": params.monitor.model_dump(),
    }


def markdown(decision: Decision, params: Params) -> str:
    """Return the whole report as Markdown."""
    parts = [f"## {_HEADS[decision.verdict]}"]
    parts.append(
        "\n".join(f"- {_mark(reason.verdict)} {cell(reason.text)}" for reason in _listed(decision))
    )
    parts.append(_what_to_do(decision))
    parts.append(_looked_at(decision))
    parts.append("\n".join(f"- {cell(note)}" for note in decision.notes))
    parts += [_performance(decision, params), _drift(decision, params), _refusals(decision)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _listed(decision: Decision) -> list[Reason]:
    return sorted(decision.reasons, key=lambda reason: reason.verdict != "act")[:LISTED]


def _mark(verdict: Verdict) -> str:
    return _HEADS[verdict].split(" ")[0]


def _what_to_do(decision: Decision) -> str:
    if decision.retrain:
        return "**To do:** retrain on newer data; the monitor starts it, and a review decides."
    if "data" in decision.causes:
        return (
            "**To do:** fix the data at their source. No retraining is started: a model "
            "would learn from the wrong values."
        )
    return ""


def _looked_at(decision: Decision) -> str:
    since = f" since {_time(decision.since)}" if decision.since else ""
    share = "" if decision.rows == decision.total else f", {decision.rows:,} of them sampled"
    return (
        f"Looked at {decision.total:,} predictions{since}{share}, and at {decision.labelled:,} "
        f"with feedback. Model `{decision.model_version}`."
    )


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def _performance(decision: Decision, params: Params) -> str:
    if not decision.performance:
        return ""
    whole = overall(decision.performance)
    parts = [p for p in decision.performance if p not in whole]
    slices = f"\n\n{folded('By slice', _metrics(parts, params))}" if parts else ""
    return _metrics(whole, params) + slices


def _metrics(found: list[Performance], params: Params) -> str:
    rows = []
    for p in found:
        cells = [cell(p.metric if p.part == "all" else f"{p.metric}, {p.part}"), f"{p.rows:,}"]
        between = f"{number(p.low, 4)} … {number(p.high, 4)}"
        cells += [number(p.value, 4), cell(p.unknown) if p.value is None else between]
        if p.worse is not None:
            allowed = params.monitor.max_worse[p.metric]
            cells += [number(p.reference, 4), f"{p.worse:.0%}", f"{allowed:.0%}"]
        rows.append(cells)
    interval = f"{params.evaluate.confidence:.0%} interval"
    head = ("metric", "rows", "now", interval, "at the review", "worse by", "allowed")
    return table(head, "lrrrrrr", rows)


def _drift(decision: Decision, params: Params) -> str:
    if not decision.changes:
        return ""
    rows = [
        (cell(c.column), c.what, f"{c.effect:.3f}", f"{c.q_value:.2g}", "yes" if c.drifted else "")
        for c in sorted(decision.changes, key=lambda one: (one.q_value, one.column))
    ]
    tests = table(("column", "what", "change", "q", "drifted"), "llrrl", rows)
    monitor = params.monitor
    rule = (
        f"A change counts if q < {monitor.alpha:g}, and a distribution's distance is above "
        f"{monitor.min_effect:g} or a share of rows above {monitor.max_share:.0%}."
    )
    drifted = sum(change.drifted for change in decision.changes)
    return folded(f"Drift: {drifted} of {len(decision.changes)} tests", f"{tests}\n\n{rule}")


def _refusals(decision: Decision) -> str:
    named = sorted((k, n) for k, n in decision.refusals.items() if k != ANY)
    if not named:
        return ""
    rows = [(cell(reason), f"{n:,}") for reason, n in named]
    return folded("Refused requests", table(("refused for", "requests"), "lr", rows))
