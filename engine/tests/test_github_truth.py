"""The loopback GitHub is no kinder than the real one where our workflows once relied on that."""

from typing import Any

import pytest

from github_fake import events
from github_fake.act import run_workflow
from github_fake.api import EVERYTHING
from github_fake.automation import Automation
from github_fake.origin import git, resolve
from github_fake.settings import Settings
from test_github_harness import (  # noqa: F401
    REPO,
    Start,
    call,
    change,
    flow,
    job,
    needs_act,
    start,
    use,
)

CML = "iterative/setup-cml@f12ea7685438c1fc438d50f77519b3860cf5fa98"
CHECKS = flow(["push", "pull_request", "workflow_dispatch"], one={**job("true"), "name": "Good"})


@needs_act
@pytest.mark.parametrize(("event", "counts"), [("push", True), ("workflow_dispatch", False)])
def test_the_jobs_of_a_dispatched_run_count_for_no_pull_request(
    event: str, counts: bool, start: Start
) -> None:
    github = start({"check": CHECKS})
    github.state.required = ("Good",)
    change(github)
    number = github.open_pull("change").number

    run_workflow(github, "check.yml", getattr(events, event)(github, "change"))

    assert github.unmet(number) == ({} if counts else {"Good": "expected"})


def test_a_status_counts_and_the_newest_of_its_name_decides(start: Start) -> None:
    github = start()
    github.state.required = ("Good", "Other")
    sha = change(github)
    number = github.open_pull("change").number
    for state in ("success", "failure"):
        body = {"state": state, "context": "Good"}
        assert call(github, "POST", f"{REPO}/statuses/{sha}", body)[0] == 201
    assert github.unmet(number) == {"Good": "failure", "Other": "expected"}

    change(github, content="a: 3\n")
    assert github.unmet(number)["Good"] == "expected", "of the new head"


@needs_act
def test_an_environments_secrets_reach_its_own_jobs_and_none_of_a_called_workflow(
    start: Start,
) -> None:
    quoted = [{"run": 'echo "key=<$KEY>"; test -z "$KEY"', "env": {"KEY": "${{ secrets.KEY }}"}}]
    inside = {**job(), "environment": "production", "steps": quoted}
    outside = {**job(), "steps": quoted}
    called = flow({"workflow_call": {}}, inner=inside)
    caller = flow(
        "push", own=inside, other=outside, outer={"uses": "./.github/workflows/called.yml"}
    )
    github = start({"called": called, "caller": caller})
    hidden = Settings(environments={"production": {"KEY": "hush"}, "release": {"KEY": "other"}})

    run = run_workflow(github, "caller.yml", events.push(github), hidden)

    assert run.jobs == {"own": "failure", "other": "success", "inner": "success"}, run.log


def test_workflows_may_open_a_pull_request_only_where_that_is_switched_on(start: Start) -> None:
    github = start()
    github.state.actions_may_open_pulls = False
    change(github)
    body = {"title": "T", "head": "change", "base": "main"}
    status, answer, _ = call(github, "POST", f"{REPO}/pulls", body)
    assert status == 403
    assert answer["message"].startswith("GitHub Actions is not permitted to create")

    app = github.grant(EVERYTHING, login="app[bot]")
    assert call(github, "POST", f"{REPO}/pulls", body, app)[0] == 201


@pytest.mark.parametrize("kind", ["issues", "pulls"])
def test_a_list_does_not_show_at_once_what_its_reader_has_made(kind: str, start: Start) -> None:
    github = start()
    change(github)
    token = github.grant(EVERYTHING, lags=True)
    body = {"title": "T", "head": "change", "base": "main"}

    assert call(github, "POST", f"{REPO}/{kind}", body, token)[0] == 201

    assert call(github, "GET", f"{REPO}/{kind}", token=token)[1] == []
    assert len(call(github, "GET", f"{REPO}/{kind}")[1]) == 1


@needs_act
def test_no_runner_has_cml_before_its_action_puts_it_there(start: Start) -> None:
    without, vega = job("cml --version"), job(use(CML, version="0.20.6"))
    found = job(use(CML, version="0.20.6", vega=False), "cml --version | grep -Fx 0.20.6")
    github = start({"sample": flow("push", without=without, vega=vega, found=found)})

    run = run_workflow(github, "sample.yml", events.push(github))

    assert run.jobs == {"without": "failure", "vega": "failure", "found": "success"}, run.log


AFTER = flow({"workflow_run": {"workflows": ["Sample"], "types": ["completed"]}}, after=job("true"))


@pytest.fixture
def story(start: Start) -> Automation:
    after: dict[str, Any] = {**AFTER, "name": "After"}
    github = start({"check": CHECKS, "after": after})
    github.state.required = ("Good",)
    return Automation(github, Settings())


@needs_act
def test_what_a_person_does_starts_workflows_and_what_a_token_does_makes_runs_that_wait(
    story: Automation,
) -> None:
    github = story.github
    good = ({"one": "success"}, ("after.yml workflow_run", {"after": "success"}))
    story.push("change", "params.yaml", b"a: 2\n")
    number = story.open_pull("change")
    assert story.settle() == [
        ("check.yml push", good[0]), good[1], ("check.yml pull_request", good[0]), good[1]
    ]  # fmt: skip
    assert github.unmet(number) == {}

    content = {"message": "M", "content": "YQ==", "branch": "change"}
    assert call(github, "PUT", f"{REPO}/contents/new.txt", content)[0] == 201
    assert story.settle() == [("check.yml pull_request", "action_required"), good[1]]
    assert github.unmet(number) == {"Good": "expected"}
    with pytest.raises(ValueError, match="can't be merged"):
        story.merge(number)

    path = f"{REPO}/actions/workflows/check.yml/dispatches"
    assert call(github, "POST", path, {"ref": "change"})[0] == 204
    assert story.settle() == [("check.yml workflow_dispatch", good[0]), good[1]]
    assert github.unmet(number) == {"Good": "expected"}, "and still it does not count"

    tip = resolve(github.origin, "refs/heads/change")
    body = {"state": "success", "context": "Good"}
    assert call(github, "POST", f"{REPO}/statuses/{tip}", body)[0] == 201
    story.merge(number)
    assert story.settle() == [("check.yml push", good[0]), good[1]]
    assert github.state.issues[number].state == "closed"


@needs_act
def test_an_apps_push_starts_the_checks_as_a_persons_does(story: Automation) -> None:
    app = story.github.grant(EVERYTHING, login="app[bot]")
    git(story.github.origin, "branch", "change", "main")
    content = {"message": "M", "content": "YQ==", "branch": "change"}

    assert call(story.github, "PUT", f"{REPO}/contents/new.txt", content, app)[0] == 201

    assert story.settle()[0] == ("check.yml push", {"one": "success"})
