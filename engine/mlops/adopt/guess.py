"""Metrics of a guess on the test rows, and the floors that adoption proposes from them."""

import math
from dataclasses import dataclass

import pandas as pd

from mlops.columns import Column
from mlops.metric_registry import Metrics
from mlops.metrics import Predictions, Task
from mlops.pipeline.baseline import trivial_prediction
from mlops.pipeline.model import actual_values
from mlops.standard_metrics import directions

_DIGITS = 4


@dataclass(frozen=True)
class Guess:
    """The metrics of a guess.

    Attributes:
        undefined: metric -> why these test rows don't define it.
    """

    metrics: dict[str, float]
    undefined: dict[str, str]

    @classmethod
    def of(cls, train: pd.DataFrame, test: pd.DataFrame, target: Column) -> "Guess":
        """Guess each test row's target from the training rows' targets alone."""
        task: Task = "classification" if target.choices else "regression"
        trivial = trivial_prediction(train, len(test), target)
        predictions = Predictions(task, actual_values(test, target), trivial)
        found = Metrics(task, target.choices).estimates(predictions, spread=False)
        # If a guess predicts no positive, its precision is undefined for any rows.
        undefined = {k: v.reason for k, v in found.items() if v.reason and k != "precision"}
        return cls({name: one.value for name, one in found.items()}, undefined)

    def floors(self, task: Task) -> dict[str, float]:
        """Return the limits that a model must meet to be better than the guess.

        R² is 0 for the test rows' own mean, and no guess is better. For classification, and if
        R² is undefined, the leading metric must be better than the guess's.
        """
        plain = {"regression": {"r2": 0.0}, "classification": {"roc_auc": 0.5}}[task]
        floors = {name: least for name, least in plain.items() if name not in self.undefined}
        leading = next(iter(directions(task, 0)))
        if task == "classification" or not floors:
            floors[leading] = _rounded_down(self.metrics[leading])
        return floors

    def notes(self) -> list[str]:
        """Describe the metrics that the test rows don't define."""
        return [
            f"{name} is undefined on the test rows: {why}; no limit is set on it"
            for name, why in self.undefined.items()
        ]


def _rounded_down(value: float) -> float:
    """Round down to 4 digits, so that the limit is never worse than the guess."""
    if value <= 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) + 1 - _DIGITS)
    return float(f"{math.floor(value / unit) * unit:.{_DIGITS}g}")
