"""The gate: the comparison checked against params.yaml's `gate:` section."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mlops.metric_registry import Metrics
from mlops.params import Params
from mlops.records import SliceRecord
from mlops.review.github_markdown import number
from mlops.review.model_comparison import Comparison
from mlops.undefined import UNDEFINED, reason_of

Outcome = Literal["pass", "warn", "block"]

POWER = 0.9

LONGEST_WHY = 500
"""Characters of a check's reason that the comment shows; verdict.json has all."""

_NAMED = 5
"""Files that a check names; it counts them all."""

_NONE: Mapping[str, str] = {}


@dataclass(frozen=True)
class Check:
    """One condition of the gate; `why` is the sentence that a reviewer reads."""

    name: str
    value: float | None
    limit: float | None
    outcome: Outcome
    why: str

    def as_json(self) -> dict[str, Any]:
        """Return the check as in verdict.json."""
        return {
            "name": self.name,
            "outcome": self.outcome,
            "value": self.value,
            "limit": self.limit,
            "passed": self.outcome != "block",
            "why": self.why,
        }


def verdict(checks: list[Check]) -> Outcome:
    """Return the worst outcome of all checks."""
    outcomes = {check.outcome for check in checks}
    return "block" if "block" in outcomes else "warn" if "warn" in outcomes else "pass"


def check_floors(
    candidate: dict[str, Any],
    params: Params,
    metrics: Metrics,
    reasons: Mapping[str, str] = _NONE,
) -> list[Check]:
    """Check the candidate's metrics against the gate's floors.

    Args:
        reasons: metric -> why it is undefined, for undefined metrics.
    """
    checks = []
    for metric, limit in params.gate.floors.items():
        value, name = candidate.get(metric), f"floor of {metric}"
        if not isinstance(value, int | float) or not math.isfinite(value):
            why = "is missing or not a finite number"
            why = f"is undefined: {reasons[metric]}" if metric in reasons else why
            checks.append(Check(name, None, limit, "block", f"{metric} {why}"))
            continue
        higher = metrics.higher_is_better[metric]
        reached = value >= limit if higher else value <= limit
        side = "at least" if higher else "at most"
        why = f"{metric} is {value:.4g}, wanted {side} {limit:g}"
        checks.append(Check(name, value, limit, "pass" if reached else "block", why))
    return checks


def check_slices(slices: list[SliceRecord], params: Params, metrics: Metrics) -> list[Check]:
    """Check each slice with enough rows against its floors: block if significantly beyond one.

    Args:
        slices: column, slice, rows, and value and interval of each metric, from stage evaluate.
    """
    known = [part for part in slices if part["rows"] >= params.gate.slices.min_rows]
    return [
        check
        for metric, limit in params.gate.slices.floors.items()
        for check in _check_slices(metric, limit, known, metrics.higher_is_better[metric])
    ]


def _check_slices(
    metric: str, limit: float, slices: list[SliceRecord], higher: bool
) -> Iterator[Check]:
    sign, side = (1, "at least") if higher else (-1, "at most")
    n_short = 0
    for part in slices:
        found = part["metrics"][metric]
        value, best = found["value"], found["high" if higher else "low"]
        if value is not None and sign * value >= sign * limit:
            continue
        n_short += 1
        sure = value is None or best is None or sign * best < sign * limit
        name = f"{part['column']}: {part['slice']}"
        text = UNDEFINED if value is None else f"{value:.4g}"
        why = f"{metric} is {text} on the {part['rows']:,} rows of {name}, wanted {side} {limit:g}"
        why += f": {reason_of(found)}" if value is None else ""
        yield Check(
            f"floor of {metric} in {name}", value, limit, "block" if sure else "warn",
            why if sure else f"{why}; not statistically significant",
        )  # fmt: skip
    if slices and not n_short:
        why = f"{metric} is {side} {limit:g} in each of {len(slices)} parts of the rows"
        yield Check(f"floor of {metric} in slices", None, limit, "pass", why)


def check_regressions(comparisons: list[Comparison], params: Params) -> list[Check]:
    """Block a significant regression above its limit; warn if it is only one of the two."""
    found = {comparison.metric: comparison for comparison in comparisons}
    limits = params.gate.max_regression
    checks = [_check_regression(found[metric], limit, params) for metric, limit in limits.items()]
    leading = comparisons[0]  # the report's headline is about it
    if leading.metric not in limits and is_significantly_worse(leading, params.evaluate.confidence):
        why = f"{leading.metric} is {_change(leading.regression or 0)}, statistically significant"
        name = f"regression of {leading.metric}"
        checks.append(Check(name, leading.regression, None, "warn", why))
    return checks


