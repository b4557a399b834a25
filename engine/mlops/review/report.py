"""The review as Markdown: verdict, its reason, metrics, causes, what to do; all else folded.

Three lines stay outside of the folds: predictions, data and parameters that changed.
"""

from dataclasses import dataclass, field
from typing import Any

from mlops.records import SliceComparison
from mlops.review.causes import causes_section
from mlops.review.data_section import data_line, data_section
from mlops.review.explanation import Explanation, details_of
from mlops.review.feedback_share import FeedbackShare, feedback_section
from mlops.review.gate import LONGEST_WHY, Check, Outcome
from mlops.review.github_markdown import cell, fenced, folded
from mlops.review.metric_section import detectable, headline, metric_table
from mlops.review.model_comparison import Comparison
from mlops.review.moved_section import moved_line, moved_section
from mlops.review.prepared_share import PreparedShare, prepared_section
from mlops.review.sections import (
    WORDS,
    notes_section,
    params_line,
    params_section,
    slices_section,
    stages_section,
)
from mlops.review.unpinned import unpinned_section

_HEADS: dict[Outcome, str] = {
    "pass": "✅ Pass: may be merged",
    "warn": "⚠️ Warn: look closely before merging",
    "block": "❌ Block: must not be merged",
}
_LISTED = 20  # checks

_MARKS: dict[Outcome, str] = {"pass": "✅", "warn": "⚠️", "block": "❌"}

_LOCK_BEHIND = """\
**dvc.lock must be updated before merging:** it has the hashes of the pipeline's outputs, and this
review produced other outputs. On a branch of this repository a workflow commits it; from a fork,
or by hand: `make run && git commit -m "Bring dvc.lock up to date" dvc.lock && git push`. If your
kind of processor fits another model, commit the `dvc.lock` of this run's artifact *lock*."""

_LACKING = """\
**The storage lacks outputs that dvc.lock names:** {}. They were rebuilt. If you have them, upload
them with `dvc push`; otherwise the release does."""

_ADVICE: dict[Outcome, str] = {
    "pass": "Merge if this is what the change was meant to do.",
    "warn": "Read the checks marked ⚠️ and decide whether the gain is worth them.",
    "block": "Fix the checks marked ❌ and push; this comment will update.",
}


@dataclass(frozen=True)
class Review:
    """Contents of a report.

    Attributes:
        failure: the candidate's pipeline's error message if it failed; nothing else is known then.
        not_comparable: why there is no comparison with the base, in words.
        moved: result of `moved_rows.moved_rows`.
        data: result of `data_changes.data_changes`.
        key, target: the names of these columns.
        detectable: metric -> smallest regression that the gate would have blocked.
        own_metrics: name -> description of the project's own metrics.
        explanation: why and where the models differ, their cost, and a replay of requests.
        notes: ingestion's notes on the rows.
        unpinned: result of `unpinned.unpinned`.
        lacking: outputs that dvc.lock names and the remote lacks.
        lock_behind: the commit's dvc.lock has other hashes than this review's outputs.
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
    slices: list[SliceComparison] = field(default_factory=list)
    slice_metric: str = ""
    params: list[tuple[str, Any, Any]] = field(default_factory=list)
    stages: dict[str, bool] = field(default_factory=dict)
    moved: dict[str, Any] | None = None
    data: dict[str, Any] | None = None
    key: str = ""
    target: str = ""
    detectable: dict[str, float | None] = field(default_factory=dict)
    lock_behind: bool = False
    lacking: list[str] = field(default_factory=list)
    unpinned: dict[str, str] = field(default_factory=dict)
    explanation: Explanation = field(default_factory=Explanation)
    feedback: FeedbackShare | None = None
    own_metrics: dict[str, str] = field(default_factory=dict)
    prepared: PreparedShare | None = None
    notes: list[str] = field(default_factory=list)


def markdown(review: Review) -> str:
    """Write the whole report."""
    parts = [f"## {_HEADS[review.outcome]}", *_failures(review)]
    if review.comparisons:
        parts.append(headline(review.comparisons, review.checks))
        parts.append(
            metric_table(review.comparisons, review.confidence, review.test, review.own_metrics)
        )
    parts.append(_checks(review, ("block", "warn")))
    parts.append(causes_section(review.explanation.causes))
    parts.append(f"**What to do:** {_ADVICE[review.outcome]}")
    parts.append(_LOCK_BEHIND if review.lock_behind else "")
    parts.append(unpinned_section(review.unpinned))
    parts.append(_LACKING.format(", ".join(map(cell, review.lacking))) if review.lacking else "")
    parts += [moved_line(review.moved, review.key), data_line(review.data)]
    parts.append(params_line(review.params) if review.stages else "")
    parts += _details(review)
    parts.append(f"Base `{review.base[:10] or 'none'}`, head `{review.head[:10]}`.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _failures(review: Review) -> list[str]:
    """Explain why there is no comparison, if there is none."""
    parts = []
    if review.failure:
        parts += ["The pipeline of this change fails:", fenced(review.failure)]
    if review.not_comparable:
        parts.append(f"**No comparison with the base:** {cell(review.not_comparable)}.")
    return parts


def _checks(review: Review, outcomes: tuple[Outcome, ...]) -> str:
    checks = [check for outcome in outcomes for check in review.checks if check.outcome == outcome]
    lines = [
        f"- {_MARKS[check.outcome]} {cell(check.why[:LONGEST_WHY])}" for check in checks[:_LISTED]
    ]
    if (more := len(checks) - len(lines)) > 0:
        lines.append(f"- … and {more} more, all of them in verdict.json")
    return "\n".join(lines)


def _details(review: Review) -> list[str]:
    """Write the folded sections."""
    passed = _checks(review, ("pass",))
    n_passed = sum(check.outcome == "pass" for check in review.checks)
    slices = review.slices if any(review.stages.values()) else []
    folds = [
        folded(f"{n_passed} of {len(review.checks)} checks pass", passed) if passed else "",
        moved_section(review.moved, review.key, review.target),
        data_section(review.data),
        params_section(review.params),
        feedback_section(review.feedback),
        prepared_section(review.prepared),
        notes_section(review.notes),
    ]
    if not review.comparisons:
        return folds
    return [
        *folds,
        slices_section(slices, review.slice_metric),
        detectable(review.detectable) if any(review.stages.values()) else "",
        *details_of(review.explanation),
        stages_section(review.stages),
        WORDS if slices else "",
    ]


def no_verdict(why: str) -> str:
    """Write the report of a review that could not judge."""
    return f"## ❌ The review could not judge\n\n{fenced(why)}\n"
