"""params.yaml as typed, frozen objects. Unknown keys, wrong types and values are errors."""

import contextlib
import datetime
import difflib
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from mlops.errors import BadInput, run_command
from mlops.metrics import HIGHER_IS_BETTER
from mlops.schema import SCHEMA

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

    @model_validator(mode="after")
    def _one_way(self) -> "Split":
        if (self.test_from is None) == (self.test_share is None):
            raise ValueError("test_from, test_share: set one of them, and the other to null")
        return self


class Search(Section):
    candidates: Annotated[int, Field(ge=0)]
    folds: Annotated[int, Field(ge=2)]
    backend: Literal["loky"]
    jobs: int
    space: dict[str, Annotated[list[float | int | bool], Field(min_length=1)]]


class Train(Section):
    kind: Literal["ridge", "random_forest", "hist_gradient_boosting"]
    seed: Seed
    log_target: bool
    alpha: PositiveFloat
    n_estimators: PositiveInt
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    max_iter: PositiveInt
    max_leaf_nodes: Annotated[int, Field(ge=2)]
    min_samples_leaf: PositiveInt
    l2_regularization: Annotated[float, Field(ge=0, allow_inf_nan=False)]
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
    replicates: Annotated[int, Field(ge=100, le=100_000)]
    seed: Seed


class Gate(Section):
    floors: dict[str, Annotated[float, Field(allow_inf_nan=False)]]
    max_regression: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]


class Params(Section):
    task: Literal["regression", "classification"]
    ingest: Ingest
    validate_: Annotated[Validate, Field(alias="validate")]
    split: Split
    train: Train
    evaluate: Evaluate
    gate: Gate

    @model_validator(mode="after")
    def _fits_schema_and_task(self) -> "Params":
        known, problems = HIGHER_IS_BETTER[self.task], []
        if self.task == "classification" and not SCHEMA.target.choices:
            problems.append(
                f"task: classification needs choices of the target {SCHEMA.target.name}"
            )
        if self.task == "regression" and SCHEMA.target.choices:
            problems.append(f"task: the target {SCHEMA.target.name} has choices: classification")
        if self.split.test_from and not SCHEMA.time:
            problems.append("split.test_from: the schema has no column of role 'time'; set null")
        features = [column.name for column in SCHEMA.features]
        for name in self.evaluate.slices:
            if name not in features:
                problems.append(
                    f"evaluate.slices: {name!r}: wanted features: {', '.join(features)}"
                )
        for part, metrics in (
            ("floors", self.gate.floors),
            ("max_regression", self.gate.max_regression),
        ):
            for name in metrics:
                if name not in known:
                    problems.append(f"gate.{part}: {name!r}: wanted metrics: {', '.join(known)}")
        if problems:
            raise ValueError("\n".join(problems))
        return self


class _Loader(yaml.SafeLoader):
    """SafeLoader that notes repeated keys, of which PyYAML silently keeps the last.

    A day that doesn't exist stays a text, for the typed check to refuse beside all else.
    """

    repeated: list[str]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            key, line = self.construct_object(key_node, deep=True), key_node.start_mark.line + 1
            if key in seen:
                self.repeated.append(f"{key}: stands on line {seen[key]} and again on line {line}")
            seen[key] = line
        return super().construct_mapping(node, deep)

    def construct_yaml_timestamp(self, node: yaml.ScalarNode) -> Any:
        try:
            return super().construct_yaml_timestamp(node)
        except ValueError:
            return node.value


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_yaml_timestamp)


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check params.yaml.

    Raises:
        BadInput: the file is missing, is not YAML, or holds anything that the classes above do
            not allow; the message names every problem by its path in the file.
    """
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: can't be read: {error}") from error
    loader.repeated = []
    try:
        content = loader.get_single_data()
    except yaml.YAMLError as error:
        raise BadInput(f"{path}: not valid YAML: {error}") from error
    problems = list(loader.repeated)
    try:
        params = Params.model_validate(content if content is not None else {})
    except ValidationError as error:
        problems += [problem for item in error.errors() for problem in _describe(item)]
    if problems:
        raise BadInput(f"{path}: {len(problems)} problem(s)", problems)
    return params


def _describe(item: Any) -> list[str]:
    """Turn one pydantic error into lines of 'path: found …, wanted …'."""
    path, found = ".".join(str(part) for part in item["loc"]), item["input"]
    if item["type"] == "missing":
        return [f"{path}: missing"]
    if item["type"] == "extra_forbidden":
        return [f"{path}: unknown key{_suggestion(item['loc'])}"]
    wanted = item["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if item["type"] == "value_error":  # of a validator above: one problem a line
        joint = ": " if wanted.startswith("found ") else "."
        return [f"{path}{joint}{line}" if path else line for line in wanted.split("\n")]
    hint = ""
    if isinstance(found, str) and _is_number(found):
        # YAML 1.1 takes a number without a point, such as 1e-3, for a text.
        hint = f" (YAML reads {found} as text: write {float(found)!r})"
    return [f"{path}: found {found!r}, wanted {wanted}{hint}"]


def _suggestion(loc: tuple[str | int, ...]) -> str:
    """Name the key that was probably meant, or all that stand at that place."""
    model: Any = Params
    for part in loc[:-1]:
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        model = fields[str(part)].annotation
    known = [field.alias or name for name, field in model.model_fields.items()]
    close = difflib.get_close_matches(str(loc[-1]), known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; wanted one of {', '.join(known)}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _main() -> None:
    load_params(Path(sys.argv[1]) if len(sys.argv) > 1 else PARAMS_FILE)


if __name__ == "__main__":
    run_command(_main)
