"""A classification of four columns, for tests of code that is written for both tasks."""

import pytest

from mlops.columns import Column, Schema
from mlops.params import Params
from mlops.pipeline import evaluate, export, train

SCHEMA = Schema(
    (
        Column("id", "Number of the customer", str, role="key"),
        Column("age", "Age", int, "years", 18, 99),
        Column("plan", "Plan", str, choices=("basic", "plus", "pro"), nullable=True),
        Column("outcome", "What happened", str, choices=("left", "stayed", "grew"), role="target"),
    )
)


def use(monkeypatch: pytest.MonkeyPatch, params: Params) -> Params:
    """Put the schema in the place of the demo's, and fit the parameters to it."""
    for module in (train, evaluate, export):
        monkeypatch.setattr(module, "load_tabled_schema", lambda: SCHEMA)
    return of(params)


def of(params: Params) -> Params:
    """Fit the parameters to the schema."""
    scored = params.evaluate.model_copy(update={"slices": ["plan", "age"]})
    return params.model_copy(update={"task": "classification", "evaluate": scored})
