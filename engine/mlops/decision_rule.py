"""From probabilities to a decision: one rule for API, scoring, evaluation, review and monitor."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TIE = 1e-9
"""A probability this much below the threshold reaches it: the exported model adds up in another
order than the one that was trained, and 3 of 10 is 0.3 for one and 0.29999999999999998 for the
other."""


def decided(proba: NDArray[np.float64], threshold: float | None) -> NDArray[np.intp]:
    """Give the place of the class that each row is decided for, shape (n_rows,).

    Args:
        proba: shape (n_rows, n_classes).
        threshold: of two classes, decide for the second where its probability reaches this; None
            decides for the most likely class, the first of equals.
    """
    if threshold is None:
        return proba.argmax(axis=1)
    return (proba[:, 1] >= threshold - _TIE).astype(np.intp)


def decided_choices(shares: Sequence[Mapping[str, float]], threshold: float | None) -> list[Any]:
    """Give the choice that each row is decided for, from probabilities by choice in their order."""
    if not shares:
        return []
    choices = list(shares[0])
    proba = np.array([[*row.values()] for row in shares], dtype=np.float64)
    return [choices[place] for place in decided(proba, threshold)]
