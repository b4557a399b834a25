"""Plot the evaluation: for each plot, a CSV of points for `dvc plots`, and a PNG."""

from pathlib import Path

import numpy as np
import pandas as pd

from mlops.columns import Schema
from mlops.metrics import Floats, Predictions, rounded
from mlops.pipeline import figures
from mlops.records import Evaluation

POINTS = 1000
"""Maximum number of points in a scatter plot: more would hide each other."""

_BINS = 10


def draw_plots(
    folder: Path,
    predictions: Predictions,
    evaluation: Evaluation,
    importance: pd.DataFrame,
    schema: Schema,
) -> None:
    """Write NAME.csv and NAME.png of every plot into `folder`."""
    leading = next(iter(evaluation["metrics"]))
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
    drawn = {
        "predicted_actual": figures.predicted_actual(
            tables["predicted_actual"], predictions.task, unit
        ),
        "residuals": figures.residuals(tables["residuals"], predictions.task, unit),
        "calibration": figures.calibration(tables["calibration"], predictions.task, unit),
        "slices": figures.slices(tables["slices"], shown),
        "importance": figures.importance(importance, leading),
    }
    for name, figure in drawn.items():
        # No software version in the file: the same figure gives the same bytes.
        figure.savefig(folder / f"{name}.png", metadata={"Software": None})


def _predicted_actual(predictions: Predictions, schema: Schema) -> pd.DataFrame:
    """Pick rows evenly; for classification, return the actual and the decided choice of each."""
    rows = np.unique(np.linspace(0, len(predictions.actual) - 1, POINTS).astype(int))
    some = predictions.take(rows)
    if predictions.task == "regression":
        return pd.DataFrame({"actual": some.actual, "predicted": some.predicted})
    choices = np.array(schema.target.choices)
    return pd.DataFrame(
        {"actual": choices[some.actual.astype(int)], "predicted": choices[some.decided]}
    )


def _errors(predictions: Predictions) -> Floats:
    """Return predicted minus actual; for classification, 1 minus the true choice's probability."""
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
    """Compare mean predictions with mean actual values, in ten groups of rows by prediction."""
    if predictions.task == "regression":
        claimed, happened = predictions.predicted, predictions.actual
    else:
        claimed = predictions.predicted.ravel()
        happened = np.eye(predictions.predicted.shape[1])[predictions.actual.astype(int)].ravel()
    groups = np.array_split(np.argsort(claimed, kind="stable"), _BINS)
    means = [(claimed[g].mean(), happened[g].mean(), len(g)) for g in groups if len(g)]
    return pd.DataFrame(means, columns=["predicted", "actual", "rows"])


def _slices(evaluation: Evaluation, metric: str) -> pd.DataFrame:
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
