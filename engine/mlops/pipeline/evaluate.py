"""Stage evaluate: model and test rows -> metrics with intervals, slices, predictions, plots."""

from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.pipeline import Pipeline

from mlops.artifacts import EVALUATION, METRICS, MODEL, PLOTS, PREDICTIONS, TEST_ROWS, TRAIN_ROWS
from mlops.columns import Column, Schema
from mlops.errors import run_command
from mlops.files import whole_folder, write_json
from mlops.frames import read_rows, with_derived, write_rows
from mlops.intervals import spread
from mlops.metrics import (
    HIGHER_IS_BETTER,
    Floats,
    Predictions,
    estimates,
    rounded,
    score,
)
from mlops.params import Evaluate
from mlops.pipeline.model import actual_values, predict
from mlops.pipeline.plots import draw_plots
from mlops.project import load_project_params, load_schema
from mlops.slices import slices

PROBABILITY_DIGITS = 8
IMPORTANCE_ROWS = 2000
IMPORTANCE_REPEATS = 5


def trivial_prediction(train: pd.DataFrame, n_rows: int, target: Column) -> Floats:
    """Predict without looking: the training rows' median, or the share of each choice."""
    values = actual_values(train, target)
    if not target.choices:
        return np.full(n_rows, np.median(values))
    shares = np.bincount(values.astype(int), minlength=len(target.choices)) / len(values)
    return np.tile(shares, (n_rows, 1))


def with_intervals(predictions: Predictions, confidence: float) -> dict[str, Any]:
    """Give each metric as {value, low, high}."""
    metrics = {}
    for name, (value, influence) in estimates(predictions).items():
        margin = spread(influence).margin(confidence)
        low, high = value - margin, value + margin
        if HIGHER_IS_BETTER[predictions.task][name]:
            high = min(1.0, high)
        else:
            low = max(0.0, low)
        metrics[name] = {"value": rounded(value), "low": rounded(low), "high": rounded(high)}
    return metrics


def slice_table(
    predictions: Predictions, test: pd.DataFrame, params: Evaluate, schema: Schema
) -> list[dict[str, Any]]:
    """Score each slice by itself."""
    return [
        {
            "column": column,
            "slice": label,
            "rows": int(members.sum()),
            "metrics": with_intervals(predictions.take(members), params.confidence),
        }
        for column, label, members in slices(test, params.slices, schema)
    ]


def importance(model: Pipeline, test: pd.DataFrame, schema: Schema, seed: int) -> pd.DataFrame:
    """Measure how much worse the leading metric gets when a feature is shuffled.

    Source: Breiman, Random Forests, Machine Learning 45, 2001, section 10. On at most
    IMPORTANCE_ROWS rows.
    """
    task, target = schema.task, schema.target
    leading, higher = next(iter(HIGHER_IS_BETTER[task].items()))
    rows = test.sample(min(len(test), IMPORTANCE_ROWS), random_state=seed)

    def goodness(fitted: Pipeline, features: pd.DataFrame, actual: Floats) -> float:
        value = score(Predictions(task, actual, predict(fitted, features, target)))[leading]
        return value if higher else -value

    names = [column.name for column in schema.features]
    found = permutation_importance(
        model,
        rows[names],
        actual_values(rows, target),
        scoring=goodness,
        n_repeats=IMPORTANCE_REPEATS,
        random_state=seed,
    )
    table = pd.DataFrame({"feature": names, "importance": found.importances_mean})
    return table.sort_values(["importance", "feature"], ascending=[False, True], ignore_index=True)


def prediction_rows(predictions: Predictions, test: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Put predictions beside the keys: `predicted`, or a probability a choice.

    Rounded, so that their hash is the same on every processor: by it, row by row, a release tells
    whether its model is the reviewed one.
    """
    rows = test[[schema.key.name, schema.target.name]].reset_index(drop=True)
    if predictions.task == "regression":
        return rows.assign(
            predicted=np.array(
                [rounded(value) for value in predictions.predicted], dtype=np.float64
            )
        )
    values = np.round(predictions.predicted, PROBABILITY_DIGITS)
    proba = pd.DataFrame(values, columns=list(schema.target.choices))
    return rows.join(proba.add_prefix("probability_"))


def main() -> None:
    params, schema = load_project_params(), load_schema()
    task, target = schema.task, schema.target
    train = read_rows(TRAIN_ROWS, [target.name])
    test = with_derived(read_rows(TEST_ROWS), schema)
    model = joblib.load(MODEL)
    actual = actual_values(test, target)
    predictions = Predictions(task, actual, predict(model, test, target))
    trivial = trivial_prediction(train, len(test), target)
    baseline = score(Predictions(task, actual, trivial))
    metrics = with_intervals(predictions, params.evaluate.confidence)
    evaluation = {
        "task": task,
        "rows": len(test),
        "confidence": params.evaluate.confidence,
        "metrics": metrics,
        "baseline": {name: rounded(value) for name, value in baseline.items()},
        "slices": slice_table(predictions, test, params.evaluate, schema),
    }
    with whole_folder(PLOTS) as folder:
        found = importance(model, test, schema, params.evaluate.seed)
        draw_plots(folder, predictions, evaluation, found, schema)
    write_rows(PREDICTIONS, prediction_rows(predictions, test, schema))
    write_json(EVALUATION, evaluation)
    write_json(
        METRICS,
        {name: value["value"] for name, value in metrics.items()}
        | {"rows": len(test), "baseline": evaluation["baseline"]},
    )
    shown = ", ".join(f"{name} {value['value']:.5g}" for name, value in metrics.items())
    print(f"evaluate: {len(test)} test rows: {shown}")


if __name__ == "__main__":
    run_command(main)
