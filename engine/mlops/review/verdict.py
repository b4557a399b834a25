"""verdict.json: a review in the form of `verdict_schema`."""

import math
from dataclasses import asdict
from typing import Any

from mlops.review.report import Review
from mlops.review.verdict_schema import SCHEMA_VERSION, Verdict


def as_verdict(found: Review) -> dict[str, Any]:
    """Return a review as in verdict.json.

    Raises:
        pydantic.ValidationError: the result does not match the schema.
    """
    written = {
        "schema_version": SCHEMA_VERSION,
        "verdict": found.outcome,
        "checks": [check.as_json() for check in found.checks],
        "metrics": {
            c.metric: {
                "base_recorded": c.base_recorded,
                "base_on_this_data": c.base,
                **{k: asdict(c)[k] for k in ("candidate", "delta", "ci_low", "ci_high")},
                "reason": c.reason or c.base_reason or None,
                "higher_is_better": c.higher_is_better,
            }
            for c in found.comparisons
        },
        "own_metrics": found.own_metrics,
        "base": found.base,
        "head": found.head,
        "failure": found.failure or None,
        "not_comparable": found.not_comparable or None,
        "feedback": found.feedback.as_json() if found.feedback else None,
        "prepare": found.prepared.as_json() if found.prepared else None,
        "lock": None if found.failure else "behind" if found.lock_behind else "current",
        "params": [
            {"path": path, "base": _plain(old), "candidate": _plain(new)}
            for path, old, new in found.params
        ],
        "stages": found.stages,
        "slices": found.slices,
        "rows": found.moved,
        "data": found.data,
        **found.explanation.as_json(),
    }
    return Verdict.model_validate(written).model_dump(mode="json", by_alias=True)


def _plain(value: Any) -> Any:
    """Convert a parameter to JSON types."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)
