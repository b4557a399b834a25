"""Compare base and candidate on the same test rows, with paired intervals."""

import math
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mlops import paths
from mlops.frames import read_rows
from mlops.intervals import Spread, spread
from mlops.metric_registry import Metrics
from mlops.metrics import Estimate, Floats, Predictions, rounded
from mlops.params import Params
from mlops.review.checkouts import Side

_SCORING = "mlops.review.scoring"  # of the side's own checkout: each has its own engine
_SCORING_SECONDS = 600
_SAME = 1e-6  # relative difference of a metric between kinds of processors


class NotComparable(Exception):
    """The two models can't be scored on the same rows; the message has the reason."""


@dataclass(frozen=True)
class Comparison:
    """A metric of both models on the candidate's test rows.

    Attributes:
        regression: how much worse the candidate is, as a share of the base's value; below 0 it
            is better. None if it is not finite.
        spread: of `regression`, over other possible samples of test rows.
        base_reason, reason: why base's and candidate's value is undefined; empty if it is defined.
    """

    metric: str
    base_recorded: float | None
    base: float | None
    candidate: float | None
    delta: float | None
    ci_low: float | None
    ci_high: float | None
    regression: float | None
    spread: Spread | None
    base_reason: str = ""
    reason: str = ""
    higher_is_better: bool = False


def scored_by_both(
    base: Side, candidate: Side, rows: Path, n_rows: int
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Return each side's predictions and the true values: `predicted` and `actual`.

    Both score at the same time, because most of it is the start of Python.

    Raises:
        NotComparable: a model can't score these rows.
    """
    with ThreadPoolExecutor() as pool:
        started = [pool.submit(_scored_by, side, rows, n_rows) for side in (base, candidate)]
        return started[0].result(), started[1].result()


def _scored_by(side: Side, rows: Path, n_rows: int) -> dict[str, Floats]:
    """Score in a separate process, with the side's own code."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "scored.npz"
        run = subprocess.run(
            [sys.executable, "-m", _SCORING, side.root / paths.BUNDLE, rows.resolve(), out],
            env=os.environ | {"PYTHONPATH": side.pythonpath},
            capture_output=True,
            text=True,
            timeout=_SCORING_SECONDS,
        )
        if run.returncode:
            cause = run.stderr.strip().splitlines()[-1:] or ["no message"]
            raise NotComparable(f"the base's model can't score the candidate's rows: {cause[0]}")
        with np.load(out, allow_pickle=False) as found:
            scored = dict(found)
    if (n_found := len(scored["predicted"])) != n_rows:
        raise NotComparable(f"the base's model returned {n_found} predictions, wanted {n_rows}")
    return scored


def models_on_same_rows(
    base: Side, candidate: Side, params: Params
) -> tuple[pd.DataFrame, list[Predictions]]:
    """Return the candidate's test rows, and the predictions of base and candidate for them.

    Raises:
        NotComparable: task or target differ, or a model can't score the rows.
    """
    for what in ("task", "target"):
        if base.manifest[what] != candidate.manifest[what]:
            raise NotComparable(
                f"the {what} was {base.manifest[what]} and is {candidate.manifest[what]}"
            )
    test = read_rows(paths.TEST_ROWS)
    wanted = [c["name"] for c in base.columns if c["role"] == "feature"]
    if lacking := [name for name in wanted if name not in test.columns]:
        raise NotComparable(f"the base's model needs {', '.join(lacking)}, which no longer exists")
    return test, predictions_of_both(base, candidate, paths.TEST_ROWS, len(test), params)


def predictions_of_both(
    base: Side, candidate: Side, rows: Path, n_rows: int, params: Params
) -> list[Predictions]:
    """Return the predictions of base and candidate for the rows of a file.

    Raises:
        NotComparable: a model can't score the rows.
    """
    scored = scored_by_both(base, candidate, rows, n_rows)
    actual = scored[-1]["actual"]  # as the candidate's code reads it
    return [
        Predictions(params.task, actual, one["predicted"], side.threshold)
        for side, one in zip((base, candidate), scored, strict=True)
    ]


def compare(
    base: Predictions,
    candidate: Predictions,
    recorded: dict[str, float | None],
    params: Params,
    metrics: Metrics,
) -> list[Comparison]:
    """Compare every metric of both models, as the candidate's code defines it.

    Args:
        recorded: the base's metrics on its own test rows, as its own code defines them.
    """
    of_base, of_candidate = metrics.estimates(base), metrics.estimates(candidate)
    return [
        _compared(
            metric, higher, recorded.get(metric), of_base[metric], of_candidate[metric], params
        )
        for metric, higher in metrics.higher_is_better.items()
    ]


def redefined(base: Side, candidate: Side, comparisons: list[Comparison]) -> list[str]:
    """List metrics that the base's code computes differently: the base's model has another value
    there for the same test rows.
    """
    rows = [side.manifest["data"]["test"]["sha256"] for side in (base, candidate)]
    return [
        c.metric
        for c in comparisons
        if rows[0] == rows[1]
        and None not in (c.base, c.base_recorded)
        and not math.isclose(c.base or 0.0, c.base_recorded or 0.0, rel_tol=_SAME)
    ]


def reasons(comparisons: list[Comparison]) -> dict[str, str]:
    """Return the reasons of the candidate's undefined metrics."""
    return {c.metric: c.reason for c in comparisons if c.reason}


def _compared(
    metric: str,
    higher: bool,
    recorded: float | None,
    base: Estimate,
    candidate: Estimate,
    params: Params,
) -> Comparison:
    was, now, delta = base.value, candidate.value, candidate.value - base.value
    with np.errstate(invalid="ignore"):  # an undefined metric has no influences
        known = spread(candidate.influence - base.influence)
    margin = known.margin(params.evaluate.confidence)
    worse = -delta if higher else delta
    share = 1 / abs(was) if was else math.nan  # of the base's value
    error = known.error * share
    return Comparison(
        metric,
        recorded,
        base=rounded(was),
        candidate=rounded(now),
        delta=rounded(delta),
        ci_low=rounded(delta - margin),
        ci_high=rounded(delta + margin),
        regression=rounded(worse * share) if delta else 0.0,
        spread=Spread(error, known.degrees) if math.isfinite(error) else None,
        higher_is_better=higher,
        base_reason=base.reason,
        reason=candidate.reason,
    )
