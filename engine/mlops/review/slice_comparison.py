"""Compare slices of both models on the same rows, and find significant regressions."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csc_array

from mlops.columns import Schema
from mlops.metric_registry import Metrics
from mlops.metrics import Estimate, Floats, Predictions, rounded
from mlops.params import Params
from mlops.records import SliceComparison
from mlops.review.gate import Check, Outcome
from mlops.slices import slices

LISTED = 10
_DRAWS = 10_000
_SEED = 0


def compare_slices(
    base: Predictions,
    candidate: Predictions,
    test: pd.DataFrame,
    params: Params,
    schema: Schema,
    metrics: Metrics,
) -> list[SliceComparison]:
    """Compare the metrics slice by slice.

    Returns:
        A dict for each slice: `regression` has how much worse each gated metric is, as a share of
        the base's, `chance` the probability that chance alone makes any slice look that much
        worse. Both are empty for a slice with fewer rows than `gate.slices.min_rows`, and lack
        metrics that are undefined.
    """
    found, placed = list[SliceComparison](), []
    for column, label, members in slices(test, params.evaluate.slices, schema):
        sides = base.take(members), candidate.take(members)
        tested = members.sum() >= params.gate.slices.min_rows
        was, now = (metrics.estimates(side, spread=bool(tested)) for side in sides)
        values = [{name: rounded(one.value) for name, one in side.items()} for side in (was, now)]
        reasons = {k: one.reason for side in (was, now) for k, one in side.items() if one.reason}
        found.append(
            {
                "column": column,
                "slice": label,
                "rows": int(members.sum()),
                "base": values[0],
                "candidate": values[1],
                "reasons": reasons,
                "regression": {},
                "chance": {},
            }
        )
        if not tested:
            continue
        for metric in params.gate.slice_limits:
            worse = _worsening(metric, was[metric], now[metric], metrics.higher_is_better)
            if worse is not None:
                found[-1]["regression"][metric] = _share(worse.mean(), abs(was[metric].value))
                placed.append((found[-1], metric, np.flatnonzero(members), worse))
    chances = chance_of_any([rows for *_, rows, _ in placed], [x for *_, x in placed], len(test))
    for (part, metric, _, _), chance in zip(placed, chances, strict=True):
        part["chance"][metric] = float(chance)
    return found


def _worsening(
    metric: str, base: Estimate, candidate: Estimate, higher: dict[str, bool]
) -> Floats | None:
    """Return each row's contribution to the metric's worsening, which is their mean."""
    delta = candidate.value - base.value
    if not math.isfinite(delta):
        return None
    worse = candidate.influence - base.influence + delta
    return -worse if higher[metric] else worse


def _share(worse: float, base: float) -> float | None:
    """Return the worsening as a share of the base's value; None if only the base's is 0."""
    return (rounded(worse / base) if base else None) if worse else 0.0


def chance_of_any(
    rows: Sequence[NDArray[np.intp]], worsening: Sequence[Floats], n_rows: int
) -> Floats:
    """Return for each slice how often the worst of all slices looks as bad by chance alone.

    Each slice's statistic is the sum of its rows' worsening over the root of their sum of squares.
    It is compared with the largest ones of the Gaussian multiplier bootstrap (Chernozhukov,
    Chetverikov & Kato, Annals of Statistics 41, 2013), which keeps the dependence of slices, as
    the max-T adjustment of Westfall & Young, Resampling-Based Multiple Testing, 1993: one error
    rate holds for all slices and metrics together.
    """
    norms = [math.sqrt(float((x**2).sum())) for x in worsening]
    kept = [place for place, norm in enumerate(norms) if norm > 0]
    chances = np.ones(len(norms))
    if not kept:
        return chances
    scaled = [worsening[k] / norms[k] for k in kept]
    starts = np.cumsum([0, *(len(x) for x in scaled)])
    matrix = csc_array(
        (np.concatenate(scaled), np.concatenate([rows[k] for k in kept]), starts),
        shape=(n_rows, len(kept)),
    )
    values, vectors = np.linalg.eigh((matrix.T @ matrix).toarray())
    root = vectors * np.sqrt(np.maximum(values, 0))
    drawn = np.random.default_rng(_SEED).standard_normal((_DRAWS, len(kept))) @ root.T
    worst = np.sort(drawn.max(axis=1))
    statistics = np.array([x.sum() for x in scaled])
    at_least = len(worst) - np.searchsorted(worst, statistics)
    chances[kept] = (1 + at_least) / (1 + _DRAWS)
    return chances


def check_slices_against_base(slices: list[SliceComparison], params: Params) -> list[Check]:
    """Block slices with a significant regression above its limit; warn of one within it.

    Args:
        slices: result of `compare_slices`.
    """
    tested = [part for part in slices if part["chance"]]
    if not tested:
        return []
    worse = sorted(_worse(tested, params), key=lambda one: one[0])
    sure = [check for chance, check in worse if chance <= params.gate.slices.error_rate]
    sure.sort(key=lambda check: check.outcome != "block")
    if not sure:
        beyond = sum(check.outcome == "block" for _, check in worse)
        why = f"no slice of {len(tested)} is worse than the base's beyond what is allowed"
        why += f" and chance; {beyond} may be by chance" if beyond else ""
        return [Check("regression in slices", beyond, None, "pass", why)]
    if (more := len(sure) - LISTED) > 0:
        why = f"{more} more slices are worse than the base's beyond chance"
        rest = Check("regression in slices", more, 0, sure[LISTED].outcome, why)
        return [*sure[:LISTED], rest]
    return sure


def _worse(slices: list[SliceComparison], params: Params) -> Iterator[tuple[float, Check]]:
    """Yield chance and check of each slice and metric that is worse, also within its limit."""
    limits = params.gate.slice_limits
    for part in slices:
        for metric, chance in part["chance"].items():
            share, limit = part["regression"][metric], limits[metric]
            if share is not None and share <= 0:
                continue
            within = share is not None and share <= limit
            outcome: Outcome = "warn" if within else "block"
            name = f"{part['column']}: {part['slice']}"
            much = "and was 0 for the base" if share is None else f"{share:.1%} worse"
            why = (
                f"{metric} is {much} on the {part['rows']:,} rows of {name}, "
                f"allowed are {limit:.0%}; {'within the limit, but ' * within}"
                "statistically significant"
            )
            yield chance, Check(f"regression of {metric} in {name}", share, limit, outcome, why)
