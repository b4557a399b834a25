"""Stage evaluate: model and test rows -> metrics with intervals, slices, predictions, plots."""

import sys
from collections.abc import Generator
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.pipeline import Pipeline
from tqdm import tqdm

from mlops.columns import Schema
from mlops.errors import UserError, run_command
from mlops.files import whole_folder, write_json
from mlops.frames import read_rows, with_derived, write_rows
from mlops.intervals import spread
from mlops.metric_registry import Metrics
from mlops.metrics import Floats, Predictions, rounded
from mlops.params import Evaluate
from mlops.paths import EVALUATION, METRICS, MODEL, PLOTS, PREDICTIONS, TEST_ROWS, TRAIN_ROWS
from mlops.pipeline.baseline import trivial_prediction
from mlops.pipeline.evaluation_plots import draw_plots
from mlops.pipeline.model import actual_values, predict
from mlops.pipeline.threshold import threshold_of
from mlops.project import load_metrics, load_project_params, load_tabled_schema
from mlops.records import Evaluation, MetricRecord, SliceRecord
from mlops.slices import slices
from mlops.undefined import in_words

PROBABILITY_DIGITS = 8
IMPORTANCE_ROWS = 2000
IMPORTANCE_REPEATS = 5
IMPORTANCE_PREDICTIONS = 1500
"""Approximate number of predictions of the test rows, but at least one per feature."""
SHOWN_EVERY = 250


def refuse_infinite(predictions: Predictions) -> None:
    """Check that all predictions are finite.

    Raises:
        UserError: some are not.
    """
    n = len(predictions.actual)
    odd = n - int(np.isfinite(predictions.predicted.reshape(n, -1)).all(axis=1).sum())
    if odd:
        raise UserError(
            f"the model predicts no finite number for {odd} of {n} test rows",
            advice="Check train.log_target, the section of models: and the features.",
        )


def with_intervals(
    predictions: Predictions, metrics: Metrics, confidence: float
) -> dict[str, MetricRecord]:
    """Return each metric as {value, low, high}, and `reason` if it is undefined."""
    found: dict[str, MetricRecord] = {}
    for name, (value, influence, reason) in metrics.estimates(predictions).items():
        if not np.isfinite(value):
            found[name] = {"value": None, "low": None, "high": None, "reason": reason}
            continue
        margin = spread(influence).margin(confidence)
        low, high = metrics.ends(name, value - margin, value + margin)
        found[name] = {"value": rounded(value), "low": rounded(low), "high": rounded(high)}
    return found


def plain_metrics(evaluation: Evaluation) -> dict[str, Any]:
    """Return the values that DVC compares, null where undefined, and `reasons` for these."""
    metrics = evaluation["metrics"]
    reasons = {name: m["reason"] for name, m in metrics.items() if m["value"] is None}
    plain: dict[str, Any] = {name: metric["value"] for name, metric in metrics.items()}
    plain |= {"rows": evaluation["rows"], "baseline": evaluation["baseline"]}
    plain |= {} if evaluation["threshold"] is None else {"threshold": evaluation["threshold"]}
    return plain | ({"reasons": reasons} if reasons else {})


def slice_table(
    predictions: Predictions,
    test: pd.DataFrame,
    params: Evaluate,
    schema: Schema,
    metrics: Metrics,
) -> list[SliceRecord]:
    """Score each slice separately."""
    return [
        {
            "column": column,
            "slice": label,
            "rows": int(members.sum()),
            "metrics": with_intervals(predictions.take(members), metrics, params.confidence),
        }
        for column, label, members in slices(test, params.slices, schema)
    ]


def importance(
    model: Pipeline, test: pd.DataFrame, schema: Schema, metrics: Metrics, seed: int
) -> pd.DataFrame:
    """Measure how much worse the leading metric gets when a feature is shuffled.

    Source: Breiman, Random Forests, Machine Learning 45, 2001, section 10. On at most
    IMPORTANCE_ROWS rows, with fewer repeats for wide tables. The table's shape decides, because
    a time limit would give different results on different machines.
    """
    leading = metrics.only(metrics.leading)
    rows = test.sample(min(len(test), IMPORTANCE_ROWS), random_state=seed)
    names = [column.name for column in schema.features]
    repeats = min(IMPORTANCE_REPEATS, max(1, IMPORTANCE_PREDICTIONS // len(names)))
    counted = _counted(1 + repeats * len(names))

    def goodness(fitted: Pipeline, features: pd.DataFrame, actual: Floats) -> float:
        next(counted, None)
        predicted = predict(fitted, features, schema.target)
        value = leading.score(Predictions(schema.task, actual, predicted))[leading.leading]
        return leading.goodness(leading.leading, value)

    features, last = model[:-1].transform(rows[names]), model[-1:]
    # Selecting the features each time would take longer than predicting; but an open feature may
    # be several columns, one for each class.
    whole = list(features) != names
    found = permutation_importance(
        model if whole else last,
        rows[names] if whole else features,
        actual_values(rows, schema.target),
        scoring=goodness,
        n_repeats=repeats,
        random_state=seed,
    )
    counted.close()
    table = pd.DataFrame({"feature": names, "importance": found.importances_mean})
    return table.sort_values(["importance", "feature"], ascending=[False, True], ignore_index=True)


def _counted(total: int) -> Generator[None, None, None]:
    """Show the progress of predictions: as a bar, or as a line every SHOWN_EVERY of them."""
    for done in tqdm(range(1, total + 1), desc="evaluate: importance", disable=None):
        if not sys.stderr.isatty() and done % SHOWN_EVERY == 0:
            print(f"evaluate: importance, {done:,} of {total:,} predictions", file=sys.stderr)
        yield


def prediction_rows(predictions: Predictions, test: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Return keys, targets and predictions: `predicted`, or one probability per choice.

    Rounded, so that their hash is the same on every processor. A release compares its model's
    predictions with them, row by row, to check that it is the reviewed one.
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
    params, schema = load_project_params(), load_tabled_schema()
    task, target, metrics = schema.task, schema.target, load_metrics(schema)
    train = read_rows(TRAIN_ROWS, [target.name])
    test = with_derived(read_rows(TEST_ROWS), schema)
    model = joblib.load(MODEL)
    actual = actual_values(test, target)
    threshold = threshold_of(model)
    predictions = Predictions(task, actual, predict(model, test, target), threshold)
    refuse_infinite(predictions)
    trivial = trivial_prediction(train, len(test), target)
    baseline = metrics.score(Predictions(task, actual, trivial, threshold))
    found = with_intervals(predictions, metrics, params.evaluate.confidence)
    evaluation: Evaluation = {
        "task": task,
        "rows": len(test),
        "confidence": params.evaluate.confidence,
        "threshold": threshold,
        "metrics": found,
        "own_metrics": metrics.described,
        "baseline": {name: rounded(value) for name, value in baseline.items()},
        "slices": slice_table(predictions, test, params.evaluate, schema, metrics),
    }
    with whole_folder(PLOTS) as folder:
        table = importance(model, test, schema, metrics, params.evaluate.seed)
        draw_plots(folder, predictions, evaluation, table, schema)
    write_rows(PREDICTIONS, prediction_rows(predictions, test, schema))
    write_json(EVALUATION, evaluation)
    write_json(METRICS, plain_metrics(evaluation))
    shown = ", ".join(f"{name} {in_words(metric)}" for name, metric in found.items())
    print(f"evaluate: {len(test)} test rows: {shown}")


if __name__ == "__main__":
    run_command(main)
