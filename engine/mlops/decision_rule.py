"""The decision from probabilities: one rule for API, scoring, evaluation, review and monitor."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TIE = 1e-9
"""A probability this much below the threshold still reaches it: the exported model sums in another
order than the trained one, so that 3 of 10 is 0.3 in one and 0.29999999999999998 in the other."""


def decided(proba: NDArray[np.float64], threshold: float | None) -> NDArray[np.intp]:
    """Return the index of the class decided for each row, shape (n_rows,).

    Args:
        proba: shape (n_rows, n_classes).
        threshold: of two classes, choose the second where its probability reaches this; None
            chooses the most likely class, the first on ties.
    """
    if threshold is None:
        return proba.argmax(axis=1)
    return (proba[:, 1] >= threshold - _TIE).astype(np.intp)


def decided_choices(shares: Sequence[Mapping[str, float]], threshold: float | None) -> list[Any]:
    """Return the choice decided for each row, from its probabilities by choice, in that order."""
    if not shares:
        return []
    choices = list(shares[0])
    proba = np.array([[*row.values()] for row in shares], dtype=np.float64)
    return [choices[place] for place in decided(proba, threshold)]
