"""The sections of a report below its table: each a paragraph, table, chart or fold, or empty."""

from typing import Any

from mlops.records import SliceComparison
from mlops.review.github_markdown import cell, chart, folded, number, table

LISTED_SLICES = 40
CHARTED_SLICES = 12
NAMED_PARAMS = 3
LONGEST = 40

WORDS = folded(
    "What these words mean",
    """\
- **base**: the model of the branch that this is to be merged into. **candidate**: the model with
  this change. Both predicted the same **test rows**, which neither was trained on.
- **rmse**, **mae**: the usual error, in the unit of what is predicted; large errors weigh more in
  rmse. **mape**, **median_ape**: the error as a share of the true value, on average and of the
  middle row. **r2**: how much of the differences between rows the model explains; 1 is all.
- **log_loss**, **brier**, **calibration_error**: how far predicted probabilities are from what
  happened. **roc_auc**, **f1_macro**, **balanced_accuracy**: how well classes are told apart; 1 is
  best. Of two classes, **precision** is the share of true ones among the rows decided to be the
  second, **recall** the share of the second's rows that were found, **average_precision** the
  precision over all thresholds.
- **interval**: where the change may lie, because other test rows would give a different value. A
  change is **statistically significant** if its interval excludes 0.
- **moved**: a prediction that the two models give differently for the same row.
- **stage**: a step of the pipeline from data to model. A stage whose inputs are the base's is not
  run.""",
)


def params_line(changed: list[tuple[str, Any, Any]]) -> str:
    """List the first changed parameters with both values."""
    if not changed:
        return "**Parameters:** none differs."
    named = [f"{cell(p)} {cell(_cut(a))} → {cell(_cut(b))}" for p, a, b in changed[:NAMED_PARAMS]]
    left = len(changed) - len(named)
    return f"**Parameters:** {', '.join(named)}{f' and {left} more' if left else ''}."


def _cut(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def params_section(changed: list[tuple[str, Any, Any]]) -> str:
    """List changed parameters; empty if the report's first lines already list them in full."""
    if len(changed) <= NAMED_PARAMS and all(
        len(str(v)) <= LONGEST for _, *vs in changed for v in vs
    ):
        return ""
    rows = [(cell(path), cell(old), cell(new)) for path, old, new in changed]
    text = table(("parameter", "base", "candidate"), "lll", rows)
    return folded(f"Parameters: {len(changed)} changed", text)


def notes_section(notes: list[str]) -> str:
    """List ingestion's notes on the rows."""
    if not notes:
        return ""
    return folded("Missing from the data", "\n".join(f"- {cell(note)}" for note in notes))


def slices_section(slices: list[SliceComparison], metric: str) -> str:
    """Show a metric of both models on the largest slices, and draw those of one column."""
    if not slices:
        return ""
    largest = sorted(slices, key=lambda part: -part["rows"])[:LISTED_SLICES]
    rows = [
        (
            f"{cell(part['column'])}: {cell(part['slice'])}",
            f"{part['rows']:,}",
            number(part["base"][metric]),
            number(part["candidate"][metric]) + _why(part, metric),
        )
        for part in slices
        if part in largest
    ]
    lines = [table(("slice", "rows", f"base {cell(metric)}", "candidate"), "lrrr", rows)]
    if len(slices) > LISTED_SLICES:
        lines.append(f"… and {len(slices) - LISTED_SLICES} smaller slices")
    lines.append(_chart(slices, metric))
    return folded(f"{metric} by slice", "\n\n".join(line for line in lines if line))


def _chart(slices: list[SliceComparison], metric: str) -> str:
    """Draw a metric over the slices of the column with the fewest slices."""
    columns: dict[str, list[SliceComparison]] = {}
    for part in slices:
        columns.setdefault(part["column"], []).append(part)
    drawn = [parts for parts in columns.values() if 2 <= len(parts) <= CHARTED_SLICES]
    if not drawn:
        return ""
    column = min(drawn, key=len)
    pairs = {part["slice"]: (part["base"][metric], part["candidate"][metric]) for part in column}
    defined = {label: pair for label, pair in pairs.items() if None not in pair}
    title = f"{metric} by {column[0]['column']}, blue base, magenta candidate"
    if undefined := len(pairs) - len(defined):
        title += f", undefined in {undefined} more"
    return chart(title, list(defined), list(zip(*defined.values(), strict=True)))


def _why(part: SliceComparison, metric: str) -> str:
    reason = part.get("reasons", {}).get(metric)
    return f": {cell(reason)}" if reason else ""


def stages_section(stages: dict[str, bool]) -> str:
    """List the stages that differ from the base's, and those that don't and so were not run."""
    if not stages:
        return ""
    differing = [cell(name) for name, differs in stages.items() if differs]
    same = [cell(name) for name, differs in stages.items() if not differs]
    if not differing:
        return "Every stage of the pipeline is as in the base: nothing had to run."
    rest = ", ".join(same) or "none"
    text = f"Differ from the base: {', '.join(differing)}. As in the base: {rest}."
    return folded("Stages of the pipeline", text)
