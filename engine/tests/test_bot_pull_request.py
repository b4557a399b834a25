"""One pull request for a retraining, whatever GitHub answers."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from github_fake.api import EVERYTHING, GitHub
from github_fake.origin import git, merge_commit, resolve, write_file
from mlops.github import bot_pull_request
from mlops.github.monitor_issue import BRANCH
from workflow_steps import github  # noqa: F401  a fixture

PARTITION = "data/source/feedback.csv"


@pytest.fixture(autouse=True)
def checkout(github: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The job's checkout of main, without credentials, as the current folder."""
    folder = tmp_path / "checkout"
    git(tmp_path, "clone", "--quiet", str(github.origin), str(folder))
    git(folder, "remote", "set-url", "origin", f"{github.url}/acme/demo.git")
    monkeypatch.setenv("GITHUB_SHA", git(folder, "rev-parse", "HEAD"))
    monkeypatch.chdir(folder)
    return folder


def leave(tmp_path: Path, until: str = "2010-05-31", propose: bool = True) -> Path:
    """Leave what the job before would have left."""
    folder = tmp_path / "retrain"
    (folder / "files/data/source").mkdir(parents=True, exist_ok=True)
    decision = {"propose": propose, "until": until, "why": "it is not better"}
    (folder / "decision.json").write_text(json.dumps(decision))
    (folder / "body.md").write_text(f"Retrained up to {until}.\n\n## ✅ Pass\n")
    (folder / "files/params.yaml").write_text(f"until: {until}\n")
    (folder / "files/dvc.lock").write_text("lock\n")
    (folder / "files" / PARTITION).write_text("rows\n")
    return folder


Run = Callable[[Path], int]


