"""The decision threshold of a model of two classes: given, or chosen on held-out rows.

It is part of the fitted model, so that every user of the model decides as the API does.
"""

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from mlops.columns import Schema
from mlops.errors import UserError
from mlops.kinds import Kind
from mlops.metric_registry import Metrics
from mlops.metrics import Floats, Predictions, rounded
from mlops.params import BestMetric, ErrorCosts, Train
from mlops.pipeline.search import cut_folds, predict_fold

_TRIED = 500


def keep_threshold(model: Pipeline, threshold: float | None) -> Pipeline:
    """Store a threshold in a fitted model; None leaves it unchanged."""
    if threshold is not None:
        model.threshold = threshold
    return model


def threshold_of(model: Pipeline) -> float | None:
    """Return the threshold of a fitted model; with None, the most likely class is chosen."""
    return getattr(model, "threshold", None)


def resolve_threshold(
    rows: pd.DataFrame, kind: Kind, train: Train, schema: Schema, metrics: Metrics
) -> float | None:
    """Return `train.threshold`, or the best threshold for its costs or its metric.

    Only held-out rows of the folds of `train.search` are used, each predicted by a model fitted on
    other rows: a model is overconfident on its own training rows. No test row is used.
    """
    wanted = train.threshold
    if wanted is None or isinstance(wanted, float):
        return wanted
    found = [
        predict_fold(rows, fold, train, schema, kind) for fold in cut_folds(rows, train, schema)
    ]
    held_out = Predictions(
        schema.task,
        np.concatenate([one.actual for one in found]),
        np.concatenate([one.predicted for one in found]),
    )
    return best_threshold(held_out, wanted, metrics)


def best_threshold(
    held_out: Predictions, wanted: ErrorCosts | BestMetric, metrics: Metrics
) -> float:
    """Choose the threshold with the least costs or the best metric; of equals, the middle one.

    Raises:
        UserError: the metric is undefined at every threshold.
    """
    tried = _between(held_out.predicted[:, 1])
    if isinstance(wanted, ErrorCosts):
        goodness = [-_costs(held_out, wanted, one) for one in tried]
    else:
        name, own = wanted.metric, metrics.only(wanted.metric)
        found = (own.score(_decided_by(held_out, one))[name] for one in tried)
        goodness = [own.goodness(name, value) if np.isfinite(value) else -np.inf for value in found]
        if not np.isfinite(goodness).any():
            raise UserError(
                f"train.threshold: {name} is undefined on the {len(held_out.actual)} training "
                "rows in cross-validation, for every threshold",
                advice="Set another metric, or a number.",
            )
    best = np.flatnonzero(np.equal(goodness, max(goodness)))
    return float(tried[best[len(best) // 2]])


def _costs(held_out: Predictions, wanted: ErrorCosts, threshold: float) -> float:
    positive, decided = held_out.actual == 1, _decided_by(held_out, threshold).decided == 1
    false_positives, false_negatives = (decided & ~positive).sum(), (positive & ~decided).sum()
    return float(false_positives * wanted.false_positive + false_negatives * wanted.false_negative)


def _decided_by(held_out: Predictions, threshold: float) -> Predictions:
    return Predictions(held_out.task, held_out.actual, held_out.predicted, threshold)


def _between(claimed: Floats) -> Floats:
    """Return thresholds between the probabilities that occur, and above and below all of them.

    None equals a probability: rounding would decide on which side of it the row falls.
    """
    values = np.unique(np.concatenate([[0.0], claimed, [1.0]]))
    middles = (values[1:] + values[:-1]) / 2
    places = np.unique(np.linspace(0, len(middles) - 1, _TRIED).astype(int))
    shown = [rounded(value) for value in middles[places]]
    return np.array([value for value in shown if value is not None and 0 < value < 1])
