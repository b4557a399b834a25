"""Alternatives to the review's intervals of a difference, for metrics computed from means.

Percentile, BCa and bootstrap-t: Efron & Tibshirani, An Introduction to the Bootstrap, 1993,
chapters 12 to 14.
"""

import numpy as np
from scipy.stats import norm

from mlops.intervals import spread
from mlops.metrics import Floats

SCALES = ("change", "logarithm")


def draw_counts(n_rows: int, replicates: int, rng: np.random.Generator) -> Floats:
    """Count draws of each row, shape (1 + replicates, n_rows); the first line is the sample."""
    counts = np.ones((1 + replicates, n_rows))
    for line in counts[1:]:
        line[:] = np.bincount(rng.integers(0, n_rows, n_rows), minlength=n_rows)
    return counts


def moments(base: Floats, candidate: Floats) -> Floats:
    """Stack the terms to average, shape (n_rows, 5), from the rows' contributions."""
    return np.stack([base, candidate, base**2, candidate**2, base * candidate], axis=1)


def bounds(rows: Floats, means: Floats, power: float, scale: str) -> dict[str, tuple[float, float]]:
    """Return the 95 % interval of each method for candidate^power - base^power, or its logarithm.

    Args:
        rows: as `moments` returns them.
        means: their means, shape (1 + replicates, 5), for the counts of `draw_counts`.
    """
    n_rows, (b, c, bb, cc, bc) = len(rows), means.T
    if scale == "change":
        values = c**power - b**power
        by_b, by_c = -power * b ** (power - 1), power * c ** (power - 1)
    else:
        values = power * np.log(c / b)
        by_b, by_c = -power / b, power / c
    variance = by_b**2 * (bb - b**2) + by_c**2 * (cc - c**2) + 2 * by_b * by_c * (bc - b * c)
    errors = np.sqrt(np.maximum(variance, np.finfo(float).tiny) / n_rows)
    value, replicates, error = values[0], values[1:], errors[0]
    influence = by_b[0] * (rows[:, 0] - b[0]) + by_c[0] * (rows[:, 1] - c[0])
    t_low, t_high = np.quantile((replicates - value) / errors[1:], [0.025, 0.975])
    margin = spread(influence).margin(0.95)
    return {
        "percentile bootstrap": tuple(np.quantile(replicates, [0.025, 0.975])),
        "BCa bootstrap": _bca(replicates, value, influence),
        "bootstrap-t": (value - t_high * error, value - t_low * error),
        "normal": (value - 1.96 * error, value + 1.96 * error),
        "Student's t, degrees by kurtosis": (value - margin, value + margin),
    }


def truths(base: Floats, candidate: Floats, power: float) -> dict[str, float]:
    """Return the true difference on each scale."""
    b, c = base.mean(), candidate.mean()
    return {"change": c**power - b**power, "logarithm": power * np.log(c / b)}


def _bca(replicates: Floats, value: float, influence: Floats) -> tuple[float, float]:
    below = np.clip(np.mean(replicates < value), 0.001, 0.999)
    bias = norm.ppf(below)
    acceleration = np.mean(influence**3) / np.mean(influence**2) ** 1.5 / 6 / len(influence) ** 0.5
    ends = bias + norm.ppf([0.025, 0.975])
    low, high = np.quantile(replicates, norm.cdf(bias + ends / (1 - acceleration * ends)))
    return low, high
