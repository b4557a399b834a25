"""Replay a sample of production's requests with both models, and compare the answers."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import fisher_exact

from mlops.decision_rule import decided
from mlops.metrics import Floats, Task
from mlops.review.gate import Check

FAR = (0.01, 0.05, 0.20)
LISTED = 3
"""Columns named in the report, those with the most requests first."""

_SURE = 0.001
_WORTH = 0.005  # share of the requests: fewer that move, or are refused, give no warning

_Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Replay:
    """Both models' answers to requests; pairs are of base and candidate.

    Attributes:
        moved: relative change -> share of the requests whose answers differ by more than that; for
            classes, the share that gets another class, under 0.
        on_test: the same for the test rows.
        refused, refused_by: number of requests that the schema refuses; by column, the number
            that only the candidate's refuses.
        outside, outside_by: the same for values that no training row had.
    """

    requests: int
    moved: dict[float, float]
    on_test: dict[float, float]
    test_rows: int
    refused: tuple[int, int]
    refused_by: dict[str, int]
    outside: tuple[int, int]
    outside_by: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """Return the replay as in verdict.json."""
        return asdict(self) | {
            name: {f"{far:g}": share for far, share in getattr(self, name).items()}
            for name in ("moved", "on_test")
        }


def shares_moved(
    task: Task, answers: Sequence[Floats], thresholds: Sequence[float | None] = (None, None)
) -> dict[float, float]:
    """Return limit -> share of answers that differ by more; each side decides by its threshold."""
    base, candidate = answers
    if task == "classification":
        before, after = map(decided, answers, thresholds)
        return {0.0: float((before != after).mean())}
    with np.errstate(divide="ignore", invalid="ignore"):
        far = np.abs(candidate / base - 1)
    far[(base == 0) & (candidate == 0)] = 0.0
    return {limit: float((~(far <= limit)).mean()) for limit in FAR}


def compare_replay(
    task: Task,
    requests: pd.DataFrame,
    manifests: Sequence[dict[str, Any]],
    columns: Sequence[list[dict[str, Any]]],
    answers: Sequence[Floats],
    on_test: Sequence[Floats],
) -> Replay:
    """Compare both sides' answers to production's requests.

    Args:
        manifests, columns: of each side's bundle.
        answers, on_test: each side's predictions for the requests, and for the test rows.
    """
    refusals = [_refusals(requests, side) for side in columns]
    outside = [_outside(requests, side["data"].get("seen", {})) for side in manifests]
    (was_refused, refused), (was_outside, now_outside) = (
        [_any(masks, len(requests)) for masks in sides] for sides in (refusals, outside)
    )
    answered = ~was_refused & ~refused
    thresholds = [side.get("threshold") for side in manifests]
    return Replay(
        len(requests),
        shares_moved(task, [side[answered] for side in answers], thresholds)
        if answered.any()
        else {},
        shares_moved(task, on_test, thresholds),
        len(on_test[0]),
        (int(was_refused.sum()), int(refused.sum())),
        _only_now(refusals),
        (int(was_outside.sum()), int(now_outside.sum())),
        _only_now(outside),
    )


def _refusals(requests: pd.DataFrame, columns: list[dict[str, Any]]) -> dict[str, _Mask]:
    """Return by column which requests a side's schema refuses."""
    found = {}
    for column in columns:
        if column["role"] not in ("feature", "input") or column["name"] not in requests:
            continue
        values = requests[column["name"]]
        gaps = values.isna().to_numpy()
        bad = np.zeros(len(values), dtype=bool)
        if column["choices"]:
            bad = ~values.isin(column["choices"]).to_numpy()
        elif column["type"] in ("float", "int"):
            low, high = column["low"], column["high"]
            bad |= (values < (-math.inf if low is None else low)).to_numpy()
            bad |= (values > (math.inf if high is None else high)).to_numpy()
        found[column["name"]] = np.where(gaps, not column["nullable"], bad)
    return found


def _outside(requests: pd.DataFrame, seen: dict[str, list[Any]]) -> dict[str, _Mask]:
    """Return by feature which requests have a value that no training row had."""
    found = {}
    for name, values in seen.items():
        if name not in requests or not values:
            continue
        asked = requests[name]
        if pd.api.types.is_numeric_dtype(asked) and not isinstance(values[0], str):
            out = (asked < values[0]) | (asked > values[1])
        else:
            out = ~asked.isin(values)
        found[name] = (out & asked.notna()).to_numpy()
    return found


def _any(masks: dict[str, _Mask], n_rows: int) -> _Mask:
    return np.logical_or.reduce([np.zeros(n_rows, dtype=bool), *masks.values()])


def _only_now(sides: Sequence[dict[str, _Mask]]) -> dict[str, int]:
    """Count by column the requests that only the candidate refuses, or extrapolates on."""
    base, candidate = sides
    counts = {
        name: int((mask & ~base.get(name, np.zeros_like(mask))).sum())
        for name, mask in candidate.items()
    }
    return {n: k for n, k in sorted(counts.items(), key=lambda item: -item[1]) if k}


def check_replay(found: Replay | None) -> list[Check]:
    """Warn of answers that move more than on test rows, and of more refusals or extrapolations."""
    if found is None:
        return []
    n, warnings = found.requests, []
    for far, share in found.moved.items():
        usual = found.on_test[far]
        if share - usual > _WORTH and _surely_more(share, n, usual, found.test_rows):
            what = f"answers that differ by more than {far:.0%}" if far else "another class"
            why = (
                f"{share:.1%} of production's {n:,} requests would get {what}, "
                f"of the test rows {usual:.1%}"
            )
            warnings = [Check("answers in production", share, None, "warn", why)]
    for what, pair, by_column in (
        ("refused", found.refused, found.refused_by),
        ("outside of what training saw", found.outside, found.outside_by),
    ):
        if pair[1] - pair[0] > _WORTH * n:
            why = (
                f"{pair[1]:,} of production's {n:,} requests are {what}, before {pair[0]:,}: "
                f"{', '.join(list(by_column)[:LISTED])}"
            )
            warnings.append(Check(f"requests {what}", pair[1] / n, None, "warn", why))
    return warnings


def _surely_more(share: float, n: int, usual: float, rows: int) -> bool:
    hits, misses = round(share * n), round(usual * rows)
    table = [[hits, n - hits], [misses, rows - misses]]
    return bool(fisher_exact(table, alternative="greater").pvalue < _SURE)
