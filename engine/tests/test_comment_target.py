"""Which pull request a finished review belongs to, as GitHub on loopback tells it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from github_fake import events
from github_fake.api import GitHub
from github_fake.origin import git, write_file
from github_fake.run import planted_run
from mlops.github.comment_target import BASE, find_pull
from mlops.github.gh_api import BOT
from mlops.github.review_comment import TITLE, is_told
from workflow_steps import github  # noqa: F401  a fixture

REPOSITORY = "acme/demo"


def finished(github: GitHub, number: int) -> dict[str, Any]:
    """What comment.yml is told of a review that ended."""
    event = events.pull_request(github, number)
    run = planted_run(github, event, "Pull request", ".github/workflows/pull-request.yml")
    told: dict[str, Any] = events.workflow_run(github, run).payload["workflow_run"]
    return told


def change(github: GitHub, branch: str = "change", author: str = "octocat") -> None:
    if not git(github.origin, "branch", "--list", branch):
        git(github.origin, "branch", branch, "main")
    text = git(github.origin, "show", f"{branch}:params.yaml") + "\nmore"
    write_file(github.origin, branch, "params.yaml", text.encode(), "Change", author)


def found(run: dict[str, Any], folder: Path) -> int | None:
    pull = find_pull(run, REPOSITORY, folder)
    return pull and pull["number"]


@pytest.mark.parametrize(("author", "posted"), [(BOT, True), ("octocat", False)])
def test_the_lock_jobs_commit_and_no_other_leaves_the_review_of_its_parent_in_place(
    author: str, posted: bool, github: GitHub, tmp_path: Path
) -> None:
    change(github)
    number = github.open_pull("change").number
    run = finished(github, number)
    change(github, author=author)

    assert found(run, tmp_path) == (number if posted else None)

    change(github)
    assert found(run, tmp_path) is None, "the head is further on"


def test_a_review_does_not_replace_that_of_the_lock_jobs_commit_on_top(
    github: GitHub, tmp_path: Path
) -> None:
    change(github)
    number = github.open_pull("change").number
    run = finished(github, number)
    change(github, author=BOT)
    pull = find_pull(run, REPOSITORY, tmp_path)
    assert pull is not None
    assert not is_told(pull, run["head_sha"], REPOSITORY)

    mark = f'![](https://cml.dev/watermark.png#{pull["head"]["sha"]} "CML watermark {TITLE}")'
    github.plant_comment(number, f"the newer review {mark}", BOT)

    assert is_told(pull, run["head_sha"], REPOSITORY)
    assert not is_told(pull, pull["head"]["sha"], REPOSITORY), "its own review may be repeated"


def test_of_two_pull_requests_of_one_head_the_one_is_told_that_the_run_was_for(
    github: GitHub, tmp_path: Path
) -> None:
    git(github.origin, "branch", "next", "main")
    change(github)
    into = {base: github.open_pull("change", base_ref=base).number for base in ("main", "next")}
    run = finished(github, into["main"])
    assert [one["number"] for one in run["pull_requests"]] == [into["next"], into["main"]]

    assert found(run, tmp_path) is None, "the run left nothing: neither gets a false word"
    for base, number in into.items():
        (tmp_path / BASE).write_text(f"{base}\n")
        assert found(run, tmp_path) == number
    (tmp_path / BASE).write_text("another")
    assert found(run, tmp_path) is None

    github.state.issues[into["next"]].state = "closed"
    assert found(run, tmp_path) == into["main"], (
        "where there is one, the run's word decides nothing"
    )


def test_a_fork_that_was_deleted_keeps_its_review(github: GitHub, tmp_path: Path) -> None:
    change(github)
    github.open_pull("change")
    fork = tmp_path / "fork"
    git(tmp_path, "clone", "--quiet", "--bare", str(github.origin), str(fork))
    issue = github.open_pull("change", fork=fork, author="mallory")
    assert found(finished(github, issue.number), tmp_path) == issue.number, "not ours of that name"

    assert issue.pull is not None
    issue.pull = replace(issue.pull, fork_deleted=True)
    run = finished(github, issue.number)

    assert run["head_repository"] is None
    assert found(run, tmp_path) == issue.number
