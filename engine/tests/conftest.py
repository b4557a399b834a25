"""Fixtures that several test files share."""

import os
import re
from pathlib import Path

import pytest
from sklearn.pipeline import Pipeline

from clones import origin, quick, reproduced  # noqa: F401  session fixtures
from containers import built, engine, registry  # noqa: F401
from mlops.params import Params, load_params
from paths import DEMO
from project.schema import SCHEMA
from proposals import github, kept_by_main, settings, template, warm  # noqa: F401  likewise
from served import make_bundle, small_model

CLONES = frozenset({"origin", "reproduced", "quick", "template", "warm", "built"})
"""Fixtures that clone the repository, or are made in a clone."""


@pytest.fixture
def params() -> Params:
    """Give the parameters as shipped."""
    return load_params(DEMO / "params.yaml", SCHEMA)


@pytest.fixture(scope="module")
def model() -> Pipeline:
    """Fit a small model of the demo's schema."""
    return small_model()


@pytest.fixture(scope="module")
def bundle(model: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the bundle of that model."""
    folder = tmp_path_factory.mktemp("serving") / "bundle"
    make_bundle(folder, model)
    return folder


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that run commands in a clone."""
    for item in items:
        if not CLONES.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("clone")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Fail the run for what was skipped, save for the reasons that ALLOWED_SKIPS matches."""
    allowed = os.environ.get("ALLOWED_SKIPS")
    if allowed is None:
        return
    reasons = {str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", [])}
    refused = sorted(reason for reason in reasons if not re.search(allowed, reason))
    for reason in refused:
        terminalreporter.write_line(f"not allowed here: {reason}", red=True)
    if refused and terminalreporter._session is not None:
        terminalreporter._session.exitstatus = pytest.ExitCode.TESTS_FAILED
