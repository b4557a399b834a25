"""Generate a project's first tests of its rows, model and API, for the user to extend."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from mlops.adopt.proposal import Proposal
from mlops.columns import Column, Schema
from mlops.serving.response_models import example_row

_EACH = 2  # wrong values of each kind that are tested

_SCHEMA = '''\
"""Rows that the schema accepts and rejects."""

from typing import Any

import pytest

from mlops.project import load_schema
from mlops.testing import row_problems

SCHEMA = load_schema()  # with the derived features

ROW: dict[str, Any] = {row}


def problems(**changes: Any) -> str:
    return "\\n".join(row_problems(ROW | changes, SCHEMA))


def test_a_real_row_is_accepted() -> None:
    assert problems() == ""


@pytest.mark.parametrize(
    ("column", "value"),
    [
{wrong}    ],
)
def test_an_impossible_row_is_rejected(column: str, value: Any) -> None:
    assert f"{{column}}: found" in problems(**{{column: value}})
'''

_MODEL = '''\
"""Tests of properties that the model must have, whatever its metrics are."""

import numpy as np
import pandas as pd

from mlops.project import load_schema
from mlops.testing import predict, recorded_metrics

SCHEMA = load_schema()  # with the derived features


def test_every_row_gets_a_prediction(rows: pd.DataFrame) -> None:
    assert np.isfinite(predict(rows, SCHEMA)).all()


def test_the_model_is_better_than_a_guess() -> None:
    metrics = recorded_metrics()

    assert metrics["{metric}"] {better} metrics["baseline"]["{metric}"]
'''

_API = '''\
"""Tests of the behavior that clients of the API rely on."""

from typing import Any

from fastapi.testclient import TestClient

ROW: dict[str, Any] = {row}


def test_a_row_is_answered(client: TestClient) -> None:
    answer = client.get("/predict", params=ROW)

    assert answer.status_code == 200
    assert "{key}" in answer.json()


def test_a_batch_is_answered_in_its_order(client: TestClient) -> None:
    answers = client.post("/predict", json={{"rows": [ROW] * 3}}).json()

    assert len(answers["{several}"]) == 3


def test_an_unknown_field_is_named(client: TestClient) -> None:
    answer = client.get("/predict", params={{**ROW, "no_such_column": 1}})

    assert answer.status_code == 422
    assert "no_such_column" in answer.text
'''


def tests_of(proposal: Proposal) -> dict[Path, str]:
    """Return the files in tests/ that depend on the data; conftest.py does not."""
    schema = Schema(proposal.columns)
    regression = schema.task == "regression"
    row = {c.name: _plain(proposal.rows[c.name].iloc[0]) for c in schema.columns}
    for column in schema.columns:
        if column.type is bool and row[column.name] is not None:
            row[column.name] = row[column.name] == "True"  # the partition stores the word
    request = _indented(example_row(schema))
    return {
        Path("tests/test_schema.py"): _SCHEMA.format(
            row=_indented(row), wrong="".join(_wrong(schema.columns))
        ),
        Path("tests/test_model.py"): _MODEL.format(
            metric="rmse" if regression else "log_loss", better="<"
        ),
        Path("tests/test_api.py"): _API.format(
            row=request,
            key=f"predicted_{schema.target.name}" if regression else "probabilities",
            several="predictions" if regression else "probabilities",
        ),
    }


def _wrong(columns: tuple[Column, ...]) -> list[str]:
    """Return test lines, each a column and an invalid value: some of each kind."""
    found: dict[str, list[str]] = {"missing": [], "high": [], "choice": []}
    for column in columns:
        name = json.dumps(column.name)
        if column.role == "key":
            continue
        if not column.nullable:
            found["missing"].append(f"        ({name}, None),\n")
        if column.high is not None:
            found["high"].append(f"        ({name}, {column.high + 1:.15g}),\n")
        if column.choices:
            found["choice"].append(f'        ({name}, "no such choice"),\n')
    return [line for lines in found.values() for line in lines[:_EACH]]


def _plain(value: Any) -> Any:
    """Return a cell as a literal that a person would write."""
    if value is None or value is pd.NaT or value != value:
        return None
    if isinstance(value, pd.Timestamp):
        return (value.date() if value == value.normalize() else value).isoformat()
    value = value.item() if hasattr(value, "item") else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _indented(row: dict[str, Any]) -> str:
    """Format a dict as ruff would: one entry per line."""
    entries = "".join(f"    {json.dumps(k)}: {_literal(v)},\n" for k, v in row.items())
    return "{\n" + entries + "}"


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
