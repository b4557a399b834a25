"""A column's distribution in two tables, side by side."""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops.review.column_pairs import Values

BINS = 10
_MOST_LABELS = 10
_SAMPLED = 500_000
"""If there are more values, quantiles and bins use this many, evenly spaced; the ends are exact."""

_TAIL = 0.01  # share beyond the bin edges at each end, or one outlier would fill a bin alone
ABSENT = "—"


def distributions(old: Values, new: Values) -> dict[str, Any]:
    """Describe both sides, with the shares of values in common bins and their distance.

    `distance` is the total variation: the share of the values that lie in other bins.
    """
    shares = _binned(old, new) if old.kind != "text" else _counted(old, new)
    missing = [_missing(side) for side in (old, new)]
    distance = None
    if missing[0] is not None and missing[1] is not None:
        of_bins = sum(
            abs((1 - missing[0]) * a - (1 - missing[1]) * b)
            for a, b in zip(shares["base"], shares["candidate"], strict=True)
        )
        distance = (of_bins + abs(missing[0] - missing[1])) / 2
    return {
        "base": {"missing": missing[0], **_described(old)},
        "candidate": {"missing": missing[1], **_described(new)},
        "bins": shares,
        "distance": distance,
    }


def _missing(side: Values) -> float | None:
    return float(side.missing.mean()) if len(side.data) else None


def _sampled(side: Values) -> NDArray[Any]:
    """Return present values, sampled if they are many, as numbers; times as seconds."""
    values = side.data[:: -(-len(side.data) // _SAMPLED) or 1]
    if side.kind == "time":
        return values[~np.isnat(values)].astype("datetime64[s]").astype(np.float64)
    values = values.astype(np.float64)
    return values[np.isfinite(values)]


def _binned(old: Values, new: Values) -> dict[str, Any]:
    sides = [_sampled(side) for side in (old, new)]
    ends = [np.quantile(side, [_TAIL, 1 - _TAIL]) for side in sides if len(side)]
    if not ends:
        return {"labels": [], "base": [], "candidate": []}
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    edges = np.linspace(low, high, BINS + 1) if high > low else np.array([low, low])
    inner = edges[1:-1]
    shares = [
        np.bincount(np.searchsorted(inner, side, side="right"), minlength=len(inner) + 1)
        / max(len(side), 1)
        for side in sides
    ]
    names = [_edge(value, old.kind) for value in edges]
    labels = [f"{a} to {b}" for a, b in itertools.pairwise(names)]
    return {"labels": labels, "base": shares[0].tolist(), "candidate": shares[1].tolist()}


def _edge(value: float, kind: str) -> str:
    if kind == "time":
        return str(np.datetime64(int(value), "s"))[:10]
    return f"{value:,.4g}"


def _counted(old: Values, new: Values) -> dict[str, Any]:
    sides = [_label_shares(side) for side in (old, new)]
    order = np.argsort(-(sides[0] + sides[1]), kind="stable")
    order = order[(sides[0] + sides[1])[order] > 0]
    shown, rest = order[:_MOST_LABELS], order[_MOST_LABELS:]
    labels = [str(label) for label in old.labels[shown]]
    base, candidate = (side[shown].tolist() for side in sides)
    if len(rest):
        labels.append(f"{len(rest)} more")
        base.append(min(1.0, float(sides[0][rest].sum())))
        candidate.append(min(1.0, float(sides[1][rest].sum())))
    return {"labels": labels, "base": base, "candidate": candidate}


def _label_shares(side: Values) -> NDArray[np.float64]:
    present = side.data[side.data >= 0]
    counts = np.bincount(present, minlength=len(side.labels))
    shares: NDArray[np.float64] = counts / max(len(present), 1)
    return shares


def _described(side: Values) -> dict[str, Any]:
    """Summarize a column's values in a few words."""
    if side.kind == "text":
        shares = _label_shares(side)
        if not shares.any():
            return {"text": ABSENT}
        leading = int(shares.argmax())
        n_labels = int((shares > 0).sum())
        return {"text": f"{n_labels} values, {side.labels[leading]} {shares[leading]:.0%}"}
    present = side.data[~side.missing]
    if not len(present):
        return {"text": ABSENT}
    if side.kind == "time":
        return {"text": f"{str(present.min())[:10]} … {str(present.max())[:10]}"}
    middle = float(np.median(_sampled(side)))
    return {"text": f"{present.min():,.6g} … {middle:,.6g} … {present.max():,.6g}"}
