"""The metrics of a project that has none of its own, for tests of what is given a project's."""

from mlops.metric_registry import Metrics
from mlops.metrics import Estimate, Predictions

PRICES = Metrics("regression")
NAMES = {
    "regression": list(PRICES.higher_is_better),
    "two classes": list(Metrics("classification", ("a", "b")).higher_is_better),
    "three classes": list(Metrics("classification", ("a", "b", "c")).higher_is_better),
}


def metrics_of(predictions: Predictions) -> Metrics:
    n_classes = predictions.predicted.shape[1] if predictions.predicted.ndim == 2 else 0
    return Metrics(predictions.task, tuple("abcdefgh"[:n_classes]))


def estimates(predictions: Predictions) -> dict[str, Estimate]:
    return metrics_of(predictions).estimates(predictions)


def score(predictions: Predictions) -> dict[str, float]:
    return metrics_of(predictions).score(predictions)
