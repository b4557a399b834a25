"""params.yaml as typed, frozen objects. Unknown keys, wrong types and values are errors."""

import contextlib
import datetime
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, model_validator

from mlops.columns import Schema
from mlops.errors import run_command
from mlops.kinds import Kind, model_problems
from mlops.metric_registry import Metrics
from mlops.typed_yaml import PositiveFloat, PositiveInt, Section, Share, load_yaml

PARAMS_FILE = Path("params.yaml")

Seed = Annotated[int, Field(ge=0, lt=2**32)]


def _day(value: Any) -> Any:
    """Parse a date in quotes, such as '2009-12-31'; reject one without."""
    if isinstance(value, datetime.date):
        raise ValueError(
            f'found a bare date, wanted it in quotes, because DVC needs a string: "{value}"'
        )
    with contextlib.suppress(ValueError, TypeError):
        return datetime.date.fromisoformat(value)
    return value


Day = Annotated[datetime.date, BeforeValidator(_day)]


class Ingest(Section):
    source: Annotated[str, Field(min_length=1)]
    until: Day
    max_gap_days: PositiveInt


class Validate(Section):
    quarantine: bool
    min_rows: PositiveInt
    max_age_days: PositiveInt
    window_days: PositiveInt
    min_window_share: Annotated[float, Field(ge=0, le=1)]


class Split(Section):
    test_from: Day | None
    test_share: Share | None
    max_train_rows: PositiveInt | None
    held_out: Annotated[list[Day], Field(min_length=2, max_length=2)] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "Split":
        if (self.test_from is None) == (self.test_share is None):
            raise ValueError("test_from, test_share: set one of them, and the other to null")
        if self.held_out is not None:
            first, last = self.held_out
            if self.test_from is None or not first <= last < self.test_from:
                raise ValueError("held_out: wanted a first and a last day, both before test_from")
        return self


class Search(Section):
    candidates: Annotated[int, Field(ge=0)]
    metric: str | None = None
    folds: Annotated[int, Field(ge=2)]
    backend: Literal["loky", "dask"]
    jobs: int
    space: dict[str, Annotated[list[float | int | bool], Field(min_length=1)]]


class ErrorCosts(Section):
    """Costs of the two kinds of error, in any unit: only their ratio matters."""

    false_positive: PositiveFloat
    false_negative: PositiveFloat


class BestMetric(Section):
    metric: str


def _threshold(value: Any) -> Any:
    """Parse a number, the costs of errors, or the metric to choose the threshold by."""
    if value is None or (isinstance(value, float) and 0 < value < 1):
        return value
    for form in (ErrorCosts, BestMetric):
        with contextlib.suppress(ValidationError):
            return form.model_validate(value)
    raise ValueError(
        f"found {value!r}, wanted null, a number between 0 and 1, "
        "{false_positive: 1, false_negative: 5} or {metric: f1_macro}"
    )


class Train(Section):
    kind: Annotated[str, Field(min_length=1)]
    seed: Seed
    log_target: bool
    threshold: Annotated[float | ErrorCosts | BestMetric | None, BeforeValidator(_threshold)] = None
    level_days: PositiveInt | None
    search: Search


class Evaluate(Section):
    slices: list[str]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    seed: Seed


class SliceFloors(Section):
    min_rows: PositiveInt
    floors: dict[str, Annotated[float, Field(allow_inf_nan=False)]]
    max_regression: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] | None = None
    error_rate: Share = 0.01


class Feedback(Section):
    max_share: Annotated[float, Field(ge=0, le=1)]
    outcome: Literal["warn", "block"]


class Gate(Section):
    floors: dict[str, Annotated[float, Field(allow_inf_nan=False)]]
    slices: SliceFloors
    max_regression: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    feedback: Feedback = Feedback(max_share=0.5, outcome="warn")
    max_slower: PositiveFloat | None = None
    max_bytes: PositiveInt | None = None

    @property
    def slice_limits(self) -> dict[str, float]:
        """Allowed regression of a metric in a slice; by default, the limits for all rows."""
        own = self.slices.max_regression
        return self.max_regression if own is None else own


class Reviewing(Section):
    """Settings of what a review compares and shows."""

    tolerance: dict[str, Annotated[float, Field(ge=0, lt=1)]] = Field(default_factory=dict)
    examples: bool = True


class Retrain(Section):
    cooldown_days: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    max_per_month: PositiveInt
    test_days: PositiveInt
    level_days: PositiveInt | None


class Replay(Section):
    columns: Annotated[list[str], Field(min_length=1)]
    rows: PositiveInt = 10_000


