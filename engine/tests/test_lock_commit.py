"""The commit of a pull request's dvc.lock, made through the API of a GitHub on loopback."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from github_fake import events
from github_fake.api import GitHub
from github_fake.origin import git, write_file
from github_fake.settings import TOOLS
from paths import DEMO, ROOT, SOURCES
from test_review import commit as commit_all
from test_review import git as git_in

TEXT = (DEMO / "dvc.lock").read_text(encoding="utf-8")
NEWER = TEXT.replace("size: 0", "size: 1").replace("nfiles: 19", "nfiles: 20")
HOSTILE = "$(touch${IFS}owned)#;`x`{owner}%2e&<b>"
RIGHTS = {"contents": "write", "actions": "write"}


@pytest.fixture
def github(tmp_path: Path) -> Iterator[GitHub]:
    """Serve the few files that matter here."""
    folder = tmp_path / "repository"
    shutil.copytree(ROOT / ".github/workflows", folder / ".github/workflows")
    for name in ("dvc.yaml", "dvc.lock"):
        shutil.copy(DEMO / name, folder / name)
    git_in(folder, "init", "--quiet", "--initial-branch=main")
    commit_all(folder, "start")
    with GitHub(folder, tmp_path / "github") as served:
        yield served


def propose(github: GitHub, branch: str) -> int:
    git(github.origin, "branch", branch, "main")
    write_file(github.origin, branch, "params.yaml", b"a: 1\n", "Change")
    return github.open_pull(branch).number


def commit_lock(github: GitHub, number: int, lock: str) -> subprocess.CompletedProcess[str]:
    """Run the command as the lock job does, with the rights that this has."""
    event, path = github.folder / "event.json", github.folder / "dvc.lock"
    event.write_text(json.dumps(events.pull_request(github, number).payload))
    path.write_text(lock, encoding="utf-8")
    return run(github, event, path)


def run(github: GitHub, event: Path, lock: Path) -> subprocess.CompletedProcess[str]:
    known = {"PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}", "HOME": str(github.folder)}
    return subprocess.run(
        [sys.executable, "-m", "mlops.github.lock_commit", str(lock)],
        cwd=ROOT,
        env=known
        | github.environment()
        | {
            "GITHUB_EVENT_PATH": str(event),
            "GH_ENTERPRISE_TOKEN": github.grant(RIGHTS),
            "PYTHONPATH": SOURCES,
        },
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("branch", ["change", HOSTILE])
def test_the_lock_becomes_one_commit_whose_checks_are_started(
    github: GitHub, branch: str, tmp_path: Path
) -> None:
    number = propose(github, branch)

    done = commit_lock(github, number, NEWER)

    assert done.returncode == 0, done.stderr
    tip = f"refs/heads/{branch}"
    assert git(github.origin, "show", f"{tip}:dvc.lock") == NEWER.rstrip("\n")
    assert git(github.origin, "diff", "--name-only", f"{tip}~1", tip) == "dvc.lock"
    assert [(one["workflow"], one["ref"]) for one in github.state.dispatches] == [
        ("check.yml", branch),
        ("pull-request.yml", branch),
    ]
    assert not list(tmp_path.rglob("owned"))


def test_a_branch_without_a_lock_gets_one(github: GitHub) -> None:
    number = propose(github, "change")
    tree = git(github.origin, "ls-tree", "main")
    without = "\n".join(line for line in tree.splitlines() if not line.endswith("dvc.lock"))
    made = git(github.origin, "mktree", stdin=f"{without}\n".encode())
    new = git(github.origin, "commit-tree", "-m", "No lock", "-p", "change", made)
    git(github.origin, "update-ref", "refs/heads/change", new)

    done = commit_lock(github, number, TEXT)

    assert done.returncode == 0, done.stderr
    assert git(github.origin, "show", "change:dvc.lock") == TEXT.rstrip("\n")


def test_the_same_lock_makes_no_commit_and_starts_nothing(github: GitHub) -> None:
    number = propose(github, "change")

    done = commit_lock(github, number, TEXT)

    assert "has this dvc.lock already" in done.stdout
    assert github.writes() == []


def test_a_newer_commit_on_the_branch_is_left_to_its_own_run(github: GitHub) -> None:
    number = propose(github, "change")
    event, path = github.folder / "event.json", github.folder / "dvc.lock"
    event.write_text(json.dumps(events.pull_request(github, number).payload))
    path.write_text(NEWER, encoding="utf-8")
    write_file(github.origin, "change", "params.yaml", b"a: 2\n", "Newer")

    done = run(github, event, path)

    assert "a newer commit" in done.stdout, done.stderr
    assert github.writes() == []


def test_a_lock_of_another_pipeline_is_refused_before_anything_is_written(github: GitHub) -> None:
    number = propose(github, "change")
    lock = yaml.safe_load(TEXT)
    lock["stages"]["evil"] = lock["stages"].pop("train")

    done = commit_lock(github, number, yaml.safe_dump(lock))

    assert done.returncode == 1
    assert "dvc.lock refused: its stages are not those of dvc.yaml" in done.stderr
    assert github.writes() == []


@pytest.mark.parametrize("kind", ["forbidden", "bad gateway"])
def test_a_commit_that_github_refuses_fails_in_plain_words(github: GitHub, kind: str) -> None:
    number = propose(github, "change")

    with github.failing(kind, method="PUT"):
        done = commit_lock(github, number, NEWER)

    assert done.returncode == 1
    assert "dvc.lock could not be committed: gh api repos/acme/demo/contents" in done.stderr
    assert "Traceback" not in done.stderr
    assert github.state.dispatches == []
