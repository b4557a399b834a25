"""Moves of predictions between two models on the same rows."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlops.columns import Schema
from mlops.metrics import Floats, Predictions

STEPS = (0.01, 0.05, 0.2)
"""Predictions that move by more than these are counted; a share of the base's, or a probability."""

MOST = 10
SHOWN_FEATURES = 4
_SMALLEST = 0.01
"""Moves of predictions near 0 are shares of this fraction of the target's median size."""


def moved_rows(
    test: pd.DataFrame,
    base: Predictions,
    candidate: Predictions,
    schema: Schema,
    features: Sequence[str],
) -> dict[str, Any] | None:
    """Count predictions by how far they moved, and list the rows that moved most.

    Args:
        features: the rows' columns to show beside the key.

    Returns:
        Plain data, as in verdict.json; None if a prediction is not finite.
    """
    if not (np.isfinite(base.predicted).all() and np.isfinite(candidate.predicted).all()):
        return None
    of_task = _numbers if base.task == "regression" else _classes
    moves, found, most = of_task(base, candidate, schema)
    size = np.abs(moves)
    order = np.argsort(-size, kind="stable")[:MOST]
    order = order[size[order] > 0]
    columns = [name for name in features if name in test.columns]
    return {
        "rows": len(test),
        "shares": {f"{step:g}": float((size > step).mean()) for step in STEPS},
        **found,
        "most": [
            {
                "key": plain_value(test[schema.key.name].iloc[place]),
                "features": {name: plain_value(test[name].iloc[place]) for name in columns},
                **most(place),
            }
            for place in map(int, order)
        ],
    }


def leading_features(plots: Path) -> list[str]:
    """Return the candidate's most important features, from its file of importances."""
    table = plots / "importance.csv"
    return pd.read_csv(table)["feature"].head(SHOWN_FEATURES).tolist() if table.exists() else []


def relative_moves(base: Floats, candidate: Floats, actual: Floats) -> Floats:
    """Return each prediction's move as a share of the base's."""
    smallest = _SMALLEST * float(np.median(np.abs(actual))) or 1.0
    moves: Floats = (candidate - base) / np.maximum(np.abs(base), smallest)
    return moves


def _numbers(base: Predictions, candidate: Predictions, _: Schema) -> tuple[Floats, Any, Any]:
    old, new, actual = base.predicted, candidate.predicted, base.actual
    moves = relative_moves(old, new, actual)
    edges = [-step for step in reversed(STEPS)] + list(STEPS)
    counts = np.bincount(np.searchsorted(edges, moves), minlength=len(edges) + 1)
    found = {
        "kind": "numbers",
        "up": int((moves > STEPS[0]).sum()),
        "down": int((moves < -STEPS[0]).sum()),
        "distribution": [
            {
                "from": None if n == 0 else edges[n - 1],
                "to": None if n == len(edges) else edges[n],
                "rows": int(counts[n]),
            }
            for n in range(len(edges) + 1)
        ],
    }

    def most(place: int) -> dict[str, Any]:
        return {
            "base": float(old[place]),
            "candidate": float(new[place]),
            "actual": float(actual[place]),
            "base_error": float(old[place] - actual[place]),
            "candidate_error": float(new[place] - actual[place]),
            "moved": float(moves[place]),
        }

    return moves, found, most


def _classes(base: Predictions, candidate: Predictions, schema: Schema) -> tuple[Floats, Any, Any]:
    old, new, actual = base.predicted, candidate.predicted, base.actual.astype(int)
    names = schema.target.choices
    before, after = base.decided, candidate.decided
    flipped = before != after
    # A change of class ranks above any move of probabilities without one.
    moves = np.abs(new - old).sum(axis=1) / 2 + flipped
    pairs, counts = np.unique(
        np.stack([before, after], axis=1)[flipped], axis=0, return_counts=True
    )
    found = {
        "kind": "classes",
        "shares": {f"{s:g}": float((moves - flipped > s).mean()) for s in STEPS},
        "flipped": int(flipped.sum()),
        "fixed": int((flipped & (after == actual)).sum()),
        "broken": int((flipped & (before == actual)).sum()),
        "flips": [
            {
                "from": names[a],
                "to": names[b],
                "rows": int(n),
                "right_now": int(((before == a) & (after == b) & (actual == b)).sum()),
                "right_before": int(((before == a) & (after == b) & (actual == a)).sum()),
            }
            for (a, b), n in sorted(zip(pairs, counts, strict=True), key=lambda one: -one[1])
        ],
    }

    def most(place: int) -> dict[str, Any]:
        was, now = int(before[place]), int(after[place])
        return {
            "base": names[was],
            "base_probability": float(old[place, was]),
            "candidate": names[now],
            "candidate_probability": float(new[place, now]),
            "actual": names[actual[place]],
        }

    return moves, found, most


def plain_value(value: Any) -> Any:
    """Convert a cell for JSON: a missing value to null, a midnight to a date."""
    if pd.isna(value):
        return None
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ").removesuffix(" 00:00:00")
    return value.item() if isinstance(value, np.generic) else value
