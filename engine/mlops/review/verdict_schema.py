"""verdict.json as types: what other tools and agents read of a review.

`docs/verdict.schema.json` is made of them: python -m mlops.review.verdict_schema > FILE
"""

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from mlops.errors import run_command

SCHEMA_VERSION = 1
"""Rises when a key changes its meaning or goes; a new key does not raise it."""

Number = float | int | None
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class CheckResult(_Part):
    """A condition of the gate; `why` is a sentence for people."""

    name: str
    outcome: Literal["pass", "warn", "block"]
    passed: bool
    value: Number
    limit: Number
    why: str


class MetricChange(_Part):
    """A metric of both models on the candidate's test rows, with the interval of the difference."""

    base_recorded: Number
    base_on_this_data: Number
    candidate: Number
    delta: Number
    ci_low: Number
    ci_high: Number
    reason: str | None
    higher_is_better: bool


class MoveRange(_Part):
    """Test rows whose prediction moved by a share between `from` and `to` of the base's."""

    low: Annotated[Number, Field(alias="from")]
    high: Annotated[Number, Field(alias="to")]
    rows: Count


class MovedNumber(_Part):
    """A test row of which both models predict a number; errors are predicted minus actual."""

    key: JsonValue
    features: dict[str, JsonValue]
    base: float
    candidate: float
    actual: float
    base_error: float
    candidate_error: float
    moved: float


class MovedClass(_Part):
    """A test row of which both models predict a class."""

    key: JsonValue
    features: dict[str, JsonValue]
    base: str
    base_probability: float
    candidate: str
    candidate_probability: float
    actual: str


class Flip(_Part):
    """Test rows that changed from one predicted class to another."""

    before: Annotated[str, Field(alias="from")]
    after: Annotated[str, Field(alias="to")]
    rows: Count
    right_before: Count
    right_now: Count


class MovedNumbers(_Part):
    """How far predictions moved: `shares` has the share of rows that moved by more than its key."""

    kind: Literal["numbers"]
    rows: Count
    shares: dict[str, Share]
    up: Count
    down: Count
    distribution: list[MoveRange]
    most: list[MovedNumber]


class MovedClasses(_Part):
    """How predicted classes changed; `shares` counts rows by the move of their probabilities."""

    kind: Literal["classes"]
    rows: Count
    shares: dict[str, Share]
    flipped: Count
    fixed: Count
    broken: Count
    flips: list[Flip]
    most: list[MovedClass]


class Guess(_Part):
    """What probably happened to some columns, in words, and to how many rows."""

    columns: list[str]
    rows: Count
    text: str


class ChangedCell(_Part):
    """One changed cell."""

    key: JsonValue
    before: JsonValue
    after: JsonValue


class DataExamples(_Part):
    """Keys of rows that were added or removed, and changed cells by column."""

    added: list[JsonValue]
    removed: list[JsonValue]
    changed: dict[str, list[ChangedCell]]


class ColumnSide(_Part):
    """A column of one table, in a few words."""

    missing: Share | None
    text: str


class Bins(_Part):
    """The share of a column's values in bins that both tables have in common."""

    labels: list[str]
    base: list[Share]
    candidate: list[Share]


class ColumnChange(_Part):
    """A column in both tables; `distance` is the share of the values that lie in other bins."""

    column: str
    base: ColumnSide
    candidate: ColumnSide
    bins: Bins
    distance: float | None


class QuarantineReason(_Part):
    """A condition that rows in quarantine broke."""

    column: str | None
    wanted: str
    rows: Count
    examples: list[str]


class Quarantine(_Part):
    """Rows in quarantine, of base and candidate, and why the candidate's are there."""

    rows: Annotated[list[Count], Field(min_length=2, max_length=2)]
    reasons: list[QuarantineReason]


