"""Detect input drift: compare each feature of a window of rows with the reference.

Textbook thresholds (PSI > 0.2) ignore the number of rows, and are nearly always exceeded on a
hundred rows. Here a change counts only if it is significant after correction for the number of
tests, and also large. `engine/benchmarks/monitoring.py` measures both kinds of error.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from mlops.columns import Schema
from mlops.metrics import Floats
from mlops.params import Monitor
from mlops.profile import Profile, binned

ORDER = 4
"""Components of the test for numbers: location, spread, skew, tails."""

POOLED = 0.02
"""Choices with a smaller share of the reference are pooled."""

PREDICTION = "prediction"

What = Literal["distribution", "missing", "outside"]


@dataclass(frozen=True)
class Change:
    """One test of one column.

    Attributes:
        effect: of a distribution, the chi-squared distance from the reference minus its expected
            value without drift; else a share of rows: the increase of missing ones over the
            reference, or those outside of the reference's values.
        p_value: probability of a result at least as extreme without drift.
        q_value: p_value corrected for all tests (Benjamini & Hochberg, JRSS B 57, 1995).
        drifted: q_value is small and effect is large.
    """

    column: str
    what: What
    effect: float
    p_value: float
    q_value: float = 1.0
    drifted: bool = False


def changes(
    rows: pd.DataFrame,
    predicted: pd.Series,
    reference: dict[str, Any],
    schema: Schema,
    params: Monitor,
) -> list[Change]:
    """Test every feature of `rows`, and `predicted`, against a bundle's reference."""
    found = []
    for column in schema.features:
        found += _column_changes(rows[column.name], column.name, reference["features"][column.name])
    said = reference["predicted"]
    constant = "low" in said and said["low"] == said["high"]  # any other value is outside
    found += _column_changes(predicted, PREDICTION, said)[:: 2 if constant else 3]
    corrected = stats.false_discovery_control([change.p_value for change in found])
    limits = {"distribution": params.min_effect}
    return [
        replace(
            change,
            q_value=float(q),
            drifted=bool(
                q < params.alpha and change.effect > limits.get(change.what, params.max_share)
            ),
        )
        for change, q in zip(found, corrected, strict=True)
    ]


def _column_changes(values: pd.Series, name: str, reference: Profile) -> list[Change]:
    present = values.dropna()
    known = reference["rows"] - reference["missing"]
    # New texts of an open feature are expected; if they are many, its distribution test shows it.
    if not len(present) or not known:
        distribution = outside = Change(name, "distribution", 0.0, 1.0)
    elif "choices" in reference:
        distribution = Change(name, "distribution", *_choices_test(present, reference))
        new = ~present.isin(list(reference["choices"])) & ("whole" not in reference)
        outside = _outside(name, new, known)
    else:
        distribution = Change(name, "distribution", *_numbers_test(present, reference))
        beyond = (present < reference["low"]) | (present > reference["high"])
        outside = _outside(name, beyond, known)
    return [distribution, _missing(name, values, reference), replace(outside, what="outside")]


def _missing(name: str, values: pd.Series, reference: Profile) -> Change:
    gaps, before = int(values.isna().sum()), reference["missing"]
    table = [[gaps, len(values) - gaps], [before, reference["rows"] - before]]
    share = gaps / len(values) - before / reference["rows"]
    return Change(name, "missing", max(0.0, share), float(stats.fisher_exact(table).pvalue))


def _outside(name: str, beyond: pd.Series, known: int) -> Change:
    """Test values that no reference row had, by the distribution of exceedances.

    It is hypergeometric, with none among the reference's rows (Gumbel & von Schelling, Annals of
    Mathematical Statistics 21, 1950); doubled for the two ends.
    """
    count, n = int(beyond.sum()), len(beyond)
    chance = float(stats.hypergeom.sf(count - 1, known + n, count, n)) if count else 1.0
    return Change(name, "outside", count / n, min(1.0, 2 * chance))


def _numbers_test(present: pd.Series, reference: Profile) -> tuple[float, float]:
    """Compute Neyman's smooth test for two samples of counts: effect and p-value.

    Its components are those of chi-squared on orthonormal polynomials of the ranks (Rayner & Best,
    Smooth Tests of Goodness of Fit, 1989): with few of them it is far more powerful against a
    shift or a change of scale than chi-squared on all bins or the Kolmogorov-Smirnov test.
    """
    before = np.asarray(reference["counts"], dtype=float)
    now = np.asarray(binned(present.to_numpy(dtype=float), reference["edges"]), dtype=float)
    both = (before + now) / (before.sum() + now.sum())
    used = both > 0
    basis = _orthonormal(both[used])
    rows = 1 / (1 / before.sum() + 1 / now.sum())
    if not basis.shape[1]:  # all values of both fall into one bin
        return 0.0, 1.0
    difference = (now / now.sum() - before / before.sum())[used]
    return _judged(float(rows * np.square(basis.T @ difference).sum()), basis.shape[1], rows)


def _orthonormal(shares: Floats) -> Floats:
    """Return polynomials of mid-ranks, orthonormal under `shares` and orthogonal to 1.

    Shape (n_bins, n_components).
    """
    order = min(ORDER, len(shares) - 1)
    ranks = np.cumsum(shares) - shares / 2
    powers = np.vander(2 * ranks - 1, order + 1, increasing=True)
    weights = np.sqrt(shares)[:, None]
    basis, _ = np.linalg.qr(powers * weights)
    return np.asarray((basis / weights)[:, 1:], dtype=np.float64)


def _choices_test(present: pd.Series, reference: Profile) -> tuple[float, float]:
    """Compute Pearson's chi-squared test of homogeneity, pooling rare choices: effect, p-value."""
    before: dict[str, int] = reference["choices"]
    known, n = sum(before.values()), len(present)
    kept = [choice for choice, rows in before.items() if rows >= known * max(POOLED, 1.5 / n)]
    lines = [
        [counts.get(choice, 0) for choice in kept]
        for counts in (before, dict(present.value_counts()))
    ]
    table = np.array([[*line, of - sum(line)] for line, of in zip(lines, (known, n), strict=True)])
    table = table[:, table.sum(axis=0) > 0]
    rows = 1 / (1 / known + 1 / n)
    if table.shape[1] < 2:
        return 0.0, 1.0
    statistic = float(stats.chi2_contingency(table, correction=False).statistic)
    return _judged(statistic, table.shape[1] - 1, rows)


def _judged(statistic: float, degrees: int, rows: float) -> tuple[float, float]:
    """Return the distance minus its expected value without drift, at least 0, and the p-value."""
    return max(0.0, (statistic - degrees) / rows), float(stats.chi2.sf(statistic, degrees))
