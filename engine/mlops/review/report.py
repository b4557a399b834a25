"""The review as Markdown: verdict first, table second, details folded."""

from dataclasses import dataclass, field
from typing import Any

from mlops.review.feedback_share import FeedbackShare, feedback_section
from mlops.review.gate import Check, Outcome
from mlops.review.github_markdown import cell, fenced, number, table
from mlops.review.model_comparison import Comparison
from mlops.review.sections import (
    WORDS,
    Served,
    chart_section,
    data_section,
    params_section,
    served_section,
    slices_section,
    stages_section,
)
from mlops.review.unpinned import unpinned_section
from mlops.undefined import UNDEFINED

_HEADS: dict[Outcome, str] = {
    "pass": "✅ Pass: within every limit of the gate",
    "warn": "⚠️ Warn: look closely before merging",
    "block": "❌ Block: this must not be merged as it is",
}
_MARKS: dict[Outcome, str] = {"pass": "✅", "warn": "⚠️", "block": "❌"}

_LOCK_BEHIND = """\
**dvc.lock must follow before this is merged:** it holds the hashes of what the pipeline made, and
this review made others. On a branch of this repository a workflow commits it; from a fork, or by
hand: `make run && git commit -m "Bring dvc.lock up to date" dvc.lock && git push`. If your kind of
processor fits the model otherwise, commit the `dvc.lock` that this run keeps as artifact *lock*."""

_LACKING = """\
**The storage lacks what dvc.lock names:** {}. It was made anew. Who has it brings it there by
`dvc push`; else the release does."""

_ADVICE: dict[Outcome, str] = {
    "pass": "Merge it, if this is what the change was meant to do.",
    "warn": "Read the lines marked ⚠️: decide whether the gain is worth what they say.",
    "block": "Mend what the lines marked ❌ name and push again: this comment follows.",
}


@dataclass(frozen=True)
class Review:
    """Everything that a report shows.

    Attributes:
        failure: what the candidate's pipeline said when it failed; nothing else is known then.
        not_comparable: why there is no comparison with the base, in words.
        data: as `differences.rows_diff` gives it.
        detectable: metric -> smallest regression that the gate would have blocked.
        served: what serves the base's model, and the candidate's.
        own_metrics: what the project's own metrics are, in words.
        unpinned: as `unpinned.unpinned` gives it.
        lacking: outputs that dvc.lock names and the storage of data and models has not.
        lock_behind: the commit's dvc.lock names other hashes than this review made.
    """

    base: str
    head: str
    outcome: Outcome
    checks: list[Check]
    comparisons: list[Comparison] = field(default_factory=list)
    confidence: float = 0.95
    test: str = ""
    failure: str = ""
    not_comparable: str = ""
    slices: list[dict[str, Any]] = field(default_factory=list)
    slice_metric: str = ""
    params: list[tuple[str, Any, Any]] = field(default_factory=list)
    stages: dict[str, bool] = field(default_factory=dict)
    data: dict[str, Any] | None = None
    detectable: dict[str, float | None] = field(default_factory=dict)
    lock_behind: bool = False
    lacking: list[str] = field(default_factory=list)
    unpinned: dict[str, str] = field(default_factory=dict)
    served: list[Served] = field(default_factory=list)
    feedback: FeedbackShare | None = None
    own_metrics: dict[str, str] = field(default_factory=dict)


def markdown(review: Review) -> str:
    """Write the whole report."""
    parts = [f"## {_HEADS[review.outcome]}"]
    if review.failure:
        parts.append("The pipeline of this change fails:")
        parts.append(fenced(review.failure))
    if review.not_comparable:
        parts.append(f"**No comparison with the base:** {cell(review.not_comparable)}.")
    if review.comparisons:
        parts.append(_metric_table(review))
    parts.append("\n".join(f"- {_MARKS[c.outcome]} {cell(c.why)}" for c in review.checks))
    parts.append(feedback_section(review.feedback))
    parts.append(f"**What to do:** {_ADVICE[review.outcome]}")
    parts.append(_LOCK_BEHIND if review.lock_behind else "")
    parts.append(unpinned_section(review.unpinned))
    parts.append(_LACKING.format(", ".join(map(cell, review.lacking))) if review.lacking else "")
    if review.comparisons:
        parts += [_detectable(review), params_section(review.params)]
        slices = review.slices if any(review.stages.values()) else []
        parts += [chart_section(slices, review.slice_metric), data_section(review.data)]
        parts.append(slices_section(slices, review.slice_metric))
        parts.append(served_section(review.served) if slices else "")
        parts += [stages_section(review.stages), WORDS if slices else ""]
    parts.append(f"Base `{review.base[:10] or 'none'}`, head `{review.head[:10]}`.")
    return "\n\n".join(part for part in parts if part) + "\n"


def no_verdict(why: str) -> str:
    """Write the report of a review that could not judge."""
    return f"## ❌ The review could not judge\n\n{fenced(why)}\n"


def _metric_table(review: Review) -> str:
    rows = []
    for c in review.comparisons:
        share = "" if c.regression is None or not c.regression else f" ({_direction(c.regression)})"
        change = "none" if c.delta == 0 else f"{number(c.delta, 3)}{share}"
        known = c.ci_low is not None and c.ci_high is not None
        between = f"{number(c.ci_low, 3)} … {number(c.ci_high, 3)}" if known else UNDEFINED
        rows.append((cell(c.metric), number(c.base), number(c.candidate), change, between))
    interval = f"{review.confidence:.0%} interval of the change"
    metrics = table(("metric", "base", "candidate", "change", interval), "lrrrr", rows)
    in_short = _in_short(review.comparisons[0])
    same = f"**{in_short}** Both models are scored on the same {review.test}."
    same += "".join(f" {cell(k)}: {cell(text)}." for k, text in review.own_metrics.items())
    return "\n\n".join([metrics, *_undefined(review.comparisons), same])


def _undefined(comparisons: list[Comparison]) -> list[str]:
    """Say why metrics are undefined, and of which model alone."""
    lines = []
    for c in comparisons:
        if c.reason or c.base_reason:
            both = "" if c.reason == c.base_reason else " of the candidate" * bool(c.reason)
            whose = both or " of the base" * (not c.reason)
            lines.append(f"{cell(c.metric)}{whose} is undefined: {cell(c.reason or c.base_reason)}")
    return [". ".join(lines) + "."] if lines else []


def _in_short(c: Comparison) -> str:
    """Say of the leading metric whether it got better, and how sure that is."""
    if not c.regression:
        return (
            f"{cell(c.metric)} {'can not be compared' if c.regression is None else 'is unchanged'}."
        )
    sure = c.ci_low is not None and c.ci_high is not None and c.ci_low * c.ci_high > 0
    chance = "hardly by chance" if sure else "which may be chance"
    return f"{cell(c.metric)} is {_direction(c.regression)}, {chance}."


def _direction(regression: float) -> str:
    return f"{abs(regression):.1%} {'worse' if regression > 0 else 'better'}"


def _detectable(review: Review) -> str:
    known = [f"{cell(m)} {v:.1%}" for m, v in review.detectable.items() if v is not None]
    if not known or not any(review.stages.values()):
        return ""
    return (
        "Between models that differ as much as these, on so many test rows, the smallest "
        "regression that would be blocked 9 times in 10: "
        + ", ".join(known)
        + ". About a smaller one this review can't tell."
    )
