"""Tables and a plot of the results of engine/benchmarks/review.py."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

import bench_paths  # noqa: F401
from mlops.params import Params
from truth import RARE

LEADING = "rmse"
STEPS = (0.025, 0.05, 0.075, 0.1, 0.15)
FAR = (0.2, 0.3, 0.5)
"""Used only to find the regression that a small test set can detect."""
GAP = 0.1
"""Share by which one model is worse, in comparisons with a single regression."""
HARMLESS = ("equal", "better", "no worse")


_PAGE = """# How often the review is right

Made by `python engine/benchmarks/review.py`. A population of 100,000 rows whose truth is known is
made from the demo: its rows drawn anew with their areas varied, its fitted model's predictions
times residuals of its test rows. Models are trained on such rows, then changed in
{changes}.
Each change is scaled until its true regression is exactly the wanted one, and the pair is
reviewed by the review's own code on 400 test sets, harmless pairs on 1,600 where the sets are
small. A share of 95 % of 400 is itself known to within 1.1 %.

## The gate

{gate}

Means over all changes; in brackets the worst of them, of stated effects the range. *Harmless*
pairs are equal in truth, or better by a tenth, or as bad as can be with no gated metric truly
worse. *Stated effect*: the regression at which the reviews' median statement of what they could
have detected is just that regression; changes of which it is above 50 % are left out.

![Blocked against true regression](review-error-rates.png)

Lines: all changes together. Points: each change at its stated effect; they belong above the
dotted line. Black: `gate.max_regression`. An estimate below it never blocks, so at least half of
the regressions of just that size pass, whatever the number of rows.

What the review says of a true regression of {leading}. *Warned*: worse within the limit, and
statistically significant. *Can't tell*: worse than the limit but not significantly, or a pass that
names the regression that the test rows can't rule out:

{outcomes}

## The rule

A metric blocks if it is worse by more than `gate.max_regression` and by more than chance
explains: the normal quantile of `gate.confidence` ({confidence}, two-sided) times the standard
error, which comes from the influence of every row on the difference. Intervals use Student's t
instead, with degrees of freedom after the kurtosis of those influences: a standard error made by
few rows is badly known. The same t in the gate would miss more regressions that few rows carry,
and block hardly less by mistake.

Other 95 % intervals of the same pairs, {gap} worse. *Logarithm* is of the ratio; percentile and
BCa intervals of it are those of the relative change.

{methods}

Every metric's intervals by the chosen method:

{every}

The same for two classes, one of them in 1 row of 10:

{classes}

## What no test of this size can see

Where the harm is in so few rows that most test sets hold hardly any of them, no interval made of
those sets knows of it. True regressions of {leading} of {gap}:

{rare}

