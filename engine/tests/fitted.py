"""Small fitted models of every kind and task, for the tests of what serves them."""

from typing import Any

from sklearn.pipeline import Pipeline

import orders
from mlops.columns import Column, Schema
from mlops.frames import with_derived
from mlops.kinds import Kind
from mlops.params import Params, Train, load_params
from mlops.pipeline.model import build_model, fit_model
from mlops.sampling import valid_rows
from paths import DEMO
from project.models import KINDS
from project.schema import SCHEMA

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
    "orders": orders.SCHEMA,
}


def chosen(params: Params, name: str, **changes: Any) -> tuple[Kind, Train]:
    """Give a kind with its parameters as shipped, save for some of them and of `train:`."""
    known = KINDS[name].model_fields
    own = {**params.models[name], **{k: v for k, v in changes.items() if k in known}}
    general = {k: v for k, v in changes.items() if k in Train.model_fields}
    train = params.train.model_copy(update={**general, "kind": name})
    return KINDS[name].model_validate(own), train


def fit(name: str, kind: str, **changes: Any) -> Pipeline:
    """Fit a small model of made-up rows."""
    schema = SCHEMAS[name]
    own, train = chosen(load_params(DEMO / "params.yaml", SCHEMA), kind, **SMALL | changes)
    rows = with_derived(valid_rows(schema, 400, seed=1, missing=0.1), schema)
    return fit_model(build_model(own, train, schema), rows, schema.target)
