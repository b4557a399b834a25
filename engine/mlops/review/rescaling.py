"""Find a change of scale between old and new numbers: a factor, an offset, or both."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mlops.metrics import Floats
from mlops.review.units import nearest_factor, unit_of

EXACT, CLOSE = 1e-6, 0.02
"""Largest relative errors of an exact and of an approximate fit."""

_ENOUGH = 3
_DISTINCT = 5  # a factor and an offset fit any two old values
_MOST = 0.9
"""Share of the values that a change of scale has to explain; others may be corrected, too."""
_SMALL = 0.1
"""Largest share of a value's change that a fit may leave unexplained."""

_QUANTILES = np.linspace(0.1, 0.9, 9)
_ENOUGH_ROWS = 20
_LEAST = np.log(1.8)  # other rows that differ by less than this factor may have drifted
_ALIKE, _NAMED = 0.5, 0.15


@dataclass(frozen=True)
class Rescaling:
    """New values that are `factor` times the old ones plus `offset`."""

    factor: float
    offset: float = 0.0

    @property
    def words(self) -> str:
        """Describe it, and guess the units, as in 'multiplied by 12 (feet to inches?)'."""
        parts = [f"multiplied by {self.factor:,.5g}"] if self.factor != 1 else []
        if self.offset:
            parts.append(f"{'raised' if self.offset > 0 else 'lowered'} by {abs(self.offset):,.6g}")
        return " and ".join(parts) + unit_of(self.factor, self.offset)


def rescaling_of(old: Floats, new: Floats, close: float) -> Rescaling | None:
    """Find a change of scale that fits nearly all pairs of different values; None if none does."""
    known = np.isfinite(old) & np.isfinite(new)
    if known.sum() < max(_ENOUGH, 0.5 * len(old)):
        return None
    x, y = old[known], new[known]
    for one in _candidates(x, y):
        with np.errstate(over="ignore", invalid="ignore"):
            made = one.factor * x + one.offset
        if one.factor and fits(x, y, made, close, _MOST):  # by 0: they became one value
            return one
    return None


def _candidates(old: Floats, new: Floats) -> Iterator[Rescaling]:
    """Estimate by medians, which a few other values don't affect."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        used = old != 0
        if used.sum() >= _ENOUGH:
            yield Rescaling(float(np.median(new[used] / old[used])))
        yield Rescaling(1.0, float(np.median(new - old)))
        if len(np.unique(old)) > _DISTINCT:
            order, half = np.argsort(old), len(old) // 2
            x, y = old[order], new[order]
            run, rise = x[half : 2 * half] - x[:half], y[half : 2 * half] - y[:half]
            slope = float(np.median(rise[run > 0] / run[run > 0])) if (run > 0).any() else 0.0
            yield Rescaling(slope, float(np.median(new - slope * old)))


def fits(old: Floats, new: Floats, made: Floats, close: float, most: float) -> bool:
    """Return whether nearly all new values equal `made`, up to rounding and far from the old.

    Args:
        close: EXACT or CLOSE.
        most: least share of the values that have to fit.
    """
    if not np.isfinite(made).all():
        return False
    error = np.abs(new - made)
    fit = error <= close * np.maximum(np.abs(made), np.abs(new))
    if close > EXACT:
        fit |= (new == np.round(new)) & (error <= 0.51) & (np.abs(new) >= 10)
        fit &= error <= _SMALL * np.abs(new - old)
    return bool(fit.mean() >= most)


def factor_between(usual: Floats, other: Floats) -> float | None:
    """Find the factor by which rows' values differ from those of other rows.

    All their quantiles have to differ by about one factor: a drift moves some more than others.

    Returns:
        The factor, that of a unit if one is close; None if there is none.
    """
    sides = [side[np.isfinite(side)] for side in (usual, other)]
    if min(map(len, sides)) < _ENOUGH_ROWS:
        return None
    before, after = (np.quantile(side, _QUANTILES) for side in sides)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.log(after / before)
    ratios = ratios[np.isfinite(ratios)]
    if len(ratios) <= len(_QUANTILES) // 2:
        return None
    middle = float(np.median(ratios))
    if abs(middle) <= _LEAST or np.abs(ratios - middle).max() >= _ALIKE * abs(middle):
        return None
    return nearest_factor(float(np.exp(middle)), _NAMED)
