"""One issue, and retrainings within their limits, whatever GitHub answers and was tried before."""

import datetime
import html
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from github_fake.api import EVERYTHING, GitHub
from github_fake.origin import git
from github_fake.state import WorkflowRun
from github_markdown import html_of
from mlops.github import monitor_issue
from paths import ROOT
from production import PARAMS
from workflow_steps import github  # noqa: F401  a fixture  # noqa: F401  a fixture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "monitor"
    made.mkdir()
    return made


def leave(folder: Path, verdict: str, retrain: bool = False, **changes: Any) -> None:
    limits = PARAMS.monitor.model_dump()
    limits["retrain"] |= changes
    report = {"verdict": verdict, "retrain": retrain, "accuracy_fell": True, "parameters": limits}
    (folder / "report.json").write_text(json.dumps(report))
    (folder / "report.md").write_text(f"## {verdict}\n")


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, result: str = "success") -> int:
    monkeypatch.setenv("RESULT", result)
    monkeypatch.setattr(sys, "argv", ["tell", str(folder)])
    return monitor_issue.main()


def open_bodies(github: GitHub) -> list[str]:
    return [issue.body for issue in github.state.issues.values() if issue.state == "open"]


def tried(github: GitHub, days_ago: float, **changes: str) -> None:
    """Plant a retraining that was started so many days ago."""
    number = next(github.state.ids)
    at = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days_ago)
    fields = {"conclusion": "success", "status": "completed"} | changes
    path, when = ".github/workflows/retrain.yml", at.strftime("%Y-%m-%dT%H:%M:%SZ")
    github.state.runs[number] = WorkflowRun(
        number, "Retrain", path, "workflow_dispatch", "0" * 40, "main", created_at=when, **fields
    )


