"""Base class for kinds of model; `src/project/models.py` defines those of a project."""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from mlops.errors import UserError
from mlops.metrics import Task
from mlops.typed_yaml import Section, describe_error

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator  # checking the parameters doesn't need scikit-learn


class Kind(Section):
    """Hyper-parameters of one kind of model: the keys of its section of `models:`.

    A subclass defines them as typed fields, and builds the estimator from them.
    """

    def estimator(self, task: Task, seed: int) -> "BaseEstimator":
        """Build the unfitted estimator.

        It is fitted with a frame of the features, shape (n_rows, n_features): numeric ones as
        float64 with NaN for missing values; categorical ones as pandas' category.
        """
        raise NotImplementedError


def library(module: str, package: str) -> Any:
    """Import a library that only some kinds of model need, and that is not installed by default.

    Raises:
        UserError: the library is missing.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UserError(
            f"train.kind: this kind of model needs {package}, which is not installed",
            advice=f"Add it to the locked libraries: make lock ADD={package}; then: make run",
        ) from error


def model_problems(kinds: Mapping[str, type[Kind]], content: Any) -> list[str]:
    """List what is wrong with `models:`, the chosen kind and its search space in params.yaml.

    Args:
        kinds: by name; if empty, nothing is checked.
        content: the parsed file; parts of a wrong type are left to the check of the whole file.
    """
    models, train = _part(content, "models"), _part(content, "train")
    problems = []
    for name, section in models.items() if kinds else ():
        if name not in kinds:
            problems.append(f"models.{name}: unknown kind; wanted one of {', '.join(kinds)}")
        elif isinstance(section, dict):
            problems += [f"models.{line}" for line in _section_problems(kinds[name], section, name)]
    if not kinds or not isinstance(chosen := train.get("kind"), str):
        return problems
    if chosen not in kinds:
        problems.append(f"train.kind: found {chosen!r}, wanted one of {', '.join(kinds)}")
    elif chosen not in models:
        problems.append(f"models.{chosen}: missing; train.kind names it")
    else:
        problems += _space_problems(kinds, chosen, models[chosen], _part(train, "search"))
    return problems


def _part(content: Any, key: str) -> dict[str, Any]:
    part = content.get(key) if isinstance(content, dict) else None
    return part if isinstance(part, dict) else {}


def _space_problems(
    kinds: Mapping[str, type[Kind]], chosen: str, section: Any, search: dict[str, Any]
) -> list[str]:
    """Check the values to try; those of another kind are allowed while the search is off."""
    kind, problems = kinds[chosen], []
    known = {*kind.model_fields}
    if not search.get("candidates"):
        known |= {field for other in kinds.values() for field in other.model_fields}
    for key, values in _part(search, "space").items():
        if key not in known:
            wanted = ", ".join(kind.model_fields)
            problems.append(f"train.search.space.{key}: wanted one of {wanted}")
        elif key in kind.model_fields and isinstance(values, list) and isinstance(section, dict):
            for value in values:
                found = _section_problems(kind, {**section, key: value}, "space")
                own = [line for line in found if line.startswith(f"space.{key}:")]
                problems += [f"train.search.{line}" for line in own]
    return problems


def _section_problems(kind: type[Kind], section: Mapping[str, Any], name: str) -> list[str]:
    try:
        kind.model_validate(dict(section))
    except ValidationError as error:
        return [f"{name}.{line}" for item in error.errors() for line in describe_error(item, kind)]
    return []
