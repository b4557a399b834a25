"""Read a YAML file into a pydantic model, or report all its problems at once.

A pull request writes these files, so they must be plain files of plain YAML: anything that can make
a small file expensive, or print another file's content, is rejected before objects are built.
"""

import difflib
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlops.errors import UserError

Model = TypeVar("Model", bound=BaseModel)

MOST_BYTES = 1_000_000
MOST_VALUES = 100_000
MOST_DEPTH = 40
MOST_CHARACTERS = 2_000
"""Limit of an unquoted scalar: it may be a number, whose conversion takes quadratic time."""

Share = Annotated[float, Field(gt=0, lt=1)]
PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A section of params.yaml: exactly these keys, of exactly these types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def plain_text(path: Path, most_bytes: int = MOST_BYTES) -> str:
    """Read a text file that a pull request can write.

    Raises:
        UserError: the file is missing, a link, a device, too large, or not UTF-8.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise UserError(f"{path}: is a link or no file, wanted a plain file")
    try:
        if (size := path.stat().st_size) > most_bytes:
            raise UserError(f"{path}: found {size:,} bytes, wanted at most {most_bytes:,}")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read: {error}") from error


def parse_yaml(text: str) -> Any:
    """Parse plain YAML.

    Raises:
        ValueError: the text has an anchor, an alias, a merge key or a tag, with which a small text
            becomes a large object; or it is too deeply nested, or has too long numbers.
        yaml.YAMLError: the text is not YAML.
    """
    check_plain(text)
    return yaml.load(text, Loader=yaml.CSafeLoader)


def check_plain(text: str) -> None:
    """Reject the same texts as `parse_yaml`, without building objects."""
    if len(text) > MOST_BYTES:
        raise ValueError(f"found {len(text):,} characters, wanted at most {MOST_BYTES:,}")
    depth = 0
    events: Iterator[Any] = yaml.parse(text, Loader=yaml.CSafeLoader)
    for number, event in enumerate(events):
        if fault := _fault(event):
            raise ValueError(
                f"line {event.start_mark.line + 1}: found {fault}; write the value instead"
            )
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH or number > MOST_VALUES:
            limit = f"{MOST_DEPTH} levels" if depth > MOST_DEPTH else f"{MOST_VALUES:,} values"
            raise ValueError(f"line {event.start_mark.line + 1}: more than {limit}")


def _fault(event: Any) -> str:
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        return "an anchor or alias"
    if getattr(event, "tag", None):
        return "a tag"
    if isinstance(event, yaml.ScalarEvent) and not event.style:
        if event.value == "<<":
            return "a merge key"
        if len(event.value) > MOST_CHARACTERS:
            return f"{len(event.value):,} characters without quotes"
    return ""


class _Loader(yaml.CSafeLoader):
    """SafeLoader that records repeated keys, of which PyYAML silently keeps the last.

    A date that doesn't exist stays a text, so that the typed check reports it with the rest.
    """

    repeated: list[str]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            key, line = self.construct_object(key_node, deep=True), key_node.start_mark.line + 1
            if not isinstance(key, Hashable):  # PyYAML rejects it below, with a message
                continue
            if key in seen:
                self.repeated.append(f"{key}: is on line {seen[key]} and again on line {line}")
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
    """Read `path` and validate it with `model`, whose validators get `context`.

    Args:
        more: returns problems of the parsed content that the model does not check.

    Raises:
        UserError: the file is missing, is not YAML, repeats a key, or has content that the model
            rejects; the message names every problem by its path in the file.
    """
    text = plain_text(path)
    try:
        check_plain(text)
        loader = _Loader(text)
        loader.repeated = []
        content = loader.get_single_data()
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from error
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    problems = [*loader.repeated, *more(content)]
    try:
        checked = model.model_validate(content if content is not None else {}, context=context)
    except ValidationError as error:
        problems += [text for item in error.errors() for text in describe_error(item, model)]
    if problems:
        raise UserError(f"{path}: {len(problems)} problem(s)", problems)
    return checked


def describe_error(item: Any, model: type[BaseModel]) -> list[str]:
    """Convert one pydantic error to lines of 'path: found …, wanted …'."""
    path, found = ".".join(str(part) for part in item["loc"]), item["input"]
    if item["type"] == "missing":
        return [f"{path}: missing"]
    if item["type"] == "extra_forbidden":
        return [f"{path}: unknown key{_suggestion(item['loc'], model)}"]
    wanted = item["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if item["type"] == "value_error":  # from a validator of ours: one problem per line
        joint = ": " if wanted.startswith("found ") else "."
        return [f"{path}{joint}{line}" if path else line for line in wanted.split("\n")]
    hint = ""
    if isinstance(found, str) and _is_number(found):
        # YAML 1.1 reads a number without a decimal point, such as 1e-3, as text.
        hint = f" (YAML reads {found} as text: write {float(found)!r})"
    return [f"{path}: found {found!r}, wanted {wanted}{hint}"]


def _suggestion(loc: tuple[str | int, ...], model: Any) -> str:
    """Suggest the key that was probably meant, or list all valid ones."""
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
