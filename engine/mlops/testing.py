"""Helpers for a project's own tests: the rows, model and API of the last pipeline run."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from fastapi.testclient import TestClient

from mlops import validation
from mlops.columns import Schema
from mlops.files import read_json
from mlops.frames import read_rows
from mlops.inference.loaded_model import Served
from mlops.metrics import Floats
from mlops.paths import BUNDLE, METRICS, TEST_ROWS
from mlops.pipeline.equivalence import as_requests, columns_of
from mlops.serving.app import Extension, create_app
from mlops.serving.prometheus import Metrics
from mlops.serving.service import Service
from mlops.serving.settings import Settings


def held_out_rows() -> pd.DataFrame:
    """Return the test rows with all columns of the schema."""
    return read_rows(TEST_ROWS)


def recorded_metrics() -> dict[str, Any]:
    """Return the last evaluation's metrics; `baseline`: predicting the median or class shares."""
    found: dict[str, Any] = read_json(METRICS)
    return found


def row_problems(row: Mapping[str, Any], schema: Schema) -> list[str]:
    """List the problems that the validate stage would report for a row; none if it is valid.

    Args:
        row: a value for each column, None for a missing one; dates as text.
    """
    types = {column.name: column.dtype for column in schema.columns}
    found = validation.problems(pd.DataFrame([row]).astype(types), schema)
    return [f"{p.column}: found {p.found}, wanted {p.wanted}" for p in found.itertuples()]


def predict(rows: pd.DataFrame, schema: Schema) -> Floats:
    """Predict with the engine that serves the model.

    Args:
        rows: shape (n_rows, …), at least the features.

    Returns:
        Values, shape (n_rows,), or probabilities of the target's choices, (n_rows, n_choices).
    """
    engine = Served.read(BUNDLE, schema).engine
    return engine.predict_columns(columns_of(as_requests(rows, schema)))


def api(schema: Schema, extend: Extension | None = None) -> TestClient:
    """Return a client of the API in this process, without a log; use it in a with statement.

    Args:
        extend: the function of src/project/service.py.
    """
    settings = Settings(
        bundle=BUNDLE, prediction_log_url="none", access_log=False, reload_seconds=0
    )
    return TestClient(create_app(Service(settings, schema, Metrics(schema)), extend))
