"""params.yaml as typed, frozen objects. Unknown keys, wrong types and values are errors."""

import contextlib
import datetime
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from mlops.errors import run_command
from mlops.metrics import HIGHER_IS_BETTER
from mlops.schema import SCHEMA
from mlops.typed_yaml import load_yaml

PARAMS_FILE = Path("params.yaml")

Share = Annotated[float, Field(gt=0, lt=1)]
PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def _day(value: Any) -> Any:
    """Take the text '2009-12-31' for the day that it names."""
    if isinstance(value, datetime.date):
        raise ValueError(
            f'found a bare date, wanted it in quotes, for DVC reads no other: "{value}"'
        )
    with contextlib.suppress(ValueError, TypeError):
        return datetime.date.fromisoformat(value)
    return value


Day = Annotated[datetime.date, BeforeValidator(_day)]


class Section(BaseModel):
    """A part of params.yaml: its keys and no others, of exactly these types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


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
    folds: Annotated[int, Field(ge=2)]
    backend: Literal["loky", "dask"]
    jobs: int
    space: dict[str, Annotated[list[float | int | bool], Field(min_length=1)]]


class Train(Section):
    kind: Annotated[str, Field(min_length=1)]  # pipeline/model.py knows which there are
    seed: Seed
    log_target: bool
    alpha: PositiveFloat
    n_estimators: PositiveInt
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    max_iter: PositiveInt
    max_leaf_nodes: Annotated[int, Field(ge=2)]
    min_samples_leaf: PositiveInt
    l2_regularization: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    level_days: PositiveInt | None
    search: Search

    @model_validator(mode="after")
    def _space_holds_valid_values(self) -> "Train":
        own = self.model_dump(exclude={"search"})
        problems = []
        for key, values in self.search.space.items():
            if key not in own or key in {"kind", "seed"}:
                problems.append(f"search.space.{key}: wanted one of {', '.join(sorted(own))}")
                continue
            for value in values:
                try:
                    Train.model_validate(
                        own
                        | {key: value}
                        | {"search": self.search.model_copy(update={"space": {}})}
                    )
                except ValidationError as error:
                    problems.append(f"search.space.{key}: {value!r}: {error.errors()[0]['msg']}")
        if problems:
            raise ValueError("\n".join(problems))
        return self


class Evaluate(Section):
    slices: list[str]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    seed: Seed


class SliceFloors(Section):
    min_rows: PositiveInt
    floors: dict[str, Annotated[float, Field(allow_inf_nan=False)]]


class Feedback(Section):
    max_share: Annotated[float, Field(ge=0, le=1)]
    outcome: Literal["warn", "block"]


class Gate(Section):
    floors: dict[str, Annotated[float, Field(allow_inf_nan=False)]]
    slices: SliceFloors
    max_regression: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    feedback: Feedback = Feedback(max_share=0.5, outcome="warn")


class Retrain(Section):
    cooldown_days: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    max_per_month: PositiveInt
    test_days: PositiveInt
    level_days: PositiveInt | None


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


class Params(Section):
    task: Literal["regression", "classification"]
    ingest: Ingest
    validate_: Annotated[Validate, Field(alias="validate")]
    split: Split
    train: Train
    evaluate: Evaluate
    gate: Gate
    monitor: Monitor

    @model_validator(mode="after")
    def _fits_schema_and_task(self) -> "Params":
        known, problems = HIGHER_IS_BETTER[self.task], []
        if self.task == "classification" and not SCHEMA.target.choices:
            problems.append(
                f"task: classification needs choices of the target {SCHEMA.target.name}"
            )
        if self.task == "regression" and SCHEMA.target.choices:
            problems.append(f"task: the target {SCHEMA.target.name} has choices: classification")
        if self.train.level_days and (SCHEMA.target.choices or not SCHEMA.time):
            problems.append("train.level_days: wants a number to predict, and a column of dates")
        if self.split.test_from and not SCHEMA.time:
            problems.append("split.test_from: the schema has no column of role 'time'; set null")
        features = [column.name for column in SCHEMA.features]
        for name in self.evaluate.slices:
            if name not in features:
                problems.append(
                    f"evaluate.slices: {name!r}: wanted features: {', '.join(features)}"
                )
        for part, metrics in (
            ("gate.floors", self.gate.floors),
            ("gate.slices.floors", self.gate.slices.floors),
            ("gate.max_regression", self.gate.max_regression),
            ("monitor.max_worse", self.monitor.max_worse),
        ):
            for name in metrics:
                if name not in known:
                    problems.append(f"{part}: {name!r}: wanted metrics: {', '.join(known)}")
        if problems:
            raise ValueError("\n".join(problems))
        return self


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check params.yaml.

    Raises:
        BadInput: the file holds anything that the classes above do not allow.
    """
    return load_yaml(path, Params)


def _main() -> None:
    load_params(Path(sys.argv[1]) if len(sys.argv) > 1 else PARAMS_FILE)


if __name__ == "__main__":
    run_command(_main)
