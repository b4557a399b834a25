"""The parts of a report below its table: each is one paragraph, table, chart or fold, or empty."""

from dataclasses import dataclass
from typing import Any

from mlops.review.github_markdown import cell, chart, folded, number, table

LISTED_SLICES = 40
CHARTED_SLICES = 12

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
- **interval**: where the change may lie, for other test rows would have given another one. An
  interval that holds 0 may be chance.
- **stage**: a step of the pipeline from data to model. A stage whose inputs are the base's is not
  run.""",
)


@dataclass(frozen=True)
class Served:
    """What serves a model.

    Attributes:
        reason: why the model has no exported form, if it has none.
        size: in bytes.
        row_ms: time for one row alone, in milliseconds.
    """

    engine: str
    reason: str | None
    size: int
    row_ms: float


def params_section(changed: list[tuple[str, Any, Any]]) -> str:
    """List changed parameters."""
    if not changed:
        return "No parameter differs."
    rows = [(cell(path), cell(old), cell(new)) for path, old, new in changed]
    return table(("parameter", "base", "candidate"), "lll", rows)


def chart_section(slices: list[dict[str, Any]], metric: str) -> str:
    """Draw a metric over the slices of the column that has fewest."""
    columns: dict[str, list[dict[str, Any]]] = {}
    for part in slices:
        columns.setdefault(part["column"], []).append(part)
    drawn = [parts for parts in columns.values() if 2 <= len(parts) <= CHARTED_SLICES]
    if not drawn:
        return ""
    column = min(drawn, key=len)
    sides = ("base", "candidate")
    parts = [part for part in column if None not in [part[side][metric] for side in sides]]
    lines = [[part[side][metric] for part in parts] for side in sides]
    title = f"{metric} by {column[0]['column']}, blue base, magenta candidate"
    title += f", undefined in {len(column) - len(parts)} more" if len(parts) < len(column) else ""
    return chart(title, [part["slice"] for part in parts], lines)


def served_section(served: list[Served]) -> str:
    """Compare what serves both models."""
    if not served:
        return ""
    base, candidate = map(_engine, served)
    why = served[-1].reason
    text = f"To serve: {candidate}; the base {base}."
    return text + (f" The model could not be exported: {cell(why)}." if why else "")


def _engine(served: Served) -> str:
    name = "scikit-learn itself" if served.engine == "joblib" else f"exported as {served.engine}"
    return f"{name}, {served.size / 1e6:.2f} MB, about {served.row_ms:.1g} ms a row"


def data_section(data: dict[str, Any] | None) -> str:
    """Show how many rows differ, and each column on both sides."""
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
    rows = []
    for column in data["columns"]:
        fields = [cell(column["column"])]
        for side in (column["base"], column["candidate"]):
            missing = side["missing"]
            fields += [cell(side["text"]), "" if missing is None else f"{missing:.1%}"]
        rows.append(fields)
    lines.append(table(("column", "base", "missing", "candidate", "missing"), "llrlr", rows))
    return folded(title, "\n".join(lines))


def slices_section(slices: list[dict[str, Any]], metric: str) -> str:
    """Show a metric of both models on the largest slices."""
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
        lines.append(f"\n… and {len(slices) - LISTED_SLICES} smaller slices")
    return folded(f"{metric} by slice", "\n".join(lines))


def _why(part: dict[str, Any], metric: str) -> str:
    reason = part.get("reasons", {}).get(metric)
    return f": {cell(reason)}" if reason else ""


def stages_section(stages: dict[str, bool]) -> str:
    """Tell which stages were the base's, and so had not to be run."""
    if not stages:
        return ""
    differing = [cell(name) for name, differs in stages.items() if differs]
    same = [cell(name) for name, differs in stages.items() if not differs]
    if not differing:
        return "Every stage of the pipeline is as in the base: nothing had to run."
    return (
        f"Stages that differ from the base: {', '.join(differing)}; "
        f"as in the base: {', '.join(same) or 'none'}."
    )
