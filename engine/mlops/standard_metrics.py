"""The engine's metrics, each with the influence of every row, from which intervals are computed.

A row's influence is the derivative of the metric in that row's weight (Hampel, JASA 69, 1974): over
the rows it has mean 0, and its spread over √rows is the metric's standard error (the delta method,
or infinitesimal jackknife: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 22).
Influences of two models on the same rows can be subtracted, which gives paired comparisons.
"""

import numpy as np
from numpy.typing import NDArray

from mlops.metrics import Estimate, Floats, Predictions, Task
from mlops.undefined import why_undefined

_HIGHER_IS_BETTER: dict[Task, dict[str, bool]] = {
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
_OF_TWO_CLASSES = {"average_precision": True, "precision": True, "recall": True}
_BINS = 10
_TINY = 1e-15


def directions(task: Task, n_classes: int) -> dict[str, bool]:
    """Return metric -> whether higher is better, the leading metric first.

    Errors are never below 0, the other metrics never above 1.
    """
    return _HIGHER_IS_BETTER[task] | (_OF_TWO_CLASSES if n_classes == 2 else {})


def standard_estimates(predictions: Predictions) -> dict[str, Estimate]:
    """Compute the task's metrics with the influence of every row."""
    actual, predicted = predictions.actual, predictions.predicted
    n_classes = predicted.shape[1] if predicted.ndim == 2 else 0
    if not np.isfinite(predicted).all():
        unknown = Estimate(np.nan, np.full(len(actual), np.nan))
        found = dict.fromkeys(directions(predictions.task, n_classes), unknown)
    else:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            if predictions.task == "regression":
                found = _regression(actual, predicted)
            else:
                found = _classification(actual.astype(int), predicted, predictions.decided)
    return {
        name: Estimate(
            value := float(one.value),
            one.influence,
            "" if np.isfinite(value) else why_undefined(name, predictions),
        )
        for name, one in found.items()
    }


def _mean(values: Floats) -> Estimate:
    return Estimate(values.mean(), values - values.mean())


def _regression(actual: Floats, predicted: Floats) -> dict[str, Estimate]:
    error = predicted - actual
    squares, spread = error**2, (actual - actual.mean()) ** 2
    # The mean of equal numbers may differ from them in its last digit.
    mse, variance = squares.mean(), spread.mean() if np.ptp(actual) else 0.0
    rmse, share = np.sqrt(mse), np.where(actual == 0, np.inf, np.abs(error / actual))
    return {
        # Without any error it is 0 / 0; no row has influence then.
        "rmse": Estimate(rmse, np.nan_to_num((squares - mse) / (2 * rmse))),
        "mae": _mean(np.abs(error)),
        "mape": _mean(share),
        "median_ape": _median(share),
        "r2": Estimate(1 - mse / variance, (spread * mse / variance - squares) / variance),
    }


def _median(values: Floats) -> Estimate:
    """Compute the median; its density is estimated from the √n values on each side of it."""
    n, median = len(values), np.median(values)
    reach = int(np.ceil(np.sqrt(n)))
    low, high = max(0, (n - 1) // 2 - reach), min(n - 1, n // 2 + reach)
    near = np.partition(values, [low, high])
    density = (high - low) / (n * (near[high] - near[low]))
    return Estimate(median, np.sign(values - median) / (2 * density))


def _classification(
    actual: NDArray[np.int_], proba: Floats, decided: NDArray[np.intp]
) -> dict[str, Estimate]:
    rows, n_classes = np.arange(len(actual)), proba.shape[1]
    happened, chosen = np.eye(n_classes)[actual], np.eye(n_classes)[decided]
    hit, likeliest = happened * chosen, proba.argmax(axis=1)
    found = {
        "log_loss": _mean(-np.log(np.clip(proba[rows, actual], _TINY, 1.0))),
        "brier": _mean(((proba - happened) ** 2).sum(axis=1)),
        "roc_auc": _roc_auc(happened, proba),
        "f1_macro": _mean_ratio(2 * hit, happened + chosen),
        "balanced_accuracy": _mean_ratio(hit, happened),
        "calibration_error": _calibration_error(happened[rows, likeliest], proba.max(axis=1)),
    }
    if n_classes == 2:
        found["average_precision"] = _average_precision(happened[:, 1], proba[:, 1])
        found["precision"] = _ratio(hit[:, 1], chosen[:, 1])
        found["recall"] = _ratio(hit[:, 1], happened[:, 1])
    return found


def _mean_ratio(part: Floats, whole: Floats) -> Estimate:
    """Average the classes' ratios of two sums; both have shape (n_rows, n_classes).

    A class that is in no row's `whole` is left out.
    """
    seen = whole.any(axis=0)
    part, whole = part[:, seen], whole[:, seen]
    ratio = part.sum(axis=0) / whole.sum(axis=0)
    return Estimate(ratio.mean(), ((part - ratio * whole) / whole.mean(axis=0)).mean(axis=1))


def _ratio(part: Floats, whole: Floats) -> Estimate:
    ratio = part.sum() / whole.sum()
    return Estimate(ratio, (part - ratio * whole) / whole.mean())


def _average_precision(positive: Floats, claimed: Floats) -> Estimate:
    """Average the precision at each positive row's score, rows with equal scores included.

    It equals scikit-learn's average_precision_score. The influence follows from the two means in
    each precision: of all rows, and of positive rows, with at least that score.
    """
    values, place = np.unique(claimed, return_inverse=True)
    n, share = len(claimed), positive.mean()
    positives = np.bincount(place, positive, len(values))
    above = np.cumsum(np.bincount(place, minlength=len(values))[::-1])[::-1] / n
    precision = np.cumsum(positives[::-1])[::-1] / n / above
    area = positives @ precision / positives.sum()
    # A row's contribution to the precision at positives with a score not above its own.
    as_positive = np.cumsum(positives / above) / n
    as_any = np.cumsum(positives * precision / above) / n
    slope = positive * (precision + as_positive)[place] - as_any[place] - area * share
    return Estimate(area, (slope - area * (positive - share)) / share)


def _roc_auc(happened: Floats, proba: Floats) -> Estimate:
    """Average the classes' areas under the ROC curve by share; of two classes, the second's."""
    if proba.shape[1] == 2:
        return _area(happened[:, 1], proba[:, 1])
    shares, value, influence = happened.mean(axis=0), 0.0, np.zeros(len(proba))
    for c in np.flatnonzero(shares):
        area = _area(happened[:, c], proba[:, c])
        value += shares[c] * area.value
        influence += shares[c] * area.influence + area.value * (happened[:, c] - shares[c])
    return Estimate(value, influence)


def _area(positive: Floats, claimed: Floats) -> Estimate:
    """Compute the probability that a positive row scores above a negative one; ties count half.

    The influences are those of DeLong, DeLong & Clarke-Pearson, Biometrics 44, 1988.
    """
    values, place = np.unique(claimed, return_inverse=True)
    positives = np.bincount(place, positive, len(values))
    negatives = np.bincount(place, 1 - positive, len(values))
    negatives_below = (np.cumsum(negatives) - negatives / 2) / negatives.sum()
    positives_above = 1 - (np.cumsum(positives) - positives / 2) / positives.sum()
    area = positives @ negatives_below / positives.sum()
    of_positive = positive * (negatives_below[place] - area) / positive.mean()
    of_negative = (1 - positive) * (positives_above[place] - area) / (1 - positive.mean())
    return Estimate(area, of_positive + of_negative)


def _calibration_error(right: Floats, confidence: Floats) -> Estimate:
    """Compute the expected calibration error in ten equal bins (Naeini et al., AAAI 2015)."""
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gap = np.bincount(bins, right - confidence, _BINS)
    return _mean(np.sign(gap)[bins] * (right - confidence))
