"""What a guess reaches on the test rows: the floors that adoption proposes."""

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
        """Guess each test row's target from those of the training rows alone."""
        task: Task = "classification" if target.choices else "regression"
        trivial = trivial_prediction(train, len(test), target)
        predictions = Predictions(task, actual_values(test, target), trivial)
        found = Metrics(task, target.choices).estimates(predictions, spread=False)
        # A guess may decide for no positive, which says nothing of the rows.
        undefined = {k: v.reason for k, v in found.items() if v.reason and k != "precision"}
        return cls({name: one.value for name, one in found.items()}, undefined)

    def floors(self, task: Task) -> dict[str, float]:
        """Give limits that a model must keep to be better than the guess.

        An R² of 0 is that of the test rows' own mean, than which no guess is better; where it is
        undefined, and of classes, the leading metric has to be better than the guess's.
        """
        plain = {"regression": {"r2": 0.0}, "classification": {"roc_auc": 0.5}}[task]
        floors = {name: least for name, least in plain.items() if name not in self.undefined}
        leading = next(iter(directions(task, 0)))
        if task == "classification" or not floors:
            floors[leading] = _rounded_down(self.metrics[leading])
        return floors

    def notes(self) -> list[str]:
        """Say which metrics the test rows don't define."""
        return [
            f"{name} is undefined on the test rows: {why}; no limit is set on it"
            for name, why in self.undefined.items()
        ]


def _rounded_down(value: float) -> float:
    """Keep 4 digits, none of them rounded up: the limit is never worse than the guess."""
    if value <= 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) + 1 - _DIGITS)
    return float(f"{math.floor(value / unit) * unit:.{_DIGITS}g}")
