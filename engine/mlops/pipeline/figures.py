"""Draw the evaluation's figures, each from the table of its points."""

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mlops.metrics import Task
from mlops.undefined import UNDEFINED

_BLUE, _GREY, _RED = "#2a6f97", "#9aa5b1", "#c1121f"

matplotlib.rcParams.update(
    {
        "figure.figsize": (7.0, 4.5),
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#e5e9ee",
        "axes.axisbelow": True,
        "savefig.dpi": 120,
    }
)


def _axes(title: str, x: str, y: str, height: float = 4.5) -> tuple[Figure, Any]:
    figure = Figure(figsize=(7.0, height))
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    return figure, axes


def predicted_actual(table: pd.DataFrame, task: Task, unit: str) -> Figure:
    """Plot predicted against actual values; for classification, a confusion matrix."""
    if task == "classification":
        return _confusion(table)
    figure, axes = _axes("Predicted against actual", f"actual{unit}", f"predicted{unit}")
    axes.scatter(table["actual"], table["predicted"], s=9, alpha=0.5, color=_BLUE, linewidths=0)
    ends = [table.to_numpy().min(), table.to_numpy().max()]
    axes.plot(ends, ends, color=_RED, linewidth=1, label="exact")
    _thousands(axes.xaxis, axes.yaxis)
    axes.legend(frameon=False)
    return figure


def _confusion(table: pd.DataFrame) -> Figure:
    counts = pd.crosstab(table["actual"], table["predicted"])
    figure, axes = _axes("Predicted against actual", "predicted", "actual")
    axes.imshow(counts.to_numpy(), cmap="Blues")
    axes.set_xticks(range(counts.shape[1]), list(counts.columns), rotation=45, ha="right")
    axes.set_yticks(range(counts.shape[0]), list(counts.index))
    axes.grid(False)
    if counts.size <= 100:
        for (row, column), count in np.ndenumerate(counts.to_numpy()):
            axes.text(column, row, str(count), ha="center", va="center")
    return figure


def residuals(table: pd.DataFrame, task: Task, unit: str) -> Figure:
    """Draw a histogram of the test rows' errors."""
    regression = task == "regression"
    x = f"predicted - actual{unit}" if regression else "1 - probability of the actual class"
    figure, axes = _axes("Errors", x, "test rows")
    width = np.diff(table["residual"]).min() if len(table) > 1 else 1.0
    axes.bar(table["residual"], table["rows"], width=width, color=_BLUE)
    if regression:
        axes.axvline(0, color=_RED, linewidth=1)
        _thousands(axes.xaxis)
    return figure


def calibration(table: pd.DataFrame, task: Task, unit: str) -> Figure:
    """Draw mean actual against mean predicted values, in groups of rows."""
    figure, axes = _axes(
        "Calibration: rows in ten groups by prediction",
        f"mean predicted{unit}",
        f"mean actual{unit}" if task == "regression" else "observed share",
    )
    ends = [
        table[["predicted", "actual"]].to_numpy().min(),
        table[["predicted", "actual"]].to_numpy().max(),
    ]
    axes.plot(ends, ends, color=_RED, linewidth=1, label="exact")
    axes.plot(table["predicted"], table["actual"], "o-", color=_BLUE, markersize=4)
    if task == "regression":
        _thousands(axes.xaxis, axes.yaxis)
    axes.legend(frameon=False)
    return figure


def slices(table: pd.DataFrame, metric: str) -> Figure:
    """Draw the metric of each slice with its interval."""
    figure, axes = _axes(f"{metric} by slice", metric, "", max(2.5, 0.22 * len(table) + 1))
    places, value = np.arange(len(table)), table[metric].astype(float)
    low, high = table["low"].astype(float), table["high"].astype(float)
    axes.errorbar(
        value, places, xerr=[(value - low).clip(0), (high - value).clip(0)],
        fmt="o", color=_BLUE, ecolor=_GREY, markersize=4,
    )  # fmt: skip
    lines = zip(table["slice"], table["rows"], value.isna(), strict=True)
    axes.set_yticks(places, [f"{s} ({n})" + f": {UNDEFINED}" * gap for s, n, gap in lines])
    axes.tick_params(axis="y", labelsize=7)
    axes.invert_yaxis()
    axes.set_ylim(len(table) - 0.4, -0.6)
    return figure


def importance(table: pd.DataFrame, metric: str) -> Figure:
    """Draw the loss in the metric when each feature is shuffled."""
    figure, axes = _axes(
        "Permutation importance", f"{metric} lost when the feature is shuffled", ""
    )
    axes.barh(table["feature"], table["importance"], color=_BLUE)
    axes.invert_yaxis()
    return figure


def _thousands(*axes: Any) -> None:
    for axis in axes:
        axis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:,.6g}"))