@pytest.fixture
def run(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Propose what was left in a folder, from a fresh checkout; give the exit code."""

    def start(folder: Path) -> int:
        git(checkout, "reset", "--quiet", "--hard", "origin/main")
        git(checkout, "checkout", "--quiet", "--detach", "origin/main")
        monkeypatch.setattr(sys, "argv", ["propose", str(folder)])
        return bot_pull_request.main()

    return start


def test_the_pull_request_is_opened_once_and_then_updated(
    github: GitHub, checkout: Path, tmp_path: Path, run: Run
) -> None:
    main = resolve(github.origin, "refs/heads/main")
    for until in ("2010-04-30", "2010-05-31"):
        assert run(leave(tmp_path, until)) == 0
        (issue,) = github.state.issues.values()
        assert issue.title == f"Retrain on data up to {until}"
        assert issue.body.startswith(f"Retrained up to {until}.")
        assert git(github.origin, "show", f"{BRANCH}:params.yaml") == f"until: {until}"

    assert git(github.origin, "rev-list", "--count", f"main..{BRANCH}") == "1"
    assert resolve(github.origin, "refs/heads/main") == main
    started = [(d["workflow"], d["ref"]) for d in github.state.dispatches]
    assert started == [("check.yml", BRANCH), ("pull-request.yml", BRANCH)] * 2
    kept = "\n".join(path.read_text() for path in (checkout / ".git").glob("*config*"))
    assert github.token not in kept, "the token stays in no file"


def test_feedback_that_the_source_has_caught_up_with_is_taken_out(
    github: GitHub, checkout: Path, tmp_path: Path, run: Run
) -> None:
    write_file(github.origin, "main", PARTITION, b"old\n", "Merged before")
    git(checkout, "fetch", "--quiet", str(github.origin), "main:refs/remotes/origin/main")
    folder = leave(tmp_path)
    (folder / "files" / PARTITION).unlink()

    assert run(folder) == 0

    assert PARTITION not in git(github.origin, "ls-tree", "-r", "--name-only", BRANCH)


def test_what_is_not_better_is_not_opened(
    github: GitHub, tmp_path: Path, capsys: pytest.CaptureFixture[str], run: Run
) -> None:
    assert run(leave(tmp_path, propose=False)) == 0

    assert "it is not better: no pull request is opened" in capsys.readouterr().out
    assert github.calls == []


def test_an_apps_token_needs_no_dispatch(
    github: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setenv("APP_TOKEN", github.token)

    assert run(leave(tmp_path)) == 0

    assert github.state.dispatches == []


def test_a_branch_that_a_person_works_on_is_not_overwritten(
    github: GitHub, tmp_path: Path, capsys: pytest.CaptureFixture[str], run: Run
) -> None:
    git(github.origin, "branch", BRANCH, "main")
    theirs = write_file(github.origin, BRANCH, "notes.md", b"mine", "Mine")

    assert run(leave(tmp_path)) == 1

    assert f"has commits on {BRANCH}" in capsys.readouterr().err
    assert resolve(github.origin, f"refs/heads/{BRANCH}") == theirs
    assert github.state.issues == {}


@pytest.mark.parametrize("merged", [True, False])
def test_a_branch_left_over_from_a_pull_request_that_is_closed_is_replaced(
    merged: bool, github: GitHub, checkout: Path, tmp_path: Path, run: Run
) -> None:
    assert run(leave(tmp_path, "2010-04-30")) == 0
    (issue,) = github.state.issues.values()
    # "Update branch" merges main into it, in the name of who clicks.
    write_file(github.origin, "main", "notes.md", b"other", "Other")
    merge = merge_commit(github.origin, 1, "refs/heads/main", f"refs/heads/{BRANCH}")
    tree = git(github.origin, "rev-parse", f"{merge}^{{tree}}")
    person = ("-c", "user.name=octocat", "-c", "user.email=octocat@localhost")
    parents = ("-p", BRANCH, "-p", "main")
    tip = git(github.origin, *person, "commit-tree", tree, *parents, "-m", "Merge main")
    git(github.origin, "update-ref", f"refs/heads/{BRANCH}", tip)
    if merged:  # by a merge commit: the branch's tip is in main
        git(github.origin, "update-ref", "refs/heads/main", tip)
        github.state.issues.clear()
    else:  # or squashed, or never
        github.state.close(issue)
    git(checkout, "fetch", "--quiet", str(github.origin), "main:refs/remotes/origin/main")

    assert run(leave(tmp_path, "2010-05-31")) == 0

    assert git(github.origin, "show", f"{BRANCH}:params.yaml") == "until: 2010-05-31"
    assert [i.title for i in github.state.issues.values() if i.state == "open"] == [
        "Retrain on data up to 2010-05-31"
    ]


def test_a_list_that_lags_behind_hides_no_pull_request(
    github: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    token = github.grant(EVERYTHING, lags=True)
    for name in ("GH_ENTERPRISE_TOKEN", "REPO_TOKEN"):
        monkeypatch.setenv(name, token)

    assert run(leave(tmp_path)) == 0

    assert len(github.state.issues) == 1
    assert len(github.state.dispatches) == 2


def test_a_repository_where_workflows_may_open_no_pull_request_is_told_what_to_switch_on(
    github: GitHub, tmp_path: Path, capsys: pytest.CaptureFixture[str], run: Run
) -> None:
    github.state.actions_may_open_pulls = False

    assert run(leave(tmp_path)) == 1

    said = (tmp_path / "summary.md").read_text()
    assert (
        said
        in f"No pull request was opened: {bot_pull_request.NOT_PERMITTED.format(branch=BRANCH)}\n"
    )
    assert "HTTP 403" not in capsys.readouterr().err + said
    assert github.state.issues == {}

    github.state.actions_may_open_pulls = True
    assert run(leave(tmp_path)) == 0
    assert len(github.state.issues) == 1


def test_the_pull_request_goes_into_the_branch_that_the_run_was_on(
    github: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    git(github.origin, "branch", "trunk", "main")
    monkeypatch.setenv("GITHUB_REF_NAME", "trunk")

    assert run(leave(tmp_path)) == 0

    (issue,) = github.state.issues.values()
    assert issue.pull is not None
    assert issue.pull.base_ref == "trunk"
    assert github.state.dispatches[-1]["inputs"] == {"base": "trunk"}


@pytest.mark.parametrize("kind", ["forbidden", "not found", "rate limited", "bad gateway"])
@pytest.mark.parametrize("path", ["/pulls", "/dispatches"])
def test_what_github_refuses_fails_the_run_and_the_next_run_mends_it(
    kind: str,
    path: str,
    github: GitHub,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    run: Run,
) -> None:
    folder = leave(tmp_path)
    with github.failing(kind, path=path):
        assert run(folder) == 1
    assert "bot_pull_request: gh api" in capsys.readouterr().err

    assert run(folder) == 0
    assert len(github.state.issues) == 1
    assert len(github.state.dispatches) == 2


def test_newer_libraries_have_a_branch_of_their_own_that_takes_locks_alone(
    github: GitHub,
    checkout: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_file(github.origin, "main", PARTITION, b"old\n", "Merged before")
    git(checkout, "fetch", "--quiet", str(github.origin), "main:refs/remotes/origin/main")
    git(checkout, "checkout", "--quiet", "--detach", "origin/main")
    folder = tmp_path / "libraries"
    (folder / "files").mkdir(parents=True)
    (folder / "decision.json").write_text(json.dumps({"propose": True, "title": "Newer"}))
    (folder / "body.md").write_text("Newer\n")
    (folder / "files/requirements-dev.txt").write_text("a==2\n")
    (folder / "files/params.yaml").write_text("gate: {}\n")
    monkeypatch.setattr(sys, "argv", ["propose", str(folder), bot_pull_request.LIBRARIES])

    assert bot_pull_request.main() == 1
    assert "accepts requirements*.txt, dvc.lock, not params.yaml" in capsys.readouterr().err
    assert resolve(github.origin, f"refs/heads/{bot_pull_request.LIBRARIES}") is None

    (folder / "files/params.yaml").unlink()
    assert bot_pull_request.main() == 0
    changed = git(
        github.origin, "diff", "--name-only", f"main..{bot_pull_request.LIBRARIES}"
    ).split()
    assert changed == ["requirements-dev.txt"], "feedback stays"
    assert [issue.title for issue in github.state.issues.values()] == ["Newer"]
