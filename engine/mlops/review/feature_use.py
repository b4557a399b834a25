"""Changes in the use of features: permutation importance of both models on the same rows."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlops.intervals import Spread, spread
from mlops.metric_registry import Metrics
from mlops.metrics import Floats, Predictions
from mlops.review.github_markdown import cell, folded, table

MOST_ROWS = 2_000
_MOST_QUESTIONS = 200_000
_MOST_COLUMNS = 400
_SEED = 0
_LISTED = 10


@dataclass(frozen=True)
class Use:
    """How much worse the leading metric gets when a column is shuffled, as a share of the base's.

    Attributes:
        low, high: interval of the change, with one confidence for all columns together.
    """

    column: str
    base: float
    candidate: float
    low: float
    high: float

    @property
    def changed(self) -> bool:
        """Return whether the change is statistically significant."""
        return self.low > 0 or self.high < 0


def shuffled(rows: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return a sample of rows, followed by a copy of it per column with that column shuffled.

    The total number of rows is bounded: the more columns, the smaller the sample.
    """
    columns = columns[:_MOST_COLUMNS]
    rng = np.random.default_rng(_SEED)
    most = min(len(rows), MOST_ROWS, _MOST_QUESTIONS // (1 + len(columns)))
    sample = rows.iloc[rng.permutation(len(rows))[:most]].reset_index(drop=True)
    parts = [sample]
    for name in columns:
        parts.append(sample.assign(**{name: sample[name].take(rng.permutation(most)).to_numpy()}))
    return pd.concat(parts, ignore_index=True)


def compare_use(
    metrics: Metrics,
    actual: Floats,
    answers: Sequence[Floats],
    columns: Sequence[str],
    confidence: float,
) -> list[Use]:
    """Compare how both models use each column, the largest change first.

    Source: Breiman, Random Forests, Machine Learning 45, 2001, section 10; the interval comes from
    the rows' influences on the difference, with Bonferroni correction for all columns.

    Args:
        actual, answers: targets, and predictions of base and candidate, for rows from `shuffled`.
    """
    columns = columns[:_MOST_COLUMNS]
    n_rows = len(actual) // (1 + len(columns))
    metric = metrics.leading
    leading = metrics.only(metric)
    blocks = [
        [
            leading.estimates(
                Predictions(metrics.task, actual[:n_rows], side[k * n_rows : (k + 1) * n_rows])
            )[metric]
            for k in range(1 + len(columns))
        ]
        for side in answers
    ]
    usual = abs(blocks[0][0].value)
    if not usual > 0 or not np.isfinite(usual):  # a share of it is undefined
        return []
    scale = (-1 if metrics.higher_is_better[metric] else 1) / usual
    found = []
    for k, name in enumerate(columns, 1):
        values = [scale * (side[k].value - side[0].value) for side in blocks]
        influences = [scale * (side[k].influence - side[0].influence) for side in blocks]
        known = spread(influences[1] - influences[0])
        margin = _margin(known, 1 - (1 - confidence) / len(columns))
        change = values[1] - values[0]
        found.append(Use(name, values[0], values[1], change - margin, change + margin))
    return sorted(found, key=lambda use: -abs(use.candidate - use.base))


def _margin(known: Spread, confidence: float) -> float:
    return known.margin(confidence) if known.error > 0 else 0.0


def use_section(uses: list[Use]) -> str:
    """Show the columns whose use changed by more than chance."""
    changed = [use for use in uses if use.changed]
    if not changed:
        return ""
    rows = [
        (cell(u.column), f"{u.base:.1%}", f"{u.candidate:.1%}", f"{u.low:+.1%} … {u.high:+.1%}")
        for u in changed[:_LISTED]
    ]
    head = ("column", "base", "candidate", "interval of the change")
    intro = "How much worse the leading metric gets without a column, as a share of the base's."
    names = ", ".join(use.column[:60] for use in changed[:3])
    title = f"Features that the models use differently: {names}"
    return folded(title, f"{intro}\n\n{table(head, 'lrrr', rows)}")


def uses_json(uses: list[Use]) -> list[dict[str, Any]]:
    """Return the columns whose use changed, as in verdict.json."""
    return [asdict(use) for use in uses if use.changed]
