"""Metrics of predictions, for given rows and for bootstrap draws of them, in one formula.

Every metric takes weights of shape (n_draws, n_rows) and gives one value a draw: weights of one
give the metric itself, weights that count how often each row was drawn give a bootstrap replicate.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Task = Literal["regression", "classification"]

HIGHER_IS_BETTER: dict[Task, dict[str, bool]] = {
    "regression": {"rmse": False, "mae": False, "mape": False, "median_ape": False, "r2": True},
    "classification": {
        "log_loss": False,
        "brier": False,
        "roc_auc": True,
        "f1_macro": True,
        "balanced_accuracy": True,
        "calibration_error": False,
    },
}
"""The metrics of each task, the leading one first."""

MOST_ROWS = 10_000
"""Rows that bootstrap draws are made of; of more rows a sample is taken."""

_BLOCK = 4_000_000
_BINS = 10
_TINY = 1e-15


@dataclass(frozen=True)
class Predictions:
    """What happened and what was predicted, row by row.

    Attributes:
        actual: shape (n_rows,); the target, or for a classification the place of the class that
            came true among the classes.
        predicted: shape (n_rows,) for a regression; probabilities of shape (n_rows, n_classes)
            for a classification.
    """

    task: Task
    actual: Floats
    predicted: Floats

    def __post_init__(self) -> None:
        if len(self.actual) != len(self.predicted) or not len(self.actual):
            raise ValueError(f"{len(self.actual)} actual, {len(self.predicted)} predicted values")

    def take(self, rows: NDArray[np.bool_]) -> "Predictions":
        """Keep the rows that are marked."""
        return Predictions(self.task, self.actual[rows], self.predicted[rows])


def score(predictions: Predictions) -> dict[str, float]:
    """Compute the task's metrics; one that these rows don't define (R² of one row) is NaN."""
    ones = np.ones((1, len(predictions.actual)))
    return {name: float(values[0]) for name, values in weighted_scores(predictions, ones).items()}


def weighted_scores(predictions: Predictions, weights: Floats) -> dict[str, Floats]:
    """Compute the task's metrics for weights of shape (n_draws, n_rows): shape (n_draws,) each."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if predictions.task == "regression":
            return _regression(predictions.actual, predictions.predicted, weights)
        return _classification(predictions.actual.astype(int), predictions.predicted, weights)


def bootstrap_scores(predictions: Predictions, replicates: int, seed: int) -> dict[str, Floats]:
    """Compute the metrics of bootstrap draws of the rows: shape (replicates,) each.

    The same seed and number of rows give the same draws, so two models scored by it are compared
    in pairs (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapters 6 and 13). Over
    MOST_ROWS rows, draws are made of a sample and their spread is scaled to the full number: the
    m-out-of-n bootstrap (Bickel, Götze & van Zwet, Statistica Sinica 7, 1997).
    """
    n_rows = len(predictions.actual)
    rng = np.random.default_rng(seed)
    if n_rows <= MOST_ROWS:
        return _replicates(predictions, replicates, rng)
    drawn = np.zeros(n_rows, dtype=bool)
    drawn[rng.choice(n_rows, MOST_ROWS, replace=False)] = True
    sample, full = predictions.take(drawn), score(predictions)
    shrink, centre = np.sqrt(MOST_ROWS / n_rows), score(sample)
    spread = _replicates(sample, replicates, rng)
    return {name: full[name] + shrink * (spread[name] - centre[name]) for name in full}


