"""src/project/metrics.py of an adopted table: no metric yet, and an example of one for its task."""

from mlops.metrics import Task

_TEXT = '''\
"""Metrics of your own, for the review, the gate, slices, searches and the monitor.

A function of two arrays, actual and predicted values, returns a value for each row, or one for all.
Use its name wherever params.yaml expects a metric. For example:

{example}

See docs/metrics.md for the rest.
"""

from mlops.metrics import Metric

METRICS: tuple[Metric, ...] = ()
'''

_EXAMPLES: dict[Task, str] = {
    "regression": """\
    from typing import Any

    import numpy as np

    def cost(actual: Any, predicted: Any) -> Any:
        error = predicted - actual
        return np.where(error < 0, -3 * error, error)

    METRICS = (Metric("cost", "What an error costs; too low, three times", "", cost),)""",
    "classification": """\
    from typing import Any

    import numpy as np

    def cost(actual: Any, predicted: Any) -> Any:
        return np.where(actual == predicted, 0, np.where(actual == "bad", 5, 1))

    METRICS = (Metric("cost", "What an error costs; a bad one missed, 5", "", cost),)""",
}


def metrics_text(task: Task) -> str:
    """Return the text of the file."""
    return _TEXT.format(example=_EXAMPLES[task])
