"""The gate: the comparison held against params.yaml's `gate:` section."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

from mlops.metrics import HIGHER_IS_BETTER
from mlops.params import Params
from mlops.review.champion import Comparison

Outcome = Literal["pass", "warn", "block"]

POWER = 0.9


@dataclass(frozen=True)
class Check:
    """One condition of the gate; `why` is the sentence that a reviewer reads."""

    name: str
    value: float | None
    limit: float | None
    outcome: Outcome
    why: str

    def as_json(self) -> dict[str, Any]:
        """Write the check as verdict.json has it."""
        return {
            "name": self.name,
            "value": self.value,
            "limit": self.limit,
            "passed": self.outcome != "block",
            "why": self.why,
        }


def verdict(checks: list[Check]) -> Outcome:
    """The worst outcome of all checks."""
    outcomes = {check.outcome for check in checks}
    return "block" if "block" in outcomes else "warn" if "warn" in outcomes else "pass"


def check_floors(candidate: dict[str, Any], params: Params) -> list[Check]:
    """Hold the candidate's own metrics against the least that a model must do."""
    checks = []
    for metric, limit in params.gate.floors.items():
        value, name = candidate.get(metric), f"floor of {metric}"
        if not isinstance(value, int | float) or not math.isfinite(value):
            why = f"{metric} is missing or not a finite number"
            checks.append(Check(name, None, limit, "block", why))
            continue
        higher = HIGHER_IS_BETTER[params.task][metric]
        reached = value >= limit if higher else value <= limit
        side = "at least" if higher else "at most"
        why = f"{metric} is {value:.4g}, wanted {side} {limit:g}"
        checks.append(Check(name, value, limit, "pass" if reached else "block", why))
    return checks


def check_regressions(comparisons: list[Comparison], params: Params) -> list[Check]:
    """Block a regression that is too large and not chance; warn of one that may be chance."""
    found = {comparison.metric: comparison for comparison in comparisons}
    return [
        _check_regression(found[metric], limit, params)
        for metric, limit in params.gate.max_regression.items()
    ]


def _check_regression(comparison: Comparison, limit: float, params: Params) -> Check:
    metric, worse = comparison.metric, comparison.regression
    name = f"regression of {metric}"
    if worse is None or comparison.ci_low is None or comparison.ci_high is None:
        why = f"{metric} is missing or not a finite number"
        return Check(name, None, limit, "block", why)
    higher = HIGHER_IS_BETTER[params.task][metric]
    sure = comparison.ci_high < 0 if higher else comparison.ci_low > 0
    if worse <= 0:
        why = (
            f"{metric} is {-worse:.1%} better than the base's"
            if worse
            else f"{metric} is unchanged"
        )
        return Check(name, worse, limit, "pass", why)
    text = f"{metric} is {worse:.1%} worse than the base's, allowed are {limit:.0%}"
    if worse <= limit:
        return Check(name, worse, limit, "pass", text)
    if sure:
        return Check(name, worse, limit, "block", f"{text}; chance alone hardly explains it")
    return Check(name, worse, limit, "warn", f"{text}; that may be chance")


def detectable_regression(comparison: Comparison, limit: float, confidence: float) -> float | None:
    """Give the smallest true regression that the gate blocks with 90 % probability.

    A block needs an estimate above `limit` and an interval that excludes zero; with a normal
    estimate, both hold with probability POWER at this regression.
    """
    if comparison.standard_error is None:
        return None
    normal = NormalDist()
    surely_above_zero = normal.inv_cdf((1 + confidence) / 2) * comparison.standard_error
    return max(limit, surely_above_zero) + normal.inv_cdf(POWER) * comparison.standard_error
