"""Estimate how far a metric of some rows may be from its value in the population.

`engine/benchmarks/review.py` compares these methods with others where the truth is known.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, stdtrit

from mlops.metrics import Floats


class Spread(NamedTuple):
    """A standard error and its degrees of freedom."""

    error: float
    degrees: float

    def margin(self, confidence: float) -> float:
        """Return half the width of the central interval, by Student's t."""
        return float(self.error * stdtrit(self.degrees, (1 + confidence) / 2))

    def surprise(self, confidence: float) -> float:
        """Return the size that chance alone exceeds with a probability of 1 - confidence."""
        return float(self.error * ndtri((1 + confidence) / 2))


def spread(influence: Floats) -> Spread:
    """Estimate the spread of a metric, or of a difference of two, from the rows' influences.

    A standard error from rows with a few large influences is itself imprecise: as precise as from
    2n / (kurtosis - 1) normal rows (Satterthwaite, Biometrics Bulletin 2, 1946; Box, Biometrika
    40, 1953, for the variance of a variance). For one row it is NaN.
    """
    n = len(influence)
    squares = influence**2
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(squares.mean() / np.float64(n - 1))
        kurtosis = (squares**2).mean() / squares.mean() ** 2
        degrees = np.fmin(
            n - 1, 2 * n / np.maximum(kurtosis - 1, 0)
        )  # n - 1 where all influences are equal in size
        return Spread(float(error), float(degrees))
