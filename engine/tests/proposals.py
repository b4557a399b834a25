"""Pull requests against the loopback GitHub, and our workflows run for them by act."""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from clones import copy
from github_fake import events
from github_fake.act import run_workflow
from github_fake.api import GitHub
from github_fake.origin import git as origin_git
from github_fake.origin import write_file
from github_fake.run import Run
from github_fake.settings import Settings
from paths import SOURCES
from warm_python import warm_environment

SECONDS = 900
"""A bound for what hangs: on a busy machine a review has taken five minutes."""
BOT = "github-actions[bot]"

# The environment of these tests is what `make .venv/test` makes; -o takes it for up to date. And
# `make test`, which these tests are a part of, ends as the test says; so does the image's test.
MAKE = """#!/bin/sh
case "$1" in .venv/*) exec ln -sfn "{venv}" .venv;; esac
if [ "$1" = test ]; then exit "$TESTS_END_WITH"; fi
if [ "$1" = smoke ] || [ "$1" = test-edited-engine ]; then exit 0; fi
exec "{make}" -o .venv/run -o .venv/test -o .venv/remotes "$@"
"""


@pytest.fixture(scope="session")
def template(quick: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy(quick, tmp_path_factory.mktemp("template") / "repository")


@pytest.fixture
def github(template: Path, tmp_path: Path) -> Iterator[GitHub]:
    """Serve a repository whose workflows have never run."""
    with GitHub(template, tmp_path / "github") as served:
        yield served


@pytest.fixture(scope="session")
def kept_by_main(
    template: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Give GitHub's cache as the run on main's last push leaves it."""
    with GitHub(template, tmp_path_factory.mktemp("main") / "github") as served:
        run = run_workflow(
            served, "pull-request.yml", events.push(served), settings, timeout=SECONDS
        )
        assert run.jobs == {"review": "success", "gate": "success"}, run.log
        return served.folder / "cache"


@pytest.fixture
def warm(github: GitHub, kept_by_main: Path) -> GitHub:
    """Serve a repository on whose main the workflow has run: what it made is in the cache."""
    shutil.copytree(kept_by_main, github.folder / "cache")
    return github


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("tools")
    shim = folder / "make"
    make = shutil.which("make")
    shim.write_text(MAKE.format(venv=warm_environment(), make=make))
    shim.chmod(0o755)
    return Settings(path=[folder], env={"PYTHONPATH": SOURCES, "PIP_REQUIRE_VIRTUALENV": ""})


def edited_params(template: Path, old: str, new: str) -> bytes:
    text = (template / "params.yaml").read_text(encoding="utf-8")
    assert old in text
    return text.replace(old, new).encode()


def propose(github: GitHub, template: Path, old: str, new: str, branch: str = "change") -> int:
    """Open a pull request that edits params.yaml in the browser, dvc.lock left as it was."""
    return propose_files(github, {"params.yaml": edited_params(template, old, new)}, branch)


def propose_files(
    github: GitHub, files: Mapping[str, bytes], branch: str = "change", title: str = "A change"
) -> int:
    """Open a pull request that writes files."""
    origin_git(github.origin, "branch", branch, "main")
    for path, content in files.items():
        write_file(github.origin, branch, path, content, "Change")
    return github.open_pull(branch, title=title).number


def merge(github: GitHub, number: int) -> None:
    """Merge a pull request of ours into main as GitHub does: with every required check met."""
    assert github.unmet(number) == {}
    group = events.merge_group(github, number)
    origin_git(github.origin, "update-ref", "refs/heads/main", group.commit)
    github.state.close(github.state.issues[number], merged=True)


def review(github: GitHub, number: int, settings: Settings) -> Run:
    event = events.pull_request(github, number)
    return run_workflow(github, "pull-request.yml", event, settings, timeout=SECONDS)


def comment(github: GitHub, run: Run, settings: Settings) -> Run:
    return run_workflow(github, "comment.yml", events.workflow_run(github, run), settings)


def follow(github: GitHub, settings: Settings) -> Run:
    """Run what the lock job has dispatched last."""
    started = [one for one in github.state.dispatches if one["workflow"] == "pull-request.yml"][-1]
    event = events.workflow_dispatch(github, started["ref"], started["inputs"], actor=BOT)
    return run_workflow(github, "pull-request.yml", event, settings, timeout=SECONDS)


def verdict(run: Run) -> dict[str, Any]:
    """Give the verdict that a run has uploaded."""
    path = run.artifacts / "review" / "verdict.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
