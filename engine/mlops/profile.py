"""Counts that describe rows: small enough for the bundle, and sufficient for drift tests."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlops.columns import Feature, Schema
from mlops.metrics import Predictions

BINS = 20
"""Bins of a numeric column, each with about the same number of reference rows."""

LISTED_TEXTS = 1000
"""Number of texts of an open feature that are counted, the most frequent ones."""

Profile = dict[str, Any]


def reference_profile(rows: pd.DataFrame, schema: Schema) -> dict[str, Profile]:
    """Count every feature of the rows that a model was trained on.

    Returns:
        Column -> {rows, missing, choices: {choice: rows}} for categorical features; an open one
        has the most frequent texts, and `whole`: whether these are all. For numbers: {rows,
        missing, edges: [ascending, inner], low, high, counts: [one more than edges]}, where `low`
        and `high` are the minimum and maximum.
    """
    return {column.name: _counted(rows[column.name], column) for column in schema.features}


def prediction_profile(predictions: Predictions, schema: Schema) -> Profile:
    """Count predictions: numbers, or the choices decided for."""
    if not schema.target.choices:
        return number_profile(predictions.predicted)
    return choice_profile(pd.Series(np.array(schema.target.choices)[predictions.decided]))


def number_profile(values: Any) -> Profile:
    """Count numbers in bins between their quantiles; a value on an edge is in the lower bin."""
    numbers = pd.Series(values, dtype="float64")
    present = numbers.dropna().to_numpy()
    if not len(present):
        return {"rows": len(numbers), "missing": len(numbers), "edges": [], "counts": [0]}
    # Edges are values that occur, so that each of a few distinct whole numbers gets a bin.
    cuts = np.quantile(present, np.arange(1, BINS) / BINS, method="lower")
    edges = [float(edge) for edge in np.unique(cuts) if edge < present.max()]
    return {
        "rows": len(numbers),
        "missing": len(numbers) - len(present),
        "edges": edges,
        "low": float(present.min()),
        "high": float(present.max()),
        "counts": binned(present, edges),
    }


def choice_profile(values: pd.Series) -> Profile:
    """Count choices, the most frequent first."""
    counts = values.value_counts()
    return {
        "rows": len(values),
        "missing": int(values.isna().sum()),
        "choices": {str(choice): int(rows) for choice, rows in counts.items() if rows},
    }


def binned(present: Any, edges: Sequence[float]) -> list[int]:
    """Count numbers between edges: len(edges) + 1 counts."""
    places = np.searchsorted(np.asarray(edges), present, side="left")
    return [int(rows) for rows in np.bincount(places, minlength=len(edges) + 1)]


def _counted(values: pd.Series, column: Feature) -> Profile:
    if not column.is_categorical:
        return number_profile(values)
    counted = choice_profile(values)
    if column.open:
        choices = counted["choices"]
        counted["whole"] = len(choices) <= LISTED_TEXTS
        counted["choices"] = dict(itertools.islice(choices.items(), LISTED_TEXTS))
    return counted
