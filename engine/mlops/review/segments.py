"""Find groups of rows, by one or two conditions, in which the error changed most, and confirm them.

Groups are searched on one half of the test rows; the few most extreme are tested on the other
half, which had no part in choosing them (data splitting: Cox, Biometrika 62, 1975), under one
error rate for all of them.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlops.columns import Feature, Schema
from mlops.metrics import Floats, Predictions
from mlops.review.github_markdown import cell, folded
from mlops.review.slice_comparison import chance_of_any

MOST_ROWS = 50_000
_SEED = 0
_CUTS = np.linspace(0.1, 0.9, 9)
_LEAST_ROWS, _LEAST_SHARE = 20, 0.01
_WIDENED = 30  # conditions that a second one is added to
_TESTED = 8
_SAME = 0.6  # share of common rows from which two groups count as one
_SHOWN = 0.03  # smaller changes of the error are not worth a sentence
_TINY = 1e-15
_LONGEST = 400

_Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Segment:
    """Rows in which the error changed differently than in the rest.

    Attributes:
        where: the conditions, in words.
        rows: their number in the half that confirmed it.
        change: of the mean error there, as a share of the base's; above 0 it is worse.
        chance: how often chance alone shows any segment like it.
    """

    where: str
    rows: int
    metric: str
    change: float
    chance: float

    def sentence(self) -> str:
        """Describe the segment in plain text; names are not escaped."""
        how = "worse" if self.change > 0 else "better"
        rows = f"{self.rows:,} rows"
        return f"{self.metric} is {abs(self.change):.0%} {how} where {self.where}, {rows}"

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"sentence": self.sentence()}


def find_segments(
    base: Predictions, candidate: Predictions, test: pd.DataFrame, schema: Schema, error_rate: float
) -> list[Segment]:
    """Find where the error changed most, worse or better, relative to its change in all rows."""
    rng = np.random.default_rng(_SEED)
    chosen = rng.permutation(len(test))[:MOST_ROWS]
    if len(chosen) < 4 * _LEAST_ROWS:
        return []
    rows = test.iloc[chosen].reset_index(drop=True)
    metric, was = row_errors(base, chosen)
    now = row_errors(candidate, chosen)[1]
    if not was.sum() > 0 or not np.isfinite(was.sum() + now.sum()):
        return []
    excess = now - was * (now.sum() / was.sum())
    searched = np.arange(len(rows)) < len(rows) // 2
    conditions = _conditions(rows, searched, schema)
    if not conditions:
        return []
    found = _search(conditions, excess, searched)
    return _confirmed(conditions, found, (was, now, excess), ~searched, metric, error_rate)


def row_errors(predictions: Predictions, rows: NDArray[np.intp]) -> tuple[str, Floats]:
    """Return the metric that is the mean of the rows' errors, and each row's error."""
    actual, predicted = predictions.actual[rows], predictions.predicted[rows]
    if predictions.task == "regression":
        return "mae", np.abs(predicted - actual)
    claimed = predicted[np.arange(len(rows)), actual.astype(int)]
    return "log_loss", -np.log(np.clip(claimed, _TINY, 1.0))


def _conditions(
    rows: pd.DataFrame, searched: _Mask, schema: Schema
) -> list[tuple[str, str, _Mask]]:
    """List column, words and membership of every single condition that splits the rows."""
    least = max(_LEAST_ROWS, int(_LEAST_SHARE * len(rows) / 2))
    found = []
    for feature in schema.features:
        for words, members in _of_column(feature, rows[feature.name], searched):
            n = int(members[searched].sum())
            if least <= n <= searched.sum() - least:
                found.append((feature.name, words, members))
    return found


def _of_column(feature: Feature, values: pd.Series, searched: _Mask) -> list[tuple[str, _Mask]]:
    name, gaps = feature.name, values.isna().to_numpy()
    found = [(f"{name} is missing", gaps)]
    if feature.is_categorical:
        return found + [
            (f"{name} is {choice}", (values == choice).to_numpy(dtype=bool, na_value=False))
            for choice in feature.choices
        ]
    numbers = values.to_numpy(dtype=np.float64)
    known = numbers[searched & ~gaps]
    # Only values that occur: a cut between them would suggest rows that don't exist.
    edges = np.unique(np.quantile(known, _CUTS, method="higher")) if len(known) else known
    for edge in edges:
        text = f"{edge:.6g}"
        found += [(f"{name} ≥ {text}", numbers >= edge), (f"{name} < {text}", numbers < edge)]
    return found


def _search(
    conditions: list[tuple[str, str, _Mask]], excess: Floats, searched: _Mask
) -> list[tuple[int, int]]:
    """Choose the most extreme groups on one half: pairs of conditions, or twice the same one."""
    matrix = np.array([members[searched] for _, _, members in conditions], dtype=np.float32)
    y = (excess[searched] / np.abs(excess[searched]).max(initial=_TINY)).astype(np.float32)
    least = max(_LEAST_ROWS, _LEAST_SHARE * len(y))
    columns = np.array([name for name, _, _ in conditions])
    single = _statistic(matrix, np.stack([y], axis=1), least)[:, 0]
    order = np.argsort(-np.abs(single))[:_WIDENED]
    both = _statistic(matrix, (matrix[order] * y).T, least)
    both[columns[:, None] == columns[order][None, :]] = 0.0
    # A second condition must add enough: a group of one condition is simpler to describe.
    both[np.abs(both) < 1.15 * np.abs(single[order])[None, :]] = 0.0
    ranked = [(abs(single[k]), int(k), int(k)) for k in order]
    best = np.argsort(-np.abs(both), axis=None)[: 4 * _WIDENED]
    ranked += [
        (abs(both.flat[place]), int(order[place % len(order)]), int(place // len(order)))
        for place in best
    ]
    chosen: list[tuple[int, int]] = []
    for value, first, second in sorted(ranked, key=lambda one: -one[0]):
        members = matrix[first] * matrix[second]
        alike = (
            (members * (other := matrix[a] * matrix[b])).sum()
            / max(1.0, np.maximum(members, other).sum())
            for a, b in chosen
        )
        if value > 0 and all(share < _SAME for share in alike):
            chosen.append((first, second))
        if len(chosen) == _TESTED:
            break
    return chosen


def _statistic(matrix: Any, y: Any, least: float) -> Any:
    """Divide sums of `y` over each group by the roots of their sums of squares."""
    rows = matrix @ (y != 0).astype(np.float32)
    total, squares = matrix @ y, matrix @ y**2
    enough = (rows >= least) & (squares > 0)
    return np.where(enough, total / np.sqrt(np.where(squares > 0, squares, 1.0)), 0.0)


def _confirmed(
    conditions: list[tuple[str, str, _Mask]],
    found: list[tuple[int, int]],
    errors: tuple[Floats, Floats, Floats],
    half: _Mask,
    metric: str,
    error_rate: float,
) -> list[Segment]:
    """Test each group on the other half, in the direction of its change on the first."""
    was, now, excess = errors
    groups, worsening = [], []
    for first, second in found:
        members = conditions[first][2] & conditions[second][2]
        sign = np.sign(excess[members & ~half].sum())
        place = np.flatnonzero(members & half)
        if len(place):
            groups.append((first, second, place, sign))
            worsening.append(sign * excess[place])
    chances = chance_of_any([place for _, _, place, _ in groups], worsening, len(was))
    segments = []
    for (first, second, place, sign), chance in zip(groups, chances, strict=True):
        change = float(now[place].sum() / was[place].sum() - 1) if was[place].sum() else np.nan
        if chance <= error_rate and sign * change >= _SHOWN:
            words = dict.fromkeys((conditions[first][1], conditions[second][1]))
            segments.append(Segment(" and ".join(words), len(place), metric, change, float(chance)))
    return sorted(segments, key=lambda one: -abs(one.change) * one.rows)


def segments_section(segments: list[Segment]) -> str:
    """List the segments in which the error changed most."""
    if not segments:
        return ""
    sentences = [segment.sentence()[:_LONGEST] for segment in segments]
    title = f"Where the error changed most, against the other rows: {sentences[0]}"
    return folded(title, "\n".join(f"- {cell(sentence)}" for sentence in sentences))
