"""Thirty pushes to one pull request, through every failure of the comment's way: one comment stays.

`mlops.github.review_comment` runs against the GitHub on loopback without act, which
test_workflow_runs.py puts around it. What this can't show: that GitHub ends the older of two runs
at once, by the workflow's `concurrency`; here both go on to their end.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from github_fake import events
from github_fake.api import GitHub
from github_fake.origin import git, write_file
from github_fake.run import planted_run
from github_fake.settings import TOOLS
from mlops.github import review_comment
from mlops.review.sanitize import sanitize_file
from paths import SOURCES
from test_review import commit
from test_review import git as git_in

BOT = "github-actions[bot]"
RIGHTS = {"actions": "read", "contents": "read", "pull-requests": "write"}
PUSHES = 30


@pytest.fixture
def github(tmp_path: Path) -> Iterator[GitHub]:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "README.md").write_text("# Words\n")
    git_in(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, "start")
    with GitHub(folder, tmp_path / "github") as served:
        git(served.origin, "branch", "change", "main")
        yield served


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for PATH that holds gh, and cml unless a test takes it away."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("cml", "gh"):
        (folder / name).symlink_to(TOOLS / name)
    return folder


def push(github: GitHub, number: int, tools: Path, report: str) -> dict[str, str]:
    """Push a commit, leave its review as an artifact, and give what the comment's job is told."""
    write_file(github.origin, "change", "params.yaml", f"# {report}\n".encode(), "Change")
    pull = github.state.issues[number].pull
    assert pull is not None
    pull.head_sha = git(github.origin, "rev-parse", "change")
    reviewed = planted_run(github, events.pull_request(github, number), "Pull request", "x.yml")
    folder = github.plant_artifact(reviewed.id, "review", {"report.md": report.encode()})
    event = folder / "event.json"
    event.write_text(json.dumps(events.workflow_run(github, reviewed).payload))
    sanitize_file(folder / "report.md", folder / "sanitized.md")
    return github.environment() | {
        "PATH": f"{tools}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "CI": "true",
        "CML_REPO": f"{github.url}/{github.state.repository}",
        "RUNNER_TEMP": str(folder),
        "PYTHONPATH": SOURCES,
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        **dict.fromkeys(("GH_TOKEN", "GH_ENTERPRISE_TOKEN", "REPO_TOKEN"), github.grant(RIGHTS)),
    }


def start(told: dict[str, str]) -> "subprocess.Popen[str]":
    """Start the last command of comment.yml."""
    command = [
        sys.executable,
        "-m",
        "mlops.github.review_comment",
        f"{told['RUNNER_TEMP']}/sanitized.md",
    ]
    root = Path(review_comment.__file__).parents[3]
    return subprocess.Popen(command, cwd=root, env=told, stderr=subprocess.PIPE, text=True)


def ours(github: GitHub, number: int) -> list[str]:
    return [one.body for one in github.comments(number) if one.author == BOT]


@pytest.mark.slow
def test_after_thirty_pushes_and_every_failure_there_is_one_comment_of_the_last(
    github: GitHub, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = github.open_pull("change").number
    shown = None
    fails: dict[int, Callable[[], AbstractContextManager[None]]] = {
        1: lambda: github.failing("forbidden", path="/comments"),
        4: lambda: github.failing("bad gateway", path="/comments"),
        9: lambda: github.failing("rate limited", path="/comments"),
        14: lambda: github.failing("rate limited"),
        19: lambda: github.failing("bad gateway", method="PATCH"),
        24: lambda: github.refusing(),
    }
    for n in range(PUSHES):
        told = push(github, number, tools, f"push {n}")
        for name, value in told.items():
            monkeypatch.setenv(name, value)
        (tools / "cml").unlink(missing_ok=True)
        if n % 5 != 3:  # CML is missing every fifth time
            (tools / "cml").symlink_to(TOOLS / "cml")

        with fails.get(n, nullcontext)():
            review_comment.main("outdated")
            code = review_comment.main(f"{told['RUNNER_TEMP']}/sanitized.md")

        summary = Path(told["GITHUB_STEP_SUMMARY"])
        assert code == (n in fails), n
        how = "by gh, because CML is not installed." if n % 5 == 3 else "by CML."
        if n in fails:
            assert summary.read_text().startswith("The comment could not be posted: gh api repos/")
        else:
            assert summary.read_text().startswith(f"Posted to pull request {number} {how}")
            shown = f"push {n}"
        assert [body.splitlines()[0] for body in ours(github, number)] == ([shown] if shown else [])


@pytest.mark.parametrize("kind", ["forbidden", "bad gateway", "rate limited", "refused"])
@pytest.mark.parametrize("cml", [True, False])
def test_an_old_verdict_does_not_stay_while_the_new_one_can_not_be_posted(
    kind: str, cml: bool, github: GitHub, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = github.open_pull("change").number
    if not cml:
        (tools / "cml").unlink()

    def step(report: str, command: str | None = None) -> int:
        told = push(github, number, tools, report)
        for name, value in told.items():
            monkeypatch.setenv(name, value)
        return review_comment.main(command or f"{told['RUNNER_TEMP']}/sanitized.md")

    assert step("✅ Pass", "outdated") == 0
    assert ours(github, number) == []  # nothing to mark
    assert step("✅ Pass") == 0

    assert step("❌ Block", "outdated") == 0
    with github.refusing() if kind == "refused" else github.failing(kind, path="/comments"):
        assert review_comment.main(f"{os.environ['RUNNER_TEMP']}/sanitized.md") == 1

    (body,) = ours(github, number)
    assert body.startswith("## ⏳ Out of date")
    assert "Pass" not in body
    assert step("❌ Block") == 0
    assert [body.splitlines()[0] for body in ours(github, number)] == ["❌ Block"]


def test_two_runs_at_once_leave_no_more_than_one_comment_after_the_next(
    github: GitHub, tools: Path
) -> None:
    number = github.open_pull("change").number
    told = push(github, number, tools, "both")

    both = [start(told), start(told)]
    said = [one.communicate(timeout=60)[1] for one in both]
    assert ours(github, number), said

    last = start(push(github, number, tools, "the last"))
    assert last.communicate(timeout=60)[1] == ""
    assert [body.splitlines()[0] for body in ours(github, number)] == ["the last"]
