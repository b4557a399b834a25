"""Fixtures that several test files share."""

from pathlib import Path

import pytest
from clones import origin, reproduced  # noqa: F401  session fixtures
from proposals import github, kept_by_main, settings, template, warm  # noqa: F401  likewise

from mlops.params import Params, load_params

ROOT = Path(__file__).parent.parent


@pytest.fixture
def params() -> Params:
    """Give the parameters as shipped."""
    return load_params(ROOT / "params.yaml")
