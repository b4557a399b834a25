"""Parameters that training chose: the winners of a search, and the decision threshold."""

from typing import Any

from mlops.review.checkouts import Side
from mlops.review.differences import ABSENT


def chosen_diff(base: Side, candidate: Side) -> list[tuple[str, Any, Any]]:
    """List name, base's and candidate's value of the parameters that either training chose."""
    old, new = base.manifest.get("params", {}), candidate.manifest.get("params", {})
    return [
        (f"chosen in training: {name}", old.get(name, ABSENT), new.get(name, ABSENT))
        for name in dict.fromkeys([*_chosen(base), *_chosen(candidate)])
    ]


def _chosen(side: Side) -> list[str]:
    train = side.params.get("train") or {}
    search = train.get("search") or {}
    names = list(search.get("space") or {}) if search.get("candidates") else []
    return names + ["threshold"] * isinstance(train.get("threshold"), dict)
