"""How far a metric of some rows may be from that of all rows there could be.

`engine/benchmarks/review.py` holds the methods here against others where the truth is known.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, stdtrit

from mlops.metrics import Floats


class Spread(NamedTuple):
    """A standard error, and how many degrees of freedom it is known by."""

    error: float
    degrees: float

    def margin(self, confidence: float) -> float:
        """Give half the width of the central interval, by Student's t."""
        return float(self.error * stdtrit(self.degrees, (1 + confidence) / 2))

    def surprise(self, confidence: float) -> float:
        """Give the size that an estimate reaches by chance less often than 1 - confidence."""
        return float(self.error * ndtri((1 + confidence) / 2))


def spread(influence: Floats) -> Spread:
    """Estimate the spread of a metric, or of a difference of two, from the rows' influences.

    A standard error from rows with a few large influences is itself badly known: as well as from
    2n / (kurtosis - 1) normal rows (Satterthwaite, Biometrics Bulletin 2, 1946; Box, Biometrika
    40, 1953, for the variance of a variance). Of one row it is NaN.
    """
    n = len(influence)
    squares = influence**2
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(squares.mean() / np.float64(n - 1))
        kurtosis = (squares**2).mean() / squares.mean() ** 2
        degrees = np.fmin(
            n - 1, 2 * n / np.maximum(kurtosis - 1, 0)
        )  # n - 1 where all have as much
        return Spread(float(error), float(degrees))
