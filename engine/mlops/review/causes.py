"""Likely causes of the difference: a short list, strongest first, with evidence."""

from collections.abc import Iterable

import pandas as pd

from mlops.adopt.leaks import gives_away
from mlops.columns import Schema
from mlops.review.github_markdown import cell
from mlops.review.row_causes import row_causes
from mlops.review.setting_causes import Settings, setting_causes
from mlops.review.value_causes import Cause

LISTED = 5
_LONGEST = 300
_LEAK_ROWS = 5_000


def find_causes(
    base: tuple[Settings, pd.DataFrame], candidate: tuple[Settings, pd.DataFrame], schema: Schema
) -> list[Cause]:
    """List possible causes of the model's change, strongest first.

    Args:
        base, candidate: each side's settings, and its valid rows, with derived features if those
            are known; the schema is the candidate's.
    """
    found = [
        *leaks(base[1], candidate[1], schema),
        *setting_causes(base[0], candidate[0]),
        *row_causes(base[1], candidate[1], schema),
    ]
    return sorted(found, key=lambda cause: -cause.strength)


def leaks(base: pd.DataFrame, candidate: pd.DataFrame, schema: Schema) -> Iterable[Cause]:
    """Yield features that alone leak the target, and did not before."""
    if schema.target.name not in candidate:
        return
    rows = candidate.sample(min(len(candidate), _LEAK_ROWS), random_state=0)
    before = base.sample(min(len(base), _LEAK_ROWS), random_state=0)
    for feature in schema.features:
        name, target = feature.name, schema.target.name
        if name not in rows or not gives_away(rows[name], rows[target], schema.task):
            continue
        if name in before and gives_away(before[name], before[target], schema.task):
            continue
        text = f"{name} alone predicts {target} in nearly every row, which it did not before"
        yield Cause("leak", f"{name} gives the target away", text, 2.0)


def causes_section(causes: list[Cause]) -> str:
    """List the strongest causes."""
    if not causes:
        return ""
    lines = [f"- {_line(cause.what[:_LONGEST], cause.evidence[:_LONGEST])}." for cause in causes]
    more = len(lines) - LISTED
    lines[LISTED:] = [f"\n… and {more} weaker ones." if more > 0 else ""]
    return "\n".join(["**Why**, the likely causes, strongest first:", "", *lines]).strip()


def _line(what: str, evidence: str) -> str:
    """Write the evidence after its name, which it may start with."""
    if evidence.startswith(f"{what} "):
        return f"**{cell(what)}** {cell(evidence[len(what) :])}"
    return f"**{cell(what)}**: {cell(evidence)}"
