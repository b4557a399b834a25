"""Fixtures of the project's tests, which need the outputs of `make run`."""

from collections.abc import Iterator

import pandas as pd
import pytest
from fastapi.testclient import TestClient

from mlops import testing
from mlops.project import load_schema

SCHEMA = load_schema()  # with the derived features


@pytest.fixture(scope="session")
def rows() -> pd.DataFrame:
    """Return the test rows."""
    return testing.held_out_rows()


@pytest.fixture(scope="session")
def client() -> Iterator[TestClient]:
    """Return a client of the API."""
    with testing.api(SCHEMA) as client:
        yield client
