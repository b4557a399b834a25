"""The composition root: the one module of the engine that imports the project.

Commands call it and pass on the results; no other module of the engine knows a column or a kind of
model by name.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mlops.columns import Derived, Schema
from mlops.errors import UserError
from mlops.joins import Join, with_joins
from mlops.lookups import with_tables, with_tables_of
from mlops.metric_registry import Metrics
from mlops.own_metrics import FILE
from mlops.pipeline.code_meaning import hash_meaning

if TYPE_CHECKING:  # these need libraries that are not in the serving image
    import pandas as pd
    from fastapi import FastAPI

    from mlops.kinds import Kind
    from mlops.params import Params


def load_schema() -> Schema:
    """Return the project's columns, rules, derived features and joins, these without tables.

    Raises:
        UserError: the definitions are inconsistent.
    """
    try:
        from project.schema import SCHEMA

        joins: tuple[Join, ...] = tuple(_optional("sources", "JOINS") or ())
        features: tuple[Derived, ...] = tuple(_optional("features", "FEATURES") or ())
        schema = with_joins(SCHEMA, joins) if joins else SCHEMA
        code = [_meaning("sources")] if schema.derived else []
        code += [_meaning("features")] if features else []
        derived = (*schema.derived, *features)
        return replace(schema, derived=derived, derived_code=" ".join(code))
    except ValueError as error:  # from the checks of the schema and the joins
        raise UserError(str(error)) from error


def load_metrics(schema: Schema) -> Metrics:
    """Return the engine's metrics for the target, and the project's own if it has any.

    Raises:
        UserError: the definitions are inconsistent.
    """
    task, choices = schema.task, schema.target.choices
    if importlib.util.find_spec("project.metrics") is None:  # a project without any
        return Metrics(task, choices)
    try:
        from project.metrics import METRICS

        code = _meaning("metrics") if METRICS else ""
        return Metrics(task, choices, tuple(METRICS), code)
    except (ValueError, TypeError, ImportError) as error:
        where = "" if isinstance(error, ValueError) else f"{FILE}: "
        raise UserError(f"{where}{error}") from error


def load_schema_of(bundle: Path) -> Schema:
    """Return the schema with the tables of joins from a bundle."""
    return with_tables_of(load_schema(), bundle)


def load_tabled_schema() -> Schema:
    """Return the schema with the tables of joins from the repository.

    Raises:
        UserError: a table is invalid.
    """
    schema = load_schema()
    if not schema.joins:
        return schema
    from mlops.pipeline.joining import contents

    return with_tables(schema, contents(schema))


def load_prepare() -> "Callable[[pd.DataFrame], pd.DataFrame] | None":
    """Return the function of src/project/prepare.py; None without such a file.

    Raises:
        UserError: the file has no function `prepare`.
    """
    prepare = _optional("prepare", "prepare")
    if prepare is not None and not callable(prepare):
        raise UserError("src/project/prepare.py: wanted a function prepare(rows) -> rows")
    return cast("Callable[[pd.DataFrame], pd.DataFrame] | None", prepare)


def _optional(module: str, name: str) -> Any:
    """Return an attribute of a module of the project; None without that module.

    Raises:
        UserError: the module does not define the name.
    """
    if importlib.util.find_spec(f"project.{module}") is None:
        return None
    found = getattr(importlib.import_module(f"project.{module}"), name, None)
    if found is None:
        raise UserError(f"src/project/{module}.py: wanted it to define {name}")
    return found


def _meaning(module: str) -> str:
    """Hash the code of a module of the project, without descriptions and units."""
    return hash_meaning(f"project.{module}", [project_folder().parent])


def load_extension() -> "Callable[[FastAPI], None] | None":
    """Return the function `extend` of src/project/service.py; None without such a file.

    Raises:
        UserError: the file has no function `extend`, or needs a library that is not installed.
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
    """Return the project's kinds of model by name; imports scikit-learn."""
    from project.models import KINDS

    return KINDS


def project_folder() -> Path:
    """Return the folder of the project's code."""
    import project

    return Path(project.__file__ or "").parent


def load_project_params(path: Path | None = None, *, with_models: bool = False) -> "Params":
    """Read params.yaml and check it against the project's schema.

    Args:
        path: by default the repository's params.yaml.
        with_models: check the sections of `models:` too, which imports scikit-learn.

    Raises:
        UserError: the file has invalid content.
    """
    from mlops.params import PARAMS_FILE, load_params

    kinds = load_kinds() if with_models else None
    schema = load_schema()
    return load_params(path or PARAMS_FILE, schema, kinds, load_metrics(schema))
