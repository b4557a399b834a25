"""The composition root: the one module of the engine that imports the project.

Commands call it and pass on what they got; nothing else in the engine knows a column or a kind of
model by name.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.columns import Schema
from mlops.errors import UserError
from mlops.metric_registry import Metrics
from mlops.own_metrics import FILE
from mlops.pipeline.code_meaning import hash_meaning

if TYPE_CHECKING:  # these read YAML, which the serving image has no library for
    from fastapi import FastAPI

    from mlops.kinds import Kind
    from mlops.params import Params


def load_schema() -> Schema:
    """Give the project's columns, rules and derived features.

    Raises:
        UserError: they contradict themselves.
    """
    try:
        from project.schema import SCHEMA

        if importlib.util.find_spec("project.features") is None:  # a project without any
            return SCHEMA
        from project.features import FEATURES

        words = {text for one in FEATURES for text in (one.description, one.unit)}
        root = project_folder().parent
        code = hash_meaning("project.features", [root], words) if FEATURES else ""
        return replace(SCHEMA, derived=tuple(FEATURES), derived_code=code)
    except ValueError as error:  # the tables' own checks
        raise UserError(str(error)) from error


def load_metrics(schema: Schema) -> Metrics:
    """Give the engine's metrics for the target, and those of the project if it has any.

    Raises:
        UserError: they contradict themselves.
    """
    task, choices = schema.task, schema.target.choices
    if importlib.util.find_spec("project.metrics") is None:  # a project without any
        return Metrics(task, choices)
    try:
        from project.metrics import METRICS

        words = {text for one in METRICS for text in (one.description, one.unit)}
        root = project_folder().parent
        code = hash_meaning("project.metrics", [root], words) if METRICS else ""
        return Metrics(task, choices, tuple(METRICS), code)
    except (ValueError, TypeError, ImportError) as error:
        where = "" if isinstance(error, ValueError) else f"{FILE}: "
        raise UserError(f"{where}{error}") from error


def load_extension() -> "Callable[[FastAPI], None] | None":
    """Give what src/project/service.py does to the API; None without such a file.

    Raises:
        UserError: the file has no function `extend`, or it needs a library that is not here.
    """
    if importlib.util.find_spec("project.service") is None:
        return None
    where = "src/project/service.py"
    try:
        service = importlib.import_module("project.service")
    except ModuleNotFoundError as error:
        advice = "Add the library to the group serve of pyproject.toml, then: make lock"
        raise UserError(f"{where}: {error}", advice=advice) from error
    extend = getattr(service, "extend", None)
    if not callable(extend):
        raise UserError(f"{where}: wanted a function extend(app: FastAPI) -> None")
    return extend


def load_kinds() -> "Mapping[str, type[Kind]]":
    """Give the project's kinds of model by name; imports scikit-learn."""
    from project.models import KINDS

    return KINDS


def project_folder() -> Path:
    """Give the folder of the project's code."""
    import project

    return Path(project.__file__ or "").parent


def load_project_params(path: Path | None = None, *, with_models: bool = False) -> "Params":
    """Read params.yaml and check it against the project's schema.

    Args:
        path: another file than the repository's.
        with_models: check the sections of `models:` too, which imports scikit-learn.

    Raises:
        UserError: the file holds anything that is not allowed.
    """
    from mlops.params import PARAMS_FILE, load_params

    kinds = load_kinds() if with_models else None
    schema = load_schema()
    return load_params(path or PARAMS_FILE, schema, kinds, load_metrics(schema))