def is_significantly_worse(comparison: Comparison, confidence: float) -> bool:
    """Return whether the metric got worse by more than its interval's margin."""
    worse, spread = comparison.regression, comparison.spread
    return bool(worse and spread and worse > spread.margin(confidence))


def check_gate_is_kept(changed: Iterable[str]) -> list[Check]:
    """Warn of a change that edits the gate's limits; `changed` are parameters."""
    moved = [path for path in changed if path.startswith("gate.")]
    why = f"this change edits the gate's own limits: {', '.join(moved)}"
    return [Check("limits of the gate", len(moved), 0, "warn", why)] if moved else []


def check_definitions(redefined: Collection[str]) -> list[Check]:
    """Warn of metrics that this change redefines: their limits then mean something else."""
    names = ", ".join(redefined)
    why = f"this change redefines {names}: both models are scored by the new definition"
    return [Check("definitions of metrics", len(redefined), 0, "warn", why)] if redefined else []


def check_storage_is_kept(changed: Collection[str]) -> list[Check]:
    """Warn of a change of DVC's own settings; `changed` are files of its folder.

    They set where data and models are stored, and can name commands that access the storage.
    """
    why = f"this change edits where and how data and models are stored: {', '.join(changed)}"
    return [Check("settings of the storage", len(changed), 0, "warn", why)] if changed else []


def check_engine_is_kept(changed: Collection[str]) -> list[Check]:
    """Warn of edits of the engine or workflows that are not the template's; `changed` are files."""
    named = ", ".join(sorted(changed)[:_NAMED]) + (", …" if len(changed) > _NAMED else "")
    why = f"this change edits the engine or the workflows: {named}"
    return [Check("engine and workflows", len(changed), 0, "warn", why)] if changed else []


def _check_regression(comparison: Comparison, limit: float, params: Params) -> Check:
    metric, worse, spread = comparison.metric, comparison.regression, comparison.spread
    name = f"regression of {metric}"
    if worse is None:
        return Check(name, None, limit, "block", _no_share(comparison))
    text = f"{metric} is {_change(worse)}, allowed are {limit:.0%} worse"
    if spread is None and worse > limit:
        why = f"{text}; these test rows don't tell whether that is chance"
        return Check(name, None, limit, "block", why)
    sure = f"statistically significant at {100 * params.gate.confidence:g}%"
    if spread and worse > limit:
        if worse > spread.surprise(params.gate.confidence):
            return Check(name, worse, limit, "block", f"{text}; {sure}")
        return Check(name, worse, limit, "warn", f"{text}; not {sure}")
    if is_significantly_worse(comparison, params.evaluate.confidence):
        why = f"{text}; within the limit, but statistically significant"
        why += f" at {100 * params.evaluate.confidence:g}%"
        return Check(name, worse, limit, "warn", why)
    possible = worse + spread.margin(params.evaluate.confidence) if spread else worse
    if possible > limit:
        text += f"; these test rows can't rule out {possible:.1%} worse"
    return Check(name, worse, limit, "pass", text)


def _no_share(c: Comparison) -> str:
    """Explain why the regression is not defined as a share of the base's value."""
    if c.reason and c.base_reason:
        said = f"is undefined: {c.reason}"
        said += "" if c.reason == c.base_reason else f"; for the base, {c.base_reason}"
    elif c.reason:
        said = f"is undefined: {c.reason}; the base's is {number(c.base)}"
    elif c.base_reason:
        said = f"is {number(c.candidate)}, and undefined for the base: {c.base_reason}"
    elif c.base == 0 and c.candidate is not None:
        said = f"is {number(c.candidate)} and was 0 for the base, so the change has no percentage"
    else:
        said = "is missing or not a finite number"
    return f"{c.metric} {said}"


def _change(worse: float) -> str:
    if not worse:
        return "unchanged"
    return f"{abs(worse):.1%} {'worse' if worse > 0 else 'better'} than the base's"


def detectable_regression(comparison: Comparison, limit: float, confidence: float) -> float | None:
    """Return the smallest true regression that the gate blocks at least 9 times in 10.

    A block needs a significant estimate above `limit`; estimates are below the truth by more than
    half of a 90% interval 1 time in 20. That is half as often as allowed, and Student's t is wider
    than the gate's own bound, because test rows that lack rows with large errors hide a regression
    and its spread alike. `engine/benchmarks/review.py` measures the resulting rate: 90% and more.
    """
    if comparison.spread is None:
        return None
    return max(limit, comparison.spread.margin(confidence)) + comparison.spread.margin(POWER)
