"""Small fitted models of every kind and task, for the tests of what serves them."""

from pathlib import Path
from typing import Any

import pytest
from sklearn.pipeline import Pipeline

from mlops.columns import Column, Schema
from mlops.params import load_params
from mlops.pipeline import agreement, form, model
from mlops.pipeline.model import build_model, fit_model
from mlops.sampling import valid_rows
from mlops.schema import SCHEMA

ROOT = Path(__file__).parent.parent
SMALL = {"max_iter": 30, "n_estimators": 20}


def outcome(*choices: str) -> Schema:
    """A classification into `choices`, its target's choices in another order than sorted."""
    return Schema(
        (
            Column("id", "Number of the customer", str, role="key"),
            Column("plan", "Plan", str, choices=("basic", "plus", "pro"), nullable=True),
            Column("age", "Age", int, "years", 18, 99),
            Column("spent", "Spent", float, "US dollars", 0, 1e6, nullable=True),
            Column("outcome", "What happened", str, choices=choices, role="target"),
        )
    )


SCHEMAS = {
    "regression": SCHEMA,
    "two classes": outcome("stayed", "left"),
    "three classes": outcome("stayed", "left", "grew"),
}


def task_of(name: str) -> Any:
    return "classification" if SCHEMAS[name].target.choices else "regression"


def use_schema(monkeypatch: pytest.MonkeyPatch, name: str) -> Any:
    """Put a schema in the demo's place; give the task that it stands for."""
    for module in (model, form, agreement):
        monkeypatch.setattr(module, "SCHEMA", SCHEMAS[name])
    return task_of(name)


def fit(name: str, kind: str, **changes: Any) -> Pipeline:
    """Fit a small model of made-up rows."""
    train = load_params(ROOT / "params.yaml").train
    train = train.model_copy(update={**SMALL, "kind": kind, **changes})
    rows = valid_rows(SCHEMAS[name], 400, seed=1, missing=0.1)
    return fit_model(build_model(train, task_of(name)), rows)
