"""Changes of the data: its rows, its schema, the quarantined rows."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mlops import paths
from mlops.columns import Schema
from mlops.files import read_json
from mlops.frames import count_rows
from mlops.params import Reviewing
from mlops.review.checkouts import Side
from mlops.review.data_diff import data_diff, nothing_differs
from mlops.review.schema_diff import schema_diff

_CONDITIONS = 5


def data_changes(
    base: Side, candidate: Side, schema: Schema, params: Reviewing
) -> dict[str, Any] | None:
    """Compare the validated rows of both sides; None where the base has none."""
    old, new = base.root / paths.VALID_ROWS, candidate.root / paths.VALID_ROWS
    if not old.exists():  # the base has other stages
        return None
    counts = count_rows(old), count_rows(new)
    if (hashed := _hash(base)) is not None and hashed == _hash(candidate):
        found = {**nothing_differs(*counts), "same": True}
    elif schema.key.name not in pq.read_schema(old).names:
        found = {**nothing_differs(*counts), "same": None}
    else:
        found = data_diff(old, new, schema, params.tolerance, shown=params.examples)
    return found | {
        "schema": schema_diff(base.columns, schema),
        "quarantine": _quarantine(base, candidate, params),
    }


def _hash(side: Side) -> str | None:
    """Return the hash of the validated rows from dvc.lock."""
    outputs = [out for stage in side.stages.values() for out in stage.get("outs", [])]
    hashes = {out["path"]: out.get("md5") for out in outputs}
    found: str | None = hashes.get(str(paths.VALID_ROWS))
    return found


def _quarantine(base: Side, candidate: Side, params: Reviewing) -> dict[str, Any] | None:
    """Count the quarantined rows of both sides, and list the reasons for the candidate's."""
    rows = [_count(side.root / paths.QUARANTINED_ROWS) for side in (base, candidate)]
    if not any(rows):
        return None
    conditions = read_json(candidate.root / paths.VALIDATION_JSON)["conditions"]
    reasons = sorted(conditions, key=lambda one: -one["rows"])[:_CONDITIONS] if rows[1] else []
    hidden: dict[str, Any] = {} if params.examples else {"examples": []}
    return {"rows": rows, "reasons": [reason | hidden for reason in reasons]}


def _count(path: Path) -> int:
    return count_rows(path) if path.exists() else 0
