"""What rows look like, as counts: small enough for the bundle, and enough to test drift against."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlops.columns import Feature, Schema
from mlops.metrics import Predictions

BINS = 20
"""Bins of a numeric column, of about equally many reference rows each."""

LISTED_TEXTS = 1000
"""Texts of an open feature that are counted, the frequent ones; there may be any number."""

Profile = dict[str, Any]


def reference_profile(rows: pd.DataFrame, schema: Schema) -> dict[str, Profile]:
    """Count every feature of the rows that a model was made with.

    Returns:
        Column -> {rows, missing, choices: {choice: rows}} for categories, of an open feature the
        frequent ones, and `whole` if these are all; or {rows, missing,
        edges: [ascending, inner], low, high, counts: [one more than edges]} for numbers. `low` and
        `high` are the least and greatest value.
    """
    return {column.name: _counted(rows[column.name], column) for column in schema.features}


def prediction_profile(predictions: Predictions, schema: Schema) -> Profile:
    """Count predictions: numbers, or the choices that are decided for."""
    if not schema.target.choices:
        return number_profile(predictions.predicted)
    return choice_profile(pd.Series(np.array(schema.target.choices)[predictions.decided]))


def number_profile(values: Any) -> Profile:
    """Count numbers in bins cut at their own quantiles; a value on an edge falls below it."""
    numbers = pd.Series(values, dtype="float64")
    present = numbers.dropna().to_numpy()
    if not len(present):
        return {"rows": len(numbers), "missing": len(numbers), "edges": [], "counts": [0]}
    # An edge is a value that occurs: so whole numbers of which there are few get a bin each.
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
    """Count choices, the frequent ones first."""
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
