"""Champion against challenger: both models on the same test rows, with paired intervals."""

import math
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from mlops import paths
from mlops.frames import read_rows
from mlops.intervals import Spread, spread
from mlops.metrics import (
    HIGHER_IS_BETTER,
    Estimate,
    Floats,
    Predictions,
    estimates,
    rounded,
)
from mlops.params import Params
from mlops.review.checkouts import Side
from mlops.undefined import describe_undefined

_SCORING = "mlops.review.scoring"  # of the side's own checkout: each has its own engine
_SCORING_SECONDS = 600


class NotComparable(Exception):
    """The two models can't be scored on the same rows; the message says why."""


@dataclass(frozen=True)
class Comparison:
    """A metric of both models on the candidate's test rows.

    Attributes:
        regression: how much worse the candidate is, as a share of the base's value; below 0 it
            is better. None where a value is not finite.
        spread: of `regression`, over test rows that might have been drawn instead.
        base_reason, reason: why base's, and candidate's, value is undefined; empty if it is not.
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


def scored_by(side: Side, rows: Path, n_rows: int) -> dict[str, Floats]:
    """Give what the side's model predicts and what happened: `predicted` and `actual`.

    Scores in a process of its own, with the side's own code.

    Raises:
        NotComparable: the side's model can't take these rows.
    """
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
        raise NotComparable(f"the base's model gave {n_found} predictions, wanted {n_rows}")
    return scored


def models_on_same_rows(
    base: Side, candidate: Side, params: Params
) -> tuple[pd.DataFrame, list[Predictions]]:
    """Give the candidate's test rows, and what base and candidate predict for them.

    Raises:
        NotComparable: task or target differ, or the base's model can't take the rows.
    """
    for what in ("task", "target"):
        if base.manifest[what] != candidate.manifest[what]:
            raise NotComparable(
                f"the {what} was {base.manifest[what]} and is {candidate.manifest[what]}"
            )
    test = read_rows(paths.TEST_ROWS)
    wanted = [c["name"] for c in base.columns if c["role"] == "feature"]
    if lacking := [name for name in wanted if name not in test.columns]:
        raise NotComparable(f"the base's model needs {', '.join(lacking)}, which is there no more")
    scored = [scored_by(side, paths.TEST_ROWS, len(test)) for side in (base, candidate)]
    actual = scored[-1]["actual"]  # as the candidate's code reads it
    return test, [Predictions(params.task, actual, one["predicted"]) for one in scored]


def compare(
    base: Predictions, candidate: Predictions, recorded: dict[str, float | None], params: Params
) -> list[Comparison]:
    """Compare every metric of the task; `recorded` are the base's metrics on its own test rows."""
    of_base, of_candidate = estimates(base), estimates(candidate)
    why_base, why = (
        describe_undefined({name: one.value for name, one in found.items()}, predictions)
        for found, predictions in ((of_base, base), (of_candidate, candidate))
    )
    return [
        replace(
            _compared(metric, recorded.get(metric), of_base[metric], of_candidate[metric], params),
            base_reason=why_base.get(metric, ""),
            reason=why.get(metric, ""),
        )
        for metric in HIGHER_IS_BETTER[params.task]
    ]


def reasons(comparisons: list[Comparison]) -> dict[str, str]:
    """Give why metrics of the candidate are undefined."""
    return {c.metric: c.reason for c in comparisons if c.reason}


def _compared(
    metric: str, recorded: float | None, base: Estimate, candidate: Estimate, params: Params
) -> Comparison:
    was, now, delta = base.value, candidate.value, candidate.value - base.value
    with np.errstate(invalid="ignore"):  # an undefined metric has no influences
        known = spread(candidate.influence - base.influence)
    margin = known.margin(params.evaluate.confidence)
    worse = -delta if HIGHER_IS_BETTER[params.task][metric] else delta
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
    )
