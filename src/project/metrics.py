"""Metrics of your own, for the review, the gate, slices, searches and the monitor.

A function of two arrays, actual and predicted values, returns a value for each row, or one for all.
Use its name wherever params.yaml expects a metric. See docs/metrics.md for the rest.
"""

from typing import Any

import numpy as np

from mlops.metrics import Metric


def cost(actual: Any, predicted: Any) -> Any:
    """Compute the cost: too low a price loses the difference; too high a price delays the sale."""
    error = predicted - actual
    return np.where(error < 0, -error, 0.3 * error)


METRICS: tuple[Metric, ...] = (
    Metric("pricing_cost", "What a wrong price costs on average", "US dollars", cost),
)