def interval(values: Floats, confidence: float) -> tuple[float, float]:
    """Give the central percentile interval of bootstrap values, leaving undefined ones out."""
    defined = values[np.isfinite(values)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def rounded(value: float) -> float | None:
    """Round to 8 significant digits, the same on every processor; None for an undefined value."""
    return float(f"{value:.8g}") if np.isfinite(value) else None


def _replicates(
    predictions: Predictions, replicates: int, rng: np.random.Generator
) -> dict[str, Floats]:
    """Score draws block by block, so that the weights never fill the memory."""
    n_rows, parts = len(predictions.actual), []
    for start in range(0, replicates, n_draws := max(1, _BLOCK // n_rows)):
        block = range(start, min(start + n_draws, replicates))
        counts = [np.bincount(rng.integers(0, n_rows, n_rows), minlength=n_rows) for _ in block]
        parts.append(weighted_scores(predictions, np.array(counts, dtype=np.float64)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _regression(actual: Floats, predicted: Floats, weights: Floats) -> dict[str, Floats]:
    error = predicted - actual
    share = np.abs(error / actual)
    centred = actual - actual.mean()  # R² is of the spread alone: large means would cancel it out
    moments = np.stack([np.ones_like(actual), error**2, np.abs(error), share, centred, centred**2])
    n, squares, absolute, shares, total, total_squares = (weights @ moments.T).T
    return {
        "rmse": np.sqrt(squares / n),
        "mae": absolute / n,
        "mape": shares / n,
        "median_ape": _median(share, weights),
        "r2": 1 - squares / (total_squares - total**2 / n),
    }


def _median(values: Floats, weights: Floats) -> Floats:
    """Take the median of `values`, each standing as often as its weight says."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[:, order], axis=1)
    half = below[:, -1:] / 2
    low, high = (below >= half).argmax(axis=1), (below > half).argmax(axis=1)
    return (values[order[low]] + values[order[high]]) / 2


def _classification(actual: NDArray[np.int_], proba: Floats, weights: Floats) -> dict[str, Floats]:
    n_classes = proba.shape[1]
    happened = np.eye(n_classes)[actual]
    chosen = proba.argmax(axis=1)
    n = weights.sum(axis=1)
    loss = -np.log(np.clip(proba[np.arange(len(actual)), actual], _TINY, 1.0))
    cells = np.eye(n_classes**2)[actual * n_classes + chosen]
    confusion = (weights @ cells).reshape(-1, n_classes, n_classes)
    hits = np.einsum("dii->di", confusion)
    truly, claimed = confusion.sum(axis=2), confusion.sum(axis=1)
    return {
        "log_loss": weights @ loss / n,
        "brier": weights @ ((proba - happened) ** 2).sum(axis=1) / n,
        "roc_auc": _roc_auc(happened, proba, weights),
        # A class that neither happened nor was claimed in a draw counts for nothing in it.
        "f1_macro": np.nanmean(2 * hits / (truly + claimed), axis=1),
        "balanced_accuracy": np.nanmean(hits / truly, axis=1),
        "calibration_error": _calibration_error(actual == chosen, proba.max(axis=1), weights),
    }


def _roc_auc(happened: Floats, proba: Floats, weights: Floats) -> Floats:
    """Average each class's area under the ROC curve by its share; of two classes, the second's."""
    if proba.shape[1] == 2:
        return _area(happened[:, 1], proba[:, 1], weights)
    areas = [_area(happened[:, c], proba[:, c], weights) for c in range(proba.shape[1])]
    shares = (weights @ happened) / weights.sum(axis=1, keepdims=True)
    present = np.where(shares > 0, np.array(areas).T, 0.0)
    return (present * shares).sum(axis=1)


def _area(positive: Floats, claimed: Floats, weights: Floats) -> Floats:
    """Chance that a positive row is claimed above a negative one, ties counting half."""
    order = np.argsort(claimed, kind="stable")
    starts = np.flatnonzero(np.diff(claimed[order], prepend=-np.inf))
    positives = np.add.reduceat(weights[:, order] * positive[order], starts, axis=1)
    negatives = np.add.reduceat(weights[:, order] * (1 - positive[order]), starts, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives / 2
    return (positives * below).sum(axis=1) / (positives.sum(axis=1) * negatives.sum(axis=1))


def _calibration_error(right: NDArray[np.bool_], confidence: Floats, weights: Floats) -> Floats:
    """Expected calibration error over ten equal bins (Naeini et al., AAAI 2015)."""
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gap = weights @ (np.eye(_BINS)[bins] * (right - confidence)[:, None])
    return np.abs(gap).sum(axis=1) / weights.sum(axis=1)