class DataChange(_Part):
    """What a change does to the validated rows.

    `same` is null where rows can't be compared by key. `rows` are those of base and candidate.
    """

    same: bool | None
    rows: Annotated[list[Count], Field(min_length=2, max_length=2)]
    added: Count
    added_days: list[str] | None
    removed: Count
    changed: Count
    changed_columns: dict[str, Count]
    columns: list[ColumnChange]
    guesses: list[Guess]
    examples: DataExamples
    schema_changes: Annotated[list[str], Field(alias="schema")]
    quarantine: Quarantine | None


class ParamChange(_Part):
    """A parameter that differs; one that a side lacks is "—" there."""

    path: str
    base: JsonValue
    candidate: JsonValue


class SliceMetrics(_Part):
    """The metrics of both models on a part of the test rows; `reasons` of those undefined.

    `regression` has how much worse a metric of the gate is, as a share of the base's; `chance`, how
    probably chance alone makes any slice look so much worse.
    """

    column: str
    slice: str
    rows: Count
    base: dict[str, Number]
    candidate: dict[str, Number]
    reasons: dict[str, str]
    regression: dict[str, Number]
    chance: dict[str, Share]


class Cause(_Part):
    """A likely cause of the change; the strongest comes first."""

    kind: str
    what: str
    evidence: str
    strength: float


class FeatureUse(_Part):
    """How much worse the leading metric gets without a column, as a share of the base's.

    `low` and `high` are the interval of the change.
    """

    column: str
    base: float
    candidate: float
    low: float
    high: float


class Segment(_Part):
    """Rows in which the error changed otherwise than in the rest."""

    where: str
    rows: Count
    metric: str
    change: float
    chance: float
    sentence: str


class TimeRatio(_Part):
    """Milliseconds of both models, and the candidate's as a multiple of the base's."""

    base: float
    candidate: float
    value: float
    low: float
    high: float


class Served(_Part):
    """What serving takes; pairs are of base and candidate.

    `reason` says why the candidate has no exported form; memory is in bytes.
    """

    engine: tuple[str, str]
    reason: str | None
    bytes: tuple[Count, Count]
    memory: tuple[Count, Count] | None
    row: TimeRatio | None
    thousand: TimeRatio | None


class Replay(_Part):
    """How a sample of production's requests would be answered; pairs are of base and candidate.

    `moved` has the share of answers that moved by more than its key, `on_test` that of test rows.
    """

    requests: Count
    moved: dict[str, Share]
    on_test: dict[str, Share]
    test_rows: Count
    refused: tuple[Count, Count]
    refused_by: dict[str, Count]
    outside: tuple[Count, Count]
    outside_by: dict[str, Count]


class FeedbackCounts(_Part):
    """How many rows are feedback of clients of the API."""

    train: Count
    train_rows: Count
    test: Count
    test_rows: Count
    source_rows: Count


class PreparedRows(_Part):
    """What `prepare` did to the training, test or held-out rows; values changed by column."""

    rows: Count
    removed: Count
    changed: dict[str, Count]


class Prepare(_Part):
    """What `prepare` did, and to how many test rows the base's does not do it."""

    parts: dict[str, PreparedRows]
    new_removed: Count
    new_changed: Count


class Verdict(_Part):
    """The result of a review. Where base and candidate can't be compared, `metrics` is empty.

    `own_metrics` says in words what each metric of the project's own is.
    """

    schema_version: Literal[1]
    verdict: Literal["pass", "warn", "block"]
    checks: list[CheckResult]
    metrics: dict[str, MetricChange]
    own_metrics: dict[str, str]
    base: str
    head: str
    failure: str | None
    not_comparable: str | None
    feedback: FeedbackCounts | None
    prepare: Prepare | None
    lock: Literal["behind", "current"] | None
    params: list[ParamChange]
    stages: dict[str, bool]
    slices: list[SliceMetrics]
    rows: MovedNumbers | MovedClasses | None
    data: DataChange | None
    causes: list[Cause]
    features: list[FeatureUse]
    segments: list[Segment]
    served: Served | None
    replay: Replay | None


def json_schema() -> str:
    """Write the JSON Schema of verdict.json."""
    schema = Verdict.model_json_schema(by_alias=True)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(head | schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    run_command(lambda: print(json_schema(), end=""))
