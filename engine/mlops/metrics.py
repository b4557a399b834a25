"""Types for metrics: predictions, an estimate of a metric, a metric of the project's own."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlops.decision_rule import decided

Floats = NDArray[np.float64]
Task = Literal["regression", "classification"]


class Estimate(NamedTuple):
    """A metric of some rows.

    Attributes:
        value: not finite where the rows don't define it.
        influence: shape (n_rows,), how much the metric depends on each row; for a metric that is
            one number, how much each resample of the rows changed it. `intervals.spread` accepts
            either, and those of two models on the same rows can be subtracted.
        reason: why the value isn't finite.
    """

    value: float
    influence: Floats
    reason: str = ""


@dataclass(frozen=True)
class Predictions:
    """Actual and predicted values, row by row.

    Attributes:
        actual: shape (n_rows,); the target, or for a classification the index of the true
            class.
        predicted: shape (n_rows,) for a regression; probabilities of shape (n_rows, n_classes)
            for a classification.
        threshold: the model's: see `decision_rule.decided`.
    """

    task: Task
    actual: Floats
    predicted: Floats
    threshold: float | None = None

    def __post_init__(self) -> None:
        if len(self.actual) != len(self.predicted) or not len(self.actual):
            raise ValueError(f"{len(self.actual)} actual, {len(self.predicted)} predicted values")

    @property
    def decided(self) -> NDArray[np.intp]:
        """The indices of the classes that are decided for, shape (n_rows,)."""
        return decided(self.predicted, self.threshold)

    def take(self, rows: NDArray[Any]) -> "Predictions":
        """Return the selected rows; `rows` is a mask or an array of indices."""
        return replace(self, actual=self.actual[rows], predicted=self.predicted[rows])


@dataclass(frozen=True)
class Metric:
    """A metric of the project: an entry of METRICS in `src/project/metrics.py`.

    `compute(actual, predicted)` gets two arrays, one value per row. For a classification they are
    texts: the true class, and the one that was decided for. It returns a value per row, whose mean
    is the metric, or one number for all rows; where the metric is undefined, it returns NaN or
    raises `mlops.undefined.Undefined` with the reason.

    Attributes:
        unit: as for a column; "" for a share.
        takes: with "probabilities", `predicted` of a classification has shape (n_rows,
            n_classes), in the order of the target's choices.
    """

    name: str
    description: str
    unit: str
    compute: Callable[[Any, Any], Any]
    higher_is_better: bool = False
    takes: Literal["decisions", "probabilities"] = "decisions"


def rounded(value: float) -> float | None:
    """Round to 8 significant digits, the same on every processor; None for an undefined value."""
    return float(f"{value:.8g}") if np.isfinite(value) else None
