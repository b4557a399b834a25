"""Why some rows don't define a metric, in words that stand wherever its value would.

What decides is the rows, hardly ever the model: so both sides of a comparison say the same. This
module needs nothing but the standard library.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what writes to GitHub has these words, and no library
    from mlops.metrics import Predictions

UNDEFINED = "undefined"

_UNKNOWN = "no finite number"


class Undefined(Exception):
    """Raised by a metric of the project's own for rows that don't define it; says why."""


def why_undefined(metric: str, predictions: "Predictions") -> str:
    """Say why a metric of these rows isn't finite, as '1 of 9 targets is 0'."""
    actual, predicted, n = predictions.actual, predictions.predicted, len(predictions.actual)
    if odd := n - int((abs(predicted.reshape(n, -1)) < math.inf).all(axis=1).sum()):
        return f"{odd} of {n} predictions {'is' if odd == 1 else 'are'} not finite"
    if metric in ("mape", "median_ape") and (zeros := int((actual == 0).sum())):
        return f"{zeros} of {n} targets {'is' if zeros == 1 else 'are'} 0"
    if metric == "precision":
        return f"none of the {n} rows is decided to be positive"
    if metric in ("recall", "average_precision"):
        return f"no positive among the {n} rows"
    if n == 1:
        return "there is only one row"
    if metric == "r2" and (actual == actual[0]).all():
        return f"all {n} targets are equal"
    if metric == "roc_auc" and (actual == actual[0]).all():
        if predicted.shape[1] == 2:
            return f"no {'negative' if actual[0] else 'positive'} among the {n} rows"
        return f"all {n} rows are of one class"
    return "the errors are too large for a number"


def in_words(metric: Mapping[str, Any]) -> str:
    """Write an evaluated metric with 5 digits; if it is undefined, say so, and why."""
    if metric["value"] is None:
        return f"{UNDEFINED} ({reason_of(metric)})"
    return f"{metric['value']:.5g}"


def reason_of(metric: Mapping[str, Any]) -> str:
    """Give the reason that stands beside an undefined value; one of an older release has none."""
    return str(metric.get("reason") or _UNKNOWN)
