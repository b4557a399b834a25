"""Metrics of the project's own: call and check the function, estimate the spread by a bootstrap.

A metric that returns a value per row is their mean, and has influences like the engine's. One that
returns a single number is recomputed on resampled rows (Efron & Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 6). The resamples depend only on the number of rows, so that two models on
the same rows are compared in pairs.
"""

from typing import Any

import numpy as np

from mlops.errors import UserError
from mlops.metrics import Estimate, Floats, Metric, Predictions
from mlops.undefined import Undefined

FILE = "src/project/metrics.py"
RESAMPLES = 200
_LOST = 0.1
"""Share of resamples for which the metric may be undefined; above it, there is no interval."""


def own_estimate(
    metric: Metric, predictions: Predictions, choices: tuple[str, ...], spread: bool = True
) -> Estimate:
    """Compute a metric and, with `spread`, the influences that its interval needs.

    Raises:
        UserError: its function fails, or returns neither a number nor one per row.
    """
    n = len(predictions.actual)
    unknown = np.full(n, np.nan)
    if not np.isfinite(predictions.predicted).all():
        return Estimate(np.nan, unknown, "a prediction is not finite")
    given = _arguments(metric, predictions, choices)
    try:
        found = _called(metric, *given)
    except Undefined as reason:
        return Estimate(np.nan, unknown, str(reason))
    if odd := int((~np.isfinite(found)).sum()):
        said = f"{odd} of {n} rows have no finite value" if found.ndim else "no finite number"
        return Estimate(np.nan, unknown, said)
    value = float(found.mean())
    if found.ndim:
        return Estimate(value, found - value)
    return Estimate(value, _moved(metric, value, *given) if spread else unknown)


def _arguments(metric: Metric, predictions: Predictions, choices: tuple[str, ...]) -> list[Any]:
    """Return the function's arguments, as read-only arrays."""
    given: list[Any] = [predictions.actual, predictions.predicted]
    if choices:
        names = np.array(choices)
        given[0] = names[predictions.actual.astype(int)]
        if metric.takes == "decisions":
            given[1] = names[predictions.decided]
    given = [one.view() for one in given]
    for one in given:
        one.flags.writeable = False
    return given


def _called(metric: Metric, actual: Any, predicted: Any) -> Floats:
    where = f"{FILE}: metric {metric.name!r}"
    try:
        with np.errstate(all="ignore"):
            found = np.asarray(metric.compute(actual, predicted))
    except Undefined:
        raise
    except Exception as error:
        raise UserError(f"{where}: its function fails: {type(error).__name__}: {error}") from error
    if found.dtype.kind not in "fiub" or found.shape not in ((), (len(actual),)):
        raise UserError(
            f"{where}: found {found.dtype} of shape {found.shape}, wanted a number, or one per "
            f"row: shape ({len(actual)},)"
        )
    return found.astype(np.float64)


def _moved(metric: Metric, value: float, actual: Any, predicted: Any) -> Floats:
    """Return how much each resample changes the metric, scaled for `intervals.spread`."""
    n = len(actual)
    rng, moved = np.random.default_rng(n), np.full(RESAMPLES, np.nan)
    for place in range(RESAMPLES if n > 1 else 0):
        rows = rng.integers(0, n, n)
        try:
            found = _called(metric, actual[rows], predicted[rows])
        except Undefined:
            continue
        moved[place] = found - value if not found.ndim else np.nan
    known = np.isfinite(moved)
    if known.mean() < 1 - _LOST:
        return np.full(RESAMPLES, np.nan)
    moved = np.where(known, moved - moved[known].mean(), 0.0)
    # Resamples vary a little less than samples do; spread() divides by the root of RESAMPLES.
    return np.asarray(moved * np.sqrt(RESAMPLES / known.mean() * n / (n - 1)))
