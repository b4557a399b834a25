"""What the tests of this project share: run `make run` first, they look at what it has made."""

from collections.abc import Iterator

import pandas as pd
import pytest
from fastapi.testclient import TestClient

from mlops import testing
from mlops.project import load_schema

SCHEMA = load_schema()  # with the derived features


@pytest.fixture(scope="session")
def rows() -> pd.DataFrame:
    """Give the test rows."""
    return testing.held_out_rows()


@pytest.fixture(scope="session")
def client() -> Iterator[TestClient]:
    """Give a client of the API."""
    with testing.api(SCHEMA) as client:
        yield client
