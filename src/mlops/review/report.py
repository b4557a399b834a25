"""The review as Markdown: verdict first, table second, details folded."""

import html
import re
from dataclasses import dataclass, field
from typing import Any

from mlops.review.champion import Comparison
from mlops.review.gate import Check, Outcome

_HEADS: dict[Outcome, str] = {
    "pass": "✅ Pass: nothing speaks against merging",
    "warn": "⚠️ Warn: look closely before merging",
    "block": "❌ Block: this must not be merged as it is",
}
_MARKS: dict[Outcome, str] = {"pass": "✅", "warn": "⚠️", "block": "❌"}

_LOCK_BEHIND = """\
**dvc.lock must follow before this is merged:** it holds the hashes of what the pipeline made, and
was made from other inputs. On a branch of this repository a workflow commits it; from a fork, or by
hand: `make run && git commit -m "Bring dvc.lock up to date" dvc.lock && git push`"""

LISTED_SLICES = 40


@dataclass(frozen=True)
class Review:
    """Everything that a report shows.

    Attributes:
        failure: what the candidate's pipeline said when it failed; nothing else is known then.
        not_comparable: why there is no comparison with the base, in words.
        data: as `differences.rows_diff` gives it.
        detectable: metric -> smallest regression that the gate would have blocked.
        lock_behind: the commit's dvc.lock was made from other inputs than the commit holds.
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


def cell(value: Any) -> str:
    """Make any text safe in a table: no markup, no mention, no line break."""
    text = html.escape(re.sub(r"\s+", " ", str(value)), quote=False)
    text = re.sub(r"([\\`*_{}\[\]()#!|~$])", r"\\\1", text)
    return text.replace("@", "&#64;")


def number(value: float | None, digits: int = 5) -> str:
    """Write a metric with so many significant digits, and never as a power of ten."""
    return "missing" if value is None else f"{float(f'{value:.{digits}g}'):,.12g}"


def markdown(review: Review) -> str:
    """Write the whole report."""
    parts = [f"## {_HEADS[review.outcome]}"]
    if review.failure:
        parts.append("The pipeline of this change fails:")
        parts.append(_fenced(review.failure))
    if review.not_comparable:
        parts.append(f"**No comparison with the base:** {cell(review.not_comparable)}.")
    if review.comparisons:
        parts.append(_metric_table(review))
    parts.append("\n".join(f"- {_MARKS[c.outcome]} {cell(c.why)}" for c in review.checks))
    parts.append(_detectable(review))
    parts += [_params(review), _data(review), _slices(review), _stages(review)]
    parts.append(_LOCK_BEHIND if review.lock_behind else "")
    parts.append(f"Base `{review.base[:10] or 'none'}`, head `{review.head[:10]}`.")
    return "\n\n".join(part for part in parts if part) + "\n"


def no_verdict(why: str) -> str:
    """Write the report of a review that could not judge."""
    return f"## ❌ The review could not judge\n\n{_fenced(why)}\n"


def _fenced(text: str) -> str:
    """Show text as it is; no run of backticks in it can end the block."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text.strip()}\n{fence}"


def _metric_table(review: Review) -> str:
    lines = [
        f"| metric | base | candidate | change | {review.confidence:.0%} interval of the change |",
        "|---|---:|---:|---:|---:|",
    ]
    for c in review.comparisons:
        share = "" if c.regression is None or not c.regression else f" ({_direction(c.regression)})"
        change = "none" if c.delta == 0 else f"{number(c.delta, 3)}{share}"
        between = f"{number(c.ci_low, 3)} … {number(c.ci_high, 3)}"
        row = (cell(c.metric), number(c.base), number(c.candidate), change, between)
        lines.append(f"| {' | '.join(row)} |")
    lines.append(f"\nBoth models are scored on the same {review.test}.")
    return "\n".join(lines)


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


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _params(review: Review) -> str:
    if not review.params:
        return "" if review.not_comparable or review.failure else "No parameter differs."
    lines = ["| parameter | base | candidate |", "|---|---|---|"]
    lines += [f"| {cell(p)} | {cell(old)} | {cell(new)} |" for p, old, new in review.params]
    return "\n".join(lines)


def _data(review: Review) -> str:
    data = review.data
    if data is None:
        return ""
    if not any(data[what] for what in ("added", "removed", "changed")):
        return f"No row of the data differs ({data['rows'][1]:,} rows)."
    counts = (f"{data[what]:,} {what}" for what in ("added", "removed", "changed"))
    title = f"Data: rows {', '.join(counts)}"
    lines = [f"{data['rows'][0]:,} rows before, {data['rows'][1]:,} now.", ""]
    if data["changed_columns"]:
        changed = ", ".join(f"{cell(k)} {n:,}" for k, n in data["changed_columns"].items())
        lines += [f"Changed values by column: {changed}.", ""]
    lines += ["| column | base | missing | candidate | missing |", "|---|---|---:|---|---:|"]
    for column in data["columns"]:
        fields = [cell(column["column"])]
        for side in (column["base"], column["candidate"]):
            missing = side["missing"]
            fields += [cell(side["text"]), "" if missing is None else f"{missing:.1%}"]
        lines.append(f"| {' | '.join(fields)} |")
    return _folded(title, "\n".join(lines))


def _slices(review: Review) -> str:
    if not review.slices or not any(review.stages.values()):
        return ""
    metric = review.slice_metric
    lines = [f"| slice | rows | base {cell(metric)} | candidate |", "|---|---:|---:|---:|"]
    largest = sorted(review.slices, key=lambda part: -part["rows"])[:LISTED_SLICES]
    lines += [
        f"| {cell(part['column'])}: {cell(part['slice'])} | {part['rows']:,} "
        f"| {number(part['base'][metric])} | {number(part['candidate'][metric])} |"
        for part in review.slices
        if part in largest
    ]
    if len(review.slices) > LISTED_SLICES:
        lines.append(f"\n… and {len(review.slices) - LISTED_SLICES} smaller slices")
    return _folded(f"{cell(metric)} by slice", "\n".join(lines))


def _stages(review: Review) -> str:
    if not review.stages:
        return ""
    differing = [cell(name) for name, differs in review.stages.items() if differs]
    same = [cell(name) for name, differs in review.stages.items() if not differs]
    if not differing:
        return "Every stage of the pipeline is as in the base: nothing had to run."
    return (
        f"Stages that differ from the base: {', '.join(differing)}; "
        f"as in the base: {', '.join(same) or 'none'}."
    )