def test_one_issue_is_opened_updated_and_closed(
    github: GitHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for verdict in ("ok", "watch"):
        leave(folder, verdict)
        assert run(folder, monkeypatch) == 0
        assert not github.state.issues

    for verdict in ("act", "act", "watch"):
        leave(folder, verdict)
        assert run(folder, monkeypatch) == 0
        (body,) = open_bodies(github)
        assert body.startswith(f"## {verdict}")
    leave(folder, "ok")
    assert run(folder, monkeypatch) == 0

    (issue,) = github.state.issues.values()
    assert issue.state == "closed"
    assert issue.body.startswith("## ok")
    assert github.state.dispatches == []


def test_a_list_that_lags_behind_does_not_lose_the_issue(
    github: GitHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GH_ENTERPRISE_TOKEN", github.grant(EVERYTHING, lags=True))
    leave(folder, "act")

    assert run(folder, monkeypatch) == 0

    assert len(open_bodies(github)) == 1


def test_what_others_call_by_our_label_is_left_alone(
    github: GitHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = github.open_issue("mine", author="mallory", body="theirs")
    theirs.labels.append(monitor_issue.LABEL)
    leave(folder, "act")
    run(folder, monkeypatch)
    leave(folder, "ok")
    run(folder, monkeypatch)

    assert (theirs.body, theirs.state) == ("theirs", "open")


@pytest.mark.parametrize("said", ["a\n```\n@team #1", "a ```` b\n````\n<b>", "```mermaid\ngraph"])
def test_a_message_of_failure_stays_in_its_block(
    said: str, github: GitHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "failure.txt").write_text(said)

    assert run(folder, monkeypatch, "failure") == 1

    (body,) = open_bodies(github)
    assert html_of(body).count("<pre") == 1
    assert html.escape(said, quote=False) in html_of(body)


def test_two_runs_at_once_leave_one_issue(
    github: GitHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESULT", "success")
    leave(folder, "act")
    here = "repos/acme/demo"
    with ThreadPoolExecutor(4) as pool:
        told = [pool.submit(monitor_issue.tell, folder, "success", here, "link") for _ in range(4)]
        assert all(one.result()[1] == [] for one in told)

    assert len(open_bodies(github)) == 1


def test_a_retraining_is_started_once_and_told_of(
    github: GitHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(folder, "act", retrain=True)
    assert run(folder, monkeypatch) == 0

    wanted = {"workflow": "retrain.yml", "ref": "main", "inputs": {"level": "true"}}
    assert github.state.dispatches == [wanted]
    assert "**Retraining:** Started." in open_bodies(github)[0]


@pytest.mark.parametrize(
    ("days_ago", "changes", "said"),
    [
        (0.1, {"status": "in_progress", "conclusion": ""}, "One is already running."),
        (0.1, {"status": "queued", "conclusion": ""}, "One is already running."),
        (
            2.9,
            {"conclusion": "failure"},
            "ended with failure. The next one may start 3 days after it.",
        ),
        (3.1, {}, "Started."),
    ],
)
def test_between_two_retrainings_some_days_pass(
    days_ago: float,
    changes: dict[str, str],
    said: str,
    github: GitHub,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried(github, days_ago, **changes)
    leave(folder, "act", retrain=True)

    assert run(folder, monkeypatch) == 0

    assert len(github.state.dispatches) == (said == "Started.")
    assert said in open_bodies(github)[0]


@pytest.mark.parametrize(("count", "days", "started"), [(3, 20, 1), (4, 20, 0), (4, 31, 1)])
def test_retrainings_that_do_not_help_end_at_the_cap_and_it_is_said(
    count: int, days: int, started: int, github: GitHub, folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for place in range(count):
        tried(github, days - place / 100)
    leave(folder, "act", retrain=True)

    assert run(folder, monkeypatch) == 0

    assert len(github.state.dispatches) == started
    assert ("a person must find the cause" in open_bodies(github)[0]) is (not started)


def test_none_is_started_while_one_waits_for_its_review(
    github: GitHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(github.origin, "branch", monitor_issue.BRANCH, "main")
    number = github.open_pull(monitor_issue.BRANCH).number
    leave(folder, "act", retrain=True)

    assert run(folder, monkeypatch) == 0

    assert github.state.dispatches == []
    assert any(f"One is waiting for review: #{number}." in body for body in open_bodies(github))


def test_a_monitor_that_could_not_judge_is_told_of_and_retrains_nothing(
    github: GitHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "failure.txt").write_text("the prediction log can't be read: refused")

    assert run(folder, monkeypatch, "failure") == 1

    (body,) = open_bodies(github)
    assert "can't be read: refused" in body
    assert github.state.dispatches == []
    leave(folder, "ok")
    assert run(folder, monkeypatch) == 0
    assert open_bodies(github) == []


def test_before_anything_is_deployed_nothing_is_asked_of_github(
    github: GitHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(folder, monkeypatch) == 0
    assert github.calls == []


@pytest.mark.parametrize("kind", ["forbidden", "not found", "rate limited", "bad gateway"])
def test_an_issue_that_can_not_be_written_fails_the_run(
    kind: str, github: GitHub, folder: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    leave(folder, "act")

    with github.failing(kind, path="/issues"):
        assert run(folder, monkeypatch) == 1

    assert "monitor_issue: gh api repos/acme/demo/issues" in capsys.readouterr().err
    assert run(folder, monkeypatch) == 0
    assert len(open_bodies(github)) == 1


@pytest.mark.parametrize("kind", ["forbidden", "not found", "rate limited", "bad gateway"])
@pytest.mark.parametrize("path", ["/dispatches", "/runs", "/pulls"])
def test_a_retraining_that_can_not_be_started_is_told_of_and_fails_the_run(
    kind: str, path: str, github: GitHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(folder, "act", retrain=True)

    with github.failing(kind, path=path):
        assert run(folder, monkeypatch) == 1

    assert github.state.dispatches == []
    assert "None could be started: gh api" in open_bodies(github)[0]


def test_fifty_two_quiet_weeks_and_one_step_start_one_retraining(
    github: GitHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for week in range(52):
        leave(folder, "act" if week == 30 else "ok", retrain=week == 30)
        assert run(folder, monkeypatch) == 0

    assert len(github.state.dispatches) == 1
    assert len(github.state.issues) == 1


def test_a_step_that_lasts_until_its_retraining_is_merged_starts_no_second(
    github: GitHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(github.origin, "branch", monitor_issue.BRANCH, "main")
    waiting = None
    for week in range(4):
        leave(folder, "act" if week < 3 else "ok", retrain=week < 3)
        assert run(folder, monkeypatch) == 0
        if week == 0:
            tried(github, 7)
            waiting = github.open_pull(monitor_issue.BRANCH)
        if week == 2 and waiting is not None:
            waiting.state = "closed"

    assert len(github.state.dispatches) == 1
    told = [i for i in github.state.issues.values() if i.pull is None]
    assert [issue.state for issue in told] == ["closed"]


def test_the_workflow_that_is_started_takes_what_it_is_told() -> None:
    text = (ROOT / ".github/workflows" / monitor_issue.RETRAIN).read_text(encoding="utf-8")
    assert "workflow_dispatch:" in text
    assert "      level:\n" in text
    assert monitor_issue.BRANCH in text
