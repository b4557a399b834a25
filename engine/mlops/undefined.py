"""Reasons why a metric is undefined for some rows, shown in place of its value.

They depend on the rows, hardly ever on the model, so both sides of a comparison have the same one.
This module needs only the standard library.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # jobs that write to GitHub import this without any library
    from mlops.metrics import Predictions

UNDEFINED = "undefined"

_UNKNOWN = "no finite number"


class Undefined(Exception):
    """Raised by a project's metric that is undefined for the rows; the message is the reason."""


def why_undefined(metric: str, predictions: "Predictions") -> str:
    """Return why a metric of these rows isn't finite, such as '1 of 9 targets is 0'."""
    actual, predicted, n = predictions.actual, predictions.predicted, len(predictions.actual)
    if odd := n - int((abs(predicted.reshape(n, -1)) < math.inf).all(axis=1).sum()):
        return f"{odd} of {n} predictions {'is' if odd == 1 else 'are'} not finite"
    if metric in ("mape", "median_ape") and (zeros := int((actual == 0).sum())):
        return f"{zeros} of {n} targets {'is' if zeros == 1 else 'are'} 0"
    if metric == "precision":
        return f"none of the {n} rows is predicted positive"
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
    """Format an evaluated metric with 5 digits, or as undefined with the reason."""
    if metric["value"] is None:
        return f"{UNDEFINED} ({reason_of(metric)})"
    return f"{metric['value']:.5g}"


def reason_of(metric: Mapping[str, Any]) -> str:
    """Return the reason of an undefined value; older releases recorded none."""
    return str(metric.get("reason") or _UNKNOWN)
