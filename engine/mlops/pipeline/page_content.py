"""What the API's page shows of the test rows: examples to pick, and the range of the errors."""

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlops.columns import Column, Schema
from mlops.metrics import Predictions, rounded
from mlops.params import Params
from mlops.paths import FEEDBACK
from mlops.records import ErrorRange, ExampleRecord, PageRecord

EXAMPLES = 6
"""Maximum number of rows that the page offers."""
LARGEST = 20_000
"""Maximum characters of all examples together: wide tables get fewer."""
SHARE = 0.9
"""Share of the test rows within the range of the errors."""
LEAST_ROWS = 100
"""Fewer test rows have no such range: each of its ends would rest on a handful of rows."""


def public_rows(keys: "pd.Series[Any]", params: Params) -> NDArray[np.bool_]:
    """Return which rows anyone may see: none, or those that are no feedback, by their keys.

    Feedback holds the requests of users. The file that a retraining wrote is part of the source, so
    the test rows, on which the stage depends, change with it.
    """
    if not params.review.examples:
        return np.zeros(len(keys), dtype=bool)
    partition = Path(params.ingest.source) / FEEDBACK
    if "://" in params.ingest.source or not partition.is_file():
        return np.ones(len(keys), dtype=bool)
    told = pd.read_csv(partition, usecols=[str(keys.name)], dtype=str, keep_default_na=False)
    return ~keys.astype(str).isin(told[keys.name]).to_numpy()


def describe_page(
    rows: pd.DataFrame,
    predictions: Predictions,
    schema: Schema,
    *,
    public: NDArray[np.bool_],
    relative: bool,
) -> PageRecord:
    """Describe the test rows for the page.

    Args:
        rows: the inputs of the test rows, in the order of the predictions.
        public: which of them anyone may see, shape (n_rows,).
        relative: whether errors are shares of the prediction, as those of a model of logarithms.
    """
    shown = _small_enough(rows[public], predictions.take(public), schema) if public.any() else []
    return {
        "examples": shown,
        "error_range": _error_range(predictions, relative),
    }


def _small_enough(
    rows: pd.DataFrame, predictions: Predictions, schema: Schema
) -> list[ExampleRecord]:
    for most in range(EXAMPLES, 0, -1):
        places = typical_rows(predictions, most)
        found = [_example(rows.iloc[place], int(place), predictions, schema) for place in places]
        if len(json.dumps(found)) <= LARGEST:
            return found
    return []


def typical_rows(predictions: Predictions, most: int) -> list[int]:
    """Choose rows at quantiles of the prediction; of a classification, within each class."""
    if predictions.task == "regression":
        return _spread(predictions.predicted, np.arange(len(predictions.actual)), most)
    decided = predictions.decided
    classes, counts = np.unique(decided, return_counts=True)
    shown = sorted(classes[np.argsort(-counts, kind="stable")[:most]])
    return [
        place
        for choice in shown
        for place in _spread(
            predictions.predicted[:, choice], np.flatnonzero(decided == choice), most // len(shown)
        )
    ]


def _spread(values: NDArray[Any], places: NDArray[np.intp], most: int) -> list[int]:
    """Choose places at evenly spaced quantiles of their values."""
    ordered = places[np.argsort(values[places], kind="stable")]
    ranks = (np.arange(most) + 0.5) / most * len(ordered)
    return [int(place) for place in ordered[np.unique(ranks.astype(int))]]


def _example(
    row: "pd.Series[Any]", place: int, predictions: Predictions, schema: Schema
) -> ExampleRecord:
    choices = schema.target.choices
    actual, predicted = predictions.actual[place], predictions.predicted[place]
    return {
        "inputs": {
            column.name: _value(row[column.name], column)
            for column in schema.inputs
            if pd.notna(row[column.name])
        },
        "actual": choices[int(actual)] if choices else rounded(float(actual)),
        "predicted": choices[predictions.decided[place]] if choices else rounded(float(predicted)),
    }


def _value(value: Any, column: Column) -> Any:
    """Convert a frame's value to that of a request: frames hold whole numbers as floats."""
    if column.type is datetime.date:
        return value.date().isoformat()
    if column.type is datetime.datetime:
        # Browsers keep milliseconds.
        return value.isoformat(timespec="milliseconds" if value.microsecond else "seconds")
    convert: Any = column.type
    return convert(value)


def _error_range(predictions: Predictions, relative: bool) -> ErrorRange | None:
    """Return between which factors, or differences, of the prediction SHARE of the rows lie."""
    actual, predicted = predictions.actual, predictions.predicted
    if predictions.task != "regression" or len(actual) < LEAST_ROWS:
        return None
    if relative and not (predicted > 0).all():
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        off = actual / predicted if relative else actual - predicted
        low, high = map(rounded, np.quantile(off, [(1 - SHARE) / 2, (1 + SHARE) / 2]).tolist())
    if low is None or high is None:
        return None
    return {"share": SHARE, "low": low, "high": high, "relative": relative}
