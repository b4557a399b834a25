"""Metrics of your own: each counts in the review, the gate, slices, searches and the monitor.

A function of two arrays, what happened and what was predicted, gives a value for each row, or one
for all. Use its name wherever params.yaml wants a metric. docs/metrics.md tells the rest.
"""

from typing import Any

import numpy as np

from mlops.metrics import Metric


def cost(actual: Any, predicted: Any) -> Any:
    """A house priced too low is sold at once, and the difference lost; too high, it waits."""
    error = predicted - actual
    return np.where(error < 0, -error, 0.3 * error)


METRICS: tuple[Metric, ...] = (
    Metric("pricing_cost", "What a wrong price costs on average", "US dollars", cost),
)
