"""The metrics of both models: the headline and the table, as Markdown."""

from collections.abc import Mapping, Sequence

from mlops.review.gate import LONGEST_WHY, Check
from mlops.review.github_markdown import cell, folded, number, table
from mlops.review.model_comparison import Comparison
from mlops.undefined import UNDEFINED


def headline(comparisons: Sequence[Comparison], checks: Sequence[Check]) -> str:
    """Explain the verdict in one sentence."""
    in_short = _in_short(comparisons[0])
    outcomes = [check.outcome for check in checks]
    worst = "block" if "block" in outcomes else "warn" if "warn" in outcomes else ""
    found = [check for check in checks if check.outcome == worst]
    if not found:
        return f"**{in_short}**"
    verb = {"block": "fail", "warn": "warn"}[worst]
    more = f" ({len(found)} checks {verb})" if len(found) > 1 else ""
    if found[0].name == f"regression of {comparisons[0].metric}":
        return f"**{in_short}**{more}"
    return f"**{cell(found[0].why[:LONGEST_WHY])}.** {in_short}{more}"


def metric_table(
    comparisons: Sequence[Comparison], confidence: float, test: str, own: Mapping[str, str]
) -> str:
    """Show each metric of both models, the interval of its change, and `own` descriptions."""
    rows = []
    for c in comparisons:
        share = "" if c.regression is None or not c.regression else f" ({_direction(c.regression)})"
        change = "none" if c.delta == 0 else f"{number(c.delta, 3)}{share}"
        known = c.ci_low is not None and c.ci_high is not None
        between = f"{number(c.ci_low, 3)} … {number(c.ci_high, 3)}" if known else UNDEFINED
        rows.append((cell(c.metric), number(c.base), number(c.candidate), change, between))
    interval = f"{confidence:.0%} interval of the change"
    metrics = table(("metric", "base", "candidate", "change", interval), "lrrrr", rows)
    same = f"Both models are scored on the same {test}."
    same += "".join(f" {cell(name)}: {cell(text)}." for name, text in own.items())
    return "\n\n".join([metrics, *_undefined(comparisons), same])


def _undefined(comparisons: Sequence[Comparison]) -> list[str]:
    """Explain why metrics are undefined, and for which model if only for one."""
    lines = []
    for c in comparisons:
        if c.reason or c.base_reason:
            both = "" if c.reason == c.base_reason else " of the candidate" * bool(c.reason)
            whose = both or " of the base" * (not c.reason)
            lines.append(f"{cell(c.metric)}{whose} is undefined: {cell(c.reason or c.base_reason)}")
    return [". ".join(lines) + "."] if lines else []


def _in_short(c: Comparison) -> str:
    """Describe the change of the leading metric and whether it is significant."""
    if not c.regression:
        return (
            f"{cell(c.metric)} {'can not be compared' if c.regression is None else 'is unchanged'}."
        )
    sure = c.ci_low is not None and c.ci_high is not None and c.ci_low * c.ci_high > 0
    chance = "statistically significant" if sure else "not statistically significant"
    return f"{cell(c.metric)} is {_direction(c.regression)} ({chance})."


def _direction(regression: float) -> str:
    return f"{abs(regression):.1%} {'worse' if regression > 0 else 'better'}"


def detectable(smallest: Mapping[str, float | None]) -> str:
    """Describe the smallest regressions that the gate would detect."""
    known = [f"{cell(metric)} {value:.1%}" for metric, value in smallest.items() if value]
    if not known:
        return ""
    text = (
        "The smallest regression that this many test rows would block 9 times in 10, between "
        f"models that differ as much as these: {', '.join(known)}. Smaller ones may go unseen."
    )
    return folded("Smallest regression that the gate finds", text)
