"""Why and where the models differ, their serving cost, and a replay of production's requests."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlops import paths
from mlops.columns import Schema
from mlops.errors import UserError
from mlops.frames import count_rows, read_rows, with_derived, write_rows
from mlops.metric_registry import Metrics
from mlops.metrics import Floats, Predictions
from mlops.monitoring.replay_sample import get
from mlops.params import Params
from mlops.pipeline.splitting import key_shares
from mlops.review.causes import find_causes
from mlops.review.checkouts import Side
from mlops.review.cost import Cost, check_cost, cost_section, measure_cost
from mlops.review.feature_use import Use, compare_use, shuffled, use_section, uses_json
from mlops.review.gate import Check
from mlops.review.model_comparison import NotComparable, scored_by_both
from mlops.review.replay import Replay, check_replay, compare_replay
from mlops.review.replay_section import replay_section
from mlops.review.segments import Segment, find_segments, segments_section
from mlops.review.setting_causes import Settings
from mlops.review.value_causes import Cause

_MOST_ROWS = 300_000
"""If a side has more valid rows, causes are searched in those with the lowest key hashes."""


@dataclass(frozen=True)
class Explanation:
    """Findings beyond the metrics; each attribute is empty if nothing was found."""

    causes: list[Cause] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    cost: Cost | None = None
    replay: Replay | None = None

    def checks(self, params: Params) -> list[Check]:
        """Check cost and replay."""
        return [*check_cost(self.cost, params.gate), *check_replay(self.replay)]

    def as_json(self) -> dict[str, Any]:
        """Return the findings as in verdict.json."""
        return {
            "causes": [asdict(cause) for cause in self.causes],
            "features": uses_json(self.uses),
            "segments": [segment.as_json() for segment in self.segments],
            "served": self.cost.as_json() if self.cost else None,
            "replay": self.replay.as_json() if self.replay else None,
        }


def details_of(found: Explanation) -> list[str]:
    """Write segments, features, replay and cost as Markdown."""
    return [
        segments_section(found.segments),
        use_section(found.uses),
        replay_section(found.replay),
        cost_section(found.cost),
    ]


def explain(
    base: Side,
    candidate: Side,
    test: pd.DataFrame,
    predicted: Sequence[Predictions],
    params: Params,
    schema: Schema,
    metrics: Metrics,
) -> Explanation:
    """Explain a change with other stages than the base's; `predicted` are for the test rows."""
    was, now = predicted
    uses, replay = _asked(base, candidate, test, predicted, params, schema, metrics)
    rate = params.gate.slices.error_rate
    return Explanation(
        find_causes(_facts(base, schema), _facts(candidate, schema), schema),
        uses,
        find_segments(was, now, with_derived(test, schema), schema, rate),
        measure_cost(base, candidate),
        replay,
    )


def _facts(side: Side, schema: Schema) -> tuple[Settings, pd.DataFrame]:
    """Return a side's settings and its valid rows."""
    code = side.root / paths.FINGERPRINT / "train.json"
    quarantine = side.root / paths.QUARANTINED_ROWS
    valid = side.root / paths.VALID_ROWS
    rows = read_rows(valid) if valid.exists() else pd.DataFrame()
    settings = Settings(
        side.params,
        side.columns,
        side.manifest.get("derived", {}),
        json.loads(code.read_text(encoding="utf-8")) if code.exists() else {},
        len(rows),
        count_rows(quarantine) if quarantine.exists() else 0,
    )
    if len(rows) > _MOST_ROWS and schema.key.name in rows:
        rows = rows[key_shares(rows[schema.key.name]) < _MOST_ROWS / len(rows)]
    own = side.manifest.get("derived", {}).get("code", "") == schema.derived_code
    try:
        return settings, with_derived(rows, schema) if own else rows
    except (KeyError, UserError):  # the base has other columns
        return settings, rows


def _asked(
    base: Side,
    candidate: Side,
    test: pd.DataFrame,
    predicted: Sequence[Predictions],
    params: Params,
    schema: Schema,
    metrics: Metrics,
) -> tuple[list[Use], Replay | None]:
    """Score rows with a shuffled column, and production's requests, with both models."""
    columns = [column.name for column in schema.inputs if column.role != "time"]
    asked = shuffled(test, columns)
    with tempfile.TemporaryDirectory() as folder:
        requests = _requests(Path(folder) / "requests.parquet", test, params)
        file = Path(folder) / "asked.parquet"
        write_rows(file, pd.concat([asked, requests], ignore_index=True))
        try:
            scored = scored_by_both(base, candidate, file, len(asked) + len(requests))
        except NotComparable:
            return [], None
    actual: Floats = scored[-1]["actual"][: len(asked)]
    answers = [one["predicted"][: len(asked)] for one in scored]
    uses = compare_use(metrics, actual, answers, columns, params.evaluate.confidence)
    if requests.empty:
        return uses, None
    return uses, compare_replay(
        params.task,
        requests,
        [dict(base.manifest), dict(candidate.manifest)],
        [base.columns, candidate.columns],
        [one["predicted"][len(asked) :] for one in scored],
        [one.predicted for one in predicted],
    )


def _requests(file: Path, test: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Return the sample of production's requests with the test rows' columns; may be empty."""
    replay = params.monitor.replay
    if replay is None or not get(Path(), file):
        return test.head(0)
    known = [name for name in replay.columns if name in test.columns]
    rows = read_rows(file)
    rows = rows.reindex(columns=known).head(replay.rows)
    rows = rows.reindex(columns=test.columns)
    for name in test.columns:
        kind = test[name].dtype
        if pd.api.types.is_integer_dtype(kind):  # a key, which no request has
            rows[name] = np.arange(len(rows))
        rows[name] = rows[name].astype(kind)
    return rows
