"""What metrics are made of: predictions, what is known of a metric of them, one of one's own."""

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
        influence: shape (n_rows,), how much the metric leans on each row; of a metric that comes
            as one number, how much each resample of the rows moved it. `intervals.spread` takes
            either, and those of two models on the same rows subtract.
        reason: why the value isn't finite.
    """

    value: float
    influence: Floats
    reason: str = ""


@dataclass(frozen=True)
class Predictions:
    """What happened and what was predicted, row by row.

    Attributes:
        actual: shape (n_rows,); the target, or for a classification the place of the class that
            came true among the classes.
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
        """The places of the classes that are decided for, shape (n_rows,)."""
        return decided(self.predicted, self.threshold)

    def take(self, rows: NDArray[Any]) -> "Predictions":
        """Keep the rows that are marked, or that stand at these places."""
        return replace(self, actual=self.actual[rows], predicted=self.predicted[rows])


@dataclass(frozen=True)
class Metric:
    """A metric of the project: an entry of METRICS in `src/project/metrics.py`.

    `compute(actual, predicted)` gets two arrays, a value a row. Of a classification they are texts:
    the class that came true, and the one that was decided for. It gives a value for each row, of
    which the metric is the mean, or one number for all; where rows define none, NaN, or it raises
    `mlops.undefined.Undefined` with the reason.

    Attributes:
        unit: as of a column; "" for a share.
        takes: "probabilities" gives a classification's as shape (n_rows, n_classes), in the order
            of the target's choices.
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
