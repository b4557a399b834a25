"""Read a YAML file into a pydantic model, or say everything that is wrong with it at once."""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlops.errors import BadInput

Model = TypeVar("Model", bound=BaseModel)

Share = Annotated[float, Field(gt=0, lt=1)]
PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A part of params.yaml: its keys and no others, of exactly these types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


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


def _none(content: Any) -> list[str]:
    return []


def load_yaml(
    path: Path, model: type[Model], context: Any = None, more: Callable[[Any], list[str]] = _none
) -> Model:
    """Read `path` and check it against `model`, whose validators see `context`.

    Args:
        more: finds problems of the raw content that the model leaves to others.

    Raises:
        BadInput: the file is missing, is not YAML, repeats a key, or holds anything that the model
            doesn't allow; the message names every problem by its path in the file.
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
    problems = [*loader.repeated, *more(content)]
    try:
        checked = model.model_validate(content if content is not None else {}, context=context)
    except ValidationError as error:
        problems += [text for item in error.errors() for text in describe_error(item, model)]
    if problems:
        raise BadInput(f"{path}: {len(problems)} problem(s)", problems)
    return checked


def describe_error(item: Any, model: type[BaseModel]) -> list[str]:
    """Turn one pydantic error into lines of 'path: found …, wanted …'."""
    path, found = ".".join(str(part) for part in item["loc"]), item["input"]
    if item["type"] == "missing":
        return [f"{path}: missing"]
    if item["type"] == "extra_forbidden":
        return [f"{path}: unknown key{_suggestion(item['loc'], model)}"]
    wanted = item["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if item["type"] == "value_error":  # of a validator above: one problem a line
        joint = ": " if wanted.startswith("found ") else "."
        return [f"{path}{joint}{line}" if path else line for line in wanted.split("\n")]
    hint = ""
    if isinstance(found, str) and _is_number(found):
        # YAML 1.1 takes a number without a point, such as 1e-3, for a text.
        hint = f" (YAML reads {found} as text: write {float(found)!r})"
    return [f"{path}: found {found!r}, wanted {wanted}{hint}"]


def _suggestion(loc: tuple[str | int, ...], model: Any) -> str:
    """Name the key that was probably meant, or all that stand at that place."""
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
