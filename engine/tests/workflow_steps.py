"""Steps of workflows, called in this process as a job would call them, beside a loopback GitHub."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from github_fake.api import GitHub
from github_fake.origin import git
from github_fake.settings import TOOLS

STARTED = "on:\n  workflow_dispatch:\n    inputs:\n      {}: {{}}\njobs: {{}}\n"


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    """A repository with the workflows that steps start, and the environment of a job."""
    work = tmp_path / "work"
    folder = work / ".github/workflows"
    folder.mkdir(parents=True)
    for name, field in {"retrain": "level", "pull-request": "base", "check": "none"}.items():
        (folder / f"{name}.yml").write_text(STARTED.format(field))
    (work / "params.yaml").write_text("old\n")
    git(work, "init", "--quiet", "--initial-branch=main")
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--message", "start")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "python3").symlink_to(sys.executable)
    (tools / "gh").symlink_to(TOOLS / "gh")
    with GitHub(work, tmp_path / "github") as served:
        served.state.actions_may_open_pulls = True
        job = {
            "PATH": f"{tools}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "GH_ENTERPRISE_TOKEN": served.token,
            "REPO_TOKEN": served.token,
            "GITHUB_REF_NAME": "main",
            "GITHUB_RUN_ID": "7",
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        }
        for name, value in (served.environment() | job).items():
            monkeypatch.setenv(name, value)
        yield served
