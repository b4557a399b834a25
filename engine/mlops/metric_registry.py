"""The metrics of a project by name: the engine's for its task, then the project's own."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from mlops.metrics import Estimate, Metric, Predictions, Task
from mlops.own_metrics import FILE, own_estimate
from mlops.standard_metrics import directions, standard_estimates

_TAKEN = ("rows", "baseline", "reasons", "threshold")
"""Keys next to the metrics in the files that hold them."""


@dataclass(frozen=True)
class Metrics:
    """All metrics of a project.

    Attributes:
        choices: the target's.
        code: hash of the code of the project's own metrics.

    Raises:
        ValueError: duplicate or invalid names and the like; the message lists every problem.
    """

    task: Task
    choices: tuple[str, ...] = ()
    own: tuple[Metric, ...] = ()
    code: str = ""

    def __post_init__(self) -> None:
        if problems := list(self._problems()):
            raise ValueError(f"{FILE}: " + "; ".join(problems))

    def _problems(self) -> Iterator[str]:
        known = dict.fromkeys(_TAKEN, "a key of metrics.json")
        known |= dict.fromkeys(self._standard, "a metric of the engine")
        for metric in self.own:
            where = f"metric {metric.name!r}"
            if not metric.name.isidentifier():
                yield f"{where}: wanted a name of letters, digits and _"
            if metric.name in known:
                yield f"{where}: is {known[metric.name]}; wanted another name"
            known[metric.name] = "duplicated"
            if metric.takes == "probabilities" and self.task == "regression":
                yield f"{where}: needs probabilities, which a regression doesn't have"

    @cached_property
    def _standard(self) -> dict[str, bool]:
        return directions(self.task, len(self.choices))

    @cached_property
    def higher_is_better(self) -> dict[str, bool]:
        """Metric name -> whether higher is better, the leading metric first."""
        return self._standard | {metric.name: metric.higher_is_better for metric in self.own}

    @property
    def leading(self) -> str:
        """The default metric."""
        return next(iter(self._standard))

    @property
    def described(self) -> dict[str, str]:
        """Name -> description of each of the project's own metrics."""
        return {
            metric.name: metric.description + (f", in {metric.unit}" if metric.unit else "")
            for metric in self.own
        }

    def only(self, name: str) -> "Metrics":
        """Drop the project's other metrics, so that their functions need not be pickled."""
        return replace(self, own=tuple(metric for metric in self.own if metric.name == name))

    def goodness(self, name: str, value: float) -> float:
        """Return a value with its sign set so that higher is better."""
        return value if self.higher_is_better[name] else -value

    def ends(self, name: str, low: float, high: float) -> tuple[float, float]:
        """Clip an interval to the metric's range, unknown for the project's own metrics."""
        if name not in self._standard:
            return low, high
        return (low, min(1.0, high)) if self._standard[name] else (max(0.0, low), high)

    def score(self, predictions: Predictions) -> dict[str, float]:
        """Compute the metrics; one that is undefined for the rows (R² of one row) isn't finite."""
        return {name: one.value for name, one in self.estimates(predictions, False).items()}

    def estimates(self, predictions: Predictions, spread: bool = True) -> dict[str, Estimate]:
        """Compute the metrics and, with `spread`, the influences that their intervals need."""
        return standard_estimates(predictions) | {
            metric.name: own_estimate(metric, predictions, self.choices, spread)
            for metric in self.own
        }