class Monitor(Section):
    window_days: PositiveFloat
    window_rows: PositiveInt
    window_labels: PositiveInt
    max_age_days: PositiveFloat
    max_rows: PositiveInt
    min_rows: Annotated[int, Field(ge=2)]
    alpha: Share
    min_effect: PositiveFloat
    implausible_effect: PositiveFloat
    max_share: Share
    max_worse: dict[str, PositiveFloat]
    retrain: Retrain
    replay: Replay | None = None


class Params(Section):
    task: Literal["regression", "classification"]
    ingest: Ingest
    validate_: Annotated[Validate, Field(alias="validate")]
    split: Split
    train: Train
    models: dict[str, dict[str, Any]]
    evaluate: Evaluate
    gate: Gate
    review: Reviewing = Field(default_factory=Reviewing)
    monitor: Monitor

    @model_validator(mode="after")
    def _fits_the_project(self, info: ValidationInfo) -> "Params":
        schema, metrics = cast(tuple[Schema, Metrics], info.context)
        problems = [*_schema_problems(self, schema), *_metric_problems(self, metrics)]
        if problems:
            raise ValueError("\n".join(problems))
        return self


def _schema_problems(params: Params, schema: Schema) -> list[str]:
    """List settings that contradict the schema."""
    problems, target = [], schema.target
    if params.task == "classification" and not target.choices:
        problems.append(f"task: classification needs choices of the target {target.name}")
    if params.task == "regression" and target.choices:
        problems.append(f"task: the target {target.name} has choices: classification")
    if params.train.level_days and (target.choices or not schema.time):
        problems.append("train.level_days: needs a numeric target and a column of role 'time'")
    if params.train.log_target and not target.choices and not (target.low or 0) > 0:
        problems.append(
            f"train.log_target: true fits logarithms, but the schema allows {target.name} to be 0 "
            f"or less: set low above 0 in Column({target.name!r}, …) of src/project/schema.py, or "
            "set false"
        )
    if params.train.threshold is not None and (n := len(target.choices)) != 2:
        found = f"{target.name} has {n} choices, and the most likely one is predicted"
        found = found if n else f"{target.name} is a number, so there is no decision"
        problems.append(f"train.threshold: wanted a target of two choices; {found}: set null")
    if params.split.test_from and not schema.time:
        problems.append("split.test_from: the schema has no column of role 'time'; set null")
    if params.monitor.replay:
        problems += _replay_problems(params.monitor.replay, schema)
    features = [column.name for column in schema.features]
    problems += [
        f"evaluate.slices: {name!r}: wanted features: {', '.join(features)}"
        for name in params.evaluate.slices
        if name not in features
    ]
    return problems + [
        f"review.tolerance: {name!r}: wanted columns: {', '.join(schema.names)}"
        for name in params.review.tolerance
        if name not in schema.names
    ]


def _replay_problems(replay: Replay, schema: Schema) -> list[str]:
    """List replay columns that no request has, and required inputs that are not listed."""
    inputs = {column.name: column for column in schema.inputs}
    wanted, named = ", ".join(inputs), ", ".join(replay.columns)
    problems = [
        f"monitor.replay.columns: {name!r}: wanted inputs: {wanted}"
        for name in replay.columns
        if name not in inputs
    ]
    return problems + [
        f"monitor.replay.columns: found {named}, wanted {name} too: requests need it"
        for name, column in inputs.items()
        if name not in replay.columns and not column.nullable and column.role != "time"
    ]


def _metric_problems(params: Params, metrics: Metrics) -> list[str]:
    """List metric names that neither the engine nor the project defines."""
    known, gate, threshold = metrics.higher_is_better, params.gate, params.train.threshold
    return [
        f"{part}: {name!r}: wanted metrics: {', '.join(known)}"
        for part, metrics in (
            ("gate.floors", gate.floors),
            ("gate.slices.floors", gate.slices.floors),
            ("gate.slices.max_regression", gate.slices.max_regression or {}),
            ("gate.max_regression", gate.max_regression),
            ("monitor.max_worse", params.monitor.max_worse),
            ("train.search.metric", filter(None, [params.train.search.metric])),
            (
                "train.threshold.metric",
                [threshold.metric] if isinstance(threshold, BestMetric) else [],
            ),
        )
        for name in metrics
        if name not in known
    ]


def load_params(
    path: Path,
    schema: Schema,
    kinds: Mapping[str, type[Kind]] | None = None,
    metrics: Metrics | None = None,
) -> Params:
    """Read params.yaml and check it against the columns, the metrics and, if given, the kinds.

    Args:
        metrics: by default only the engine's.

    Raises:
        UserError: the file has invalid content; the message names every problem.
    """
    known = metrics or Metrics(schema.task, schema.target.choices)
    return load_yaml(path, Params, (schema, known), partial(model_problems, kinds or {}))


def main() -> None:
    from mlops.project import load_project_params  # it needs the classes above

    load_project_params(*map(Path, sys.argv[1:]), with_models=True)


if __name__ == "__main__":
    run_command(main)
