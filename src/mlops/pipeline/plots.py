"""The evaluation as plots: a CSV of points for `dvc plots`, and a PNG of each."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mlops.columns import Schema
from mlops.metrics import HIGHER_IS_BETTER, Floats, Predictions, rounded

POINTS = 1000
"""Points of a scatter plot: more hide each other."""

_BINS = 10
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


def draw_plots(
    folder: Path,
    predictions: Predictions,
    evaluation: dict[str, Any],
    importance: pd.DataFrame,
    schema: Schema,
) -> None:
    """Write NAME.csv and NAME.png of every plot into `folder`."""
    leading = next(iter(HIGHER_IS_BETTER[predictions.task]))
    shown = "mape" if predictions.task == "regression" else leading  # comparable between slices
    unit = f" ({schema.target.unit})" if schema.target.unit else ""
    tables = {
        "predicted_actual": _predicted_actual(predictions, schema),
        "residuals": _residuals(predictions),
        "calibration": _calibration(predictions),
        "slices": _slices(evaluation, shown),
        "importance": importance,
    }
    for name, table in tables.items():
        numbers = table.select_dtypes("number").columns
        table = table.assign(**{c: table[c].map(rounded) for c in numbers})
        table.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    figures = {
        "predicted_actual": _draw_predicted_actual(tables["predicted_actual"], predictions, unit),
        "residuals": _draw_residuals(tables["residuals"], predictions, unit),
        "calibration": _draw_calibration(tables["calibration"], predictions, unit),
        "slices": _draw_slices(tables["slices"], shown),
        "importance": _draw_importance(importance, leading),
    }
    for name, figure in figures.items():
        # No software version in the file: the same figure gives the same bytes.
        figure.savefig(folder / f"{name}.png", metadata={"Software": None})


def _predicted_actual(predictions: Predictions, schema: Schema) -> pd.DataFrame:
    """Pick rows evenly; for a classification, the most probable choice of each."""
    rows = np.unique(np.linspace(0, len(predictions.actual) - 1, POINTS).astype(int))
    actual, predicted = predictions.actual[rows], predictions.predicted[rows]
    if predictions.task == "regression":
        return pd.DataFrame({"actual": actual, "predicted": predicted})
    choices = np.array(schema.target.choices)
    return pd.DataFrame(
        {"actual": choices[actual.astype(int)], "predicted": choices[predicted.argmax(axis=1)]}
    )


def _errors(predictions: Predictions) -> Floats:
    """Predicted minus actual; for a classification, what the true choice's probability lacks."""
    if predictions.task == "regression":
        return predictions.predicted - predictions.actual
    places = np.arange(len(predictions.actual)), predictions.actual.astype(int)
    return 1 - predictions.predicted[places]


def _residuals(predictions: Predictions) -> pd.DataFrame:
    errors = _errors(predictions)
    low, high = np.quantile(errors, [0.005, 0.995])
    counts, edges = np.histogram(np.clip(errors, low, high), bins=40)
    return pd.DataFrame({"residual": (edges[:-1] + edges[1:]) / 2, "rows": counts})


def _calibration(predictions: Predictions) -> pd.DataFrame:
    """Compare predictions with what happened, in ten groups of rows of rising prediction."""
    if predictions.task == "regression":
        claimed, happened = predictions.predicted, predictions.actual
    else:
        claimed = predictions.predicted.ravel()
        happened = np.eye(predictions.predicted.shape[1])[predictions.actual.astype(int)].ravel()
    groups = np.array_split(np.argsort(claimed, kind="stable"), _BINS)
    means = [(claimed[g].mean(), happened[g].mean(), len(g)) for g in groups if len(g)]
    return pd.DataFrame(means, columns=["predicted", "actual", "rows"])


def _slices(evaluation: dict[str, Any], metric: str) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "slice": f"{part['column']}: {part['slice']}",
                "rows": part["rows"],
                **{k: part["metrics"][metric][k] for k in ("value", "low", "high")},
            }
            for part in evaluation["slices"]
        ],
        columns=["slice", "rows", "value", "low", "high"],
    ).rename(columns={"value": metric})


def _axes(title: str, x: str, y: str, height: float = 4.5) -> tuple[Figure, Any]:
    figure = Figure(figsize=(7.0, height))
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    return figure, axes


def _draw_predicted_actual(table: pd.DataFrame, predictions: Predictions, unit: str) -> Figure:
    if predictions.task == "classification":
        return _draw_confusion(table)
    figure, axes = _axes("Predicted against actual", f"actual{unit}", f"predicted{unit}")
    axes.scatter(table["actual"], table["predicted"], s=9, alpha=0.5, color=_BLUE, linewidths=0)
    ends = [table.to_numpy().min(), table.to_numpy().max()]
    axes.plot(ends, ends, color=_RED, linewidth=1, label="exact")
    _thousands(axes.xaxis, axes.yaxis)
    axes.legend(frameon=False)
    return figure


def _draw_confusion(table: pd.DataFrame) -> Figure:
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


def _draw_residuals(table: pd.DataFrame, predictions: Predictions, unit: str) -> Figure:
    regression = predictions.task == "regression"
    x = f"predicted - actual{unit}" if regression else "1 - probability of what came true"
    figure, axes = _axes("Errors", x, "test rows")
    width = np.diff(table["residual"]).min() if len(table) > 1 else 1.0
    axes.bar(table["residual"], table["rows"], width=width, color=_BLUE)
    if regression:
        axes.axvline(0, color=_RED, linewidth=1)
        _thousands(axes.xaxis)
    return figure


def _draw_calibration(table: pd.DataFrame, predictions: Predictions, unit: str) -> Figure:
    figure, axes = _axes(
        "Calibration: rows in ten groups by prediction",
        f"mean predicted{unit}",
        f"mean actual{unit}" if predictions.task == "regression" else "share that came true",
    )
    ends = [
        table[["predicted", "actual"]].to_numpy().min(),
        table[["predicted", "actual"]].to_numpy().max(),
    ]
    axes.plot(ends, ends, color=_RED, linewidth=1, label="exact")
    axes.plot(table["predicted"], table["actual"], "o-", color=_BLUE, markersize=4)
    if predictions.task == "regression":
        _thousands(axes.xaxis, axes.yaxis)
    axes.legend(frameon=False)
    return figure


def _draw_slices(table: pd.DataFrame, metric: str) -> Figure:
    figure, axes = _axes(f"{metric} by slice", metric, "", max(2.5, 0.22 * len(table) + 1))
    places, value = np.arange(len(table)), table[metric].astype(float)
    low, high = table["low"].astype(float), table["high"].astype(float)
    axes.errorbar(
        value, places, xerr=[(value - low).clip(0), (high - value).clip(0)],
        fmt="o", color=_BLUE, ecolor=_GREY, markersize=4,
    )  # fmt: skip
    axes.set_yticks(
        places, [f"{s} ({n})" for s, n in zip(table["slice"], table["rows"], strict=True)]
    )
    axes.tick_params(axis="y", labelsize=7)
    axes.invert_yaxis()
    axes.set_ylim(len(table) - 0.4, -0.6)
    return figure


def _draw_importance(table: pd.DataFrame, metric: str) -> Figure:
    figure, axes = _axes(
        "Permutation importance", f"{metric} lost when the feature is shuffled", ""
    )
    axes.barh(table["feature"], table["importance"], color=_BLUE)
    axes.invert_yaxis()
    return figure


def _thousands(*axes: Any) -> None:
    for axis in axes:
        axis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:,.6g}"))