An average of shares or a median suffers less from this than {leading}; a slice shows harm in a
named group.
"""


def shares(values: pd.Series) -> str:
    """Format the mean of shares, and the lowest."""
    return f"{values.mean():.1%} ({values.min():.1%})"


def gate_table(found: pd.DataFrame, metrics: list[str]) -> list[str]:
    """Return the gate's table, a line per number of test rows."""
    usual_rows = found[~found["change"].isin(RARE)]
    cover = (f"intervals of {metric} cover" for metric in metrics)
    stated = (f"{metric}: stated effect | blocked there" for metric in metrics)
    lines = [
        f"| {' | '.join(['test rows', *cover, 'harmless changes blocked', *stated])} |",
        "|---:|" + "---:|" * (3 * len(metrics) + 1),
    ]
    for n_rows, part in usual_rows.groupby("rows"):
        cells = [f"{n_rows:,}"]
        for metric in metrics:
            own = part[(part["metric"] == metric) & (part["kind"] != "stated")]
            cells.append(shares(own.groupby(["kind", "change"])["covered"].mean()))
        good = part[part["kind"].isin(HARMLESS) & (part["metric"] == metric)]
        blocked = (good["gate"] == "block").groupby([good["kind"], good["change"]]).mean()
        cells.append(f"{blocked.mean():.1%} ({blocked.max():.1%})")
        for metric in metrics:
            own = part[(part["kind"] == "stated") & (part["of"] == metric)]
            own = own[own["metric"] == metric]
            at = own.groupby("change")["by"].first()
            hits = (own["outcome"] == "block").groupby(own["change"]).mean()
            cells += [f"{at.median():.1%} ({at.min():.1%} to {at.max():.1%})", shares(hits)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def outcome_table(found: pd.DataFrame) -> list[str]:
    """Return the table of outcomes for a true regression of the leading metric, by its size."""
    own = found[
        (found["of"] == LEADING) & (found["metric"] == LEADING) & (found["kind"] == "worse")
    ]
    own = own[own["by"].isin(STEPS) & ~own["change"].isin(RARE)]
    said = {what: own["said"] == what for what in ("blocked", "warned", "can't tell", "passed")}
    lines = [
        "| test rows | " + " | ".join(f"{by:.1%} worse" for by in STEPS) + " |",
        "|---:|" + "---|" * len(STEPS),
    ]
    for n_rows, part in own.groupby("rows"):
        cells = []
        for by in STEPS:
            at = part.index[part["by"] == by]
            cells.append(", ".join(f"{name} {how[at].mean():.0%}" for name, how in said.items()))
        lines.append(f"| {n_rows:,} | {' | '.join(cells)} |")
    return lines


def rare_table(found: pd.DataFrame) -> list[str]:
    """Return the table for changes that harm only few rows."""
    own = found[found["change"].isin(RARE) & (found["metric"] == LEADING) & (found["by"] == GAP)]
    lines = ["| change | test rows | intervals cover | blocked |", "|---|---:|---:|---:|"]
    for (change, n_rows), part in own.groupby(["change", "rows"]):
        blocked = (part["outcome"] == "block").mean()
        lines.append(f"| {change} | {n_rows:,} | {part['covered'].mean():.1%} | {blocked:.1%} |")
    return lines


def share_table(table: pd.DataFrame, head: list[str]) -> list[str]:
    """Return a table of shares."""
    columns = [
        f"{column[1]}, {column[0]:,} rows" if isinstance(column, tuple) else f"{column:,} rows"
        for column in table.columns
    ]
    lines = [
        f"| {' | '.join([*head, *columns])} |",
        "|" + "---|" * len(head) + "---:|" * len(columns),
    ]
    for names, values in zip(table.index, table.to_numpy(), strict=True):
        cells = [names] if isinstance(names, str) else list(names)
        lines.append(f"| {' | '.join([*cells, *(f'{value:.1%}' for value in values)])} |")
    return lines


def draw(found: pd.DataFrame, params: Params, path: Path) -> None:
    """Plot how often a true regression is blocked, with the stated effects on the curves."""
    metrics = list(params.gate.max_regression)
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    for axes, metric in zip(figure.subplots(1, len(metrics), sharey=True), metrics, strict=True):
        own = found[(found["metric"] == metric) & ~found["change"].isin(RARE)]
        of_metric = own[own["of"] == metric]
        for number, (n_rows, part) in enumerate(of_metric.groupby("rows")):
            colour = f"C{number}"
            worse = part[(part["kind"] == "worse") & part["by"].isin(STEPS + FAR)]
            blocked = (worse["outcome"] == "block").groupby(worse["by"]).mean()
            none = own[own["kind"].isin(["equal", "no worse"]) & (own["rows"] == n_rows)]
            x = [0, *(100 * blocked.index)]
            y = [100 * (none["outcome"] == "block").mean(), *(100 * blocked)]
            axes.plot(x, y, color=colour, label=f"{n_rows:,} test rows")
            stated = part[part["kind"] == "stated"].groupby("change")
            at = stated["by"].first()
            hits = stated["outcome"].apply(lambda outcomes: (outcomes == "block").mean())
            axes.plot(100 * at, 100 * hits, "o", color=colour, markersize=5, alpha=0.8)
        axes.axhline(90, color="grey", linewidth=1, linestyle=":")
        limit = 100 * params.gate.max_regression[metric]
        axes.axvline(limit, color="black", linewidth=1)
        axes.set(xlim=(0, 50), ylim=(-2, 102), title=metric, xlabel="true regression, per cent")
        axes.grid(color="#e5e9ee")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("blocked, per cent of reviews")
    figure.axes[0].legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=120, metadata={"Software": None})


def markdown(
    found: pd.DataFrame, methods: pd.DataFrame, classes: pd.DataFrame, params: Params
) -> str:
    """Return the whole page."""
    worse = found[(found["kind"] == "worse") & ~found["change"].isin(RARE)]
    changes = worse["change"].unique()
    fits = found["change"].isin(changes) & found["kind"].isin(["worse", "equal"])
    every = found[fits].pivot_table(values="covered", index="metric", columns="rows", sort=False)
    return _PAGE.format(
        changes=f"{len(changes)} ways: {', '.join(changes)}",
        gate="\n".join(gate_table(found, list(params.gate.max_regression))),
        outcomes="\n".join(outcome_table(found)),
        confidence=f"{params.gate.confidence:.0%}",
        leading=LEADING,
        gap=f"{GAP:.0%}",
        methods="\n".join(share_table(methods, ["method", "scale"])),
        every="\n".join(share_table(every, ["metric"])),
        classes="\n".join(share_table(classes, ["metric"])),
        rare="\n".join(rare_table(found)),
    )
