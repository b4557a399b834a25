"""`make github` against a GitHub whose settings are those of a new repository, or worse ones."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from github_fake.api import ADMINISTRATOR, EVERYTHING, GitHub
from github_fake.origin import git, write_file
from github_fake.settings import TOOLS
from github_fake.state import ACTIONS_BOT
from github_fake.web import Answer, Token
from mlops.github.branch_rules import CHECKS, RULESET
from mlops.github.gh_api import GitHubRefused, api, what_to_set
from mlops.github.repository_settings import workflow_texts
from mlops.github.wanted_settings import environments_in, variables_in
from paths import ROOT

WORKFLOWS = sorted((ROOT / ".github").glob("**/*.yml"))
ENVIRONMENTS = environments_in(workflow_texts(ROOT))
Run = Callable[..., subprocess.CompletedProcess[str]]


def kinds_of_gh() -> list[object]:
    """Give the stand-in of gh, and the real one if GH_BIN points at it."""
    real = os.environ.get("GH_BIN", "")
    missing = pytest.mark.skipif(not real, reason="GH_BIN does not point at the real gh")
    return [
        pytest.param(str(TOOLS / "gh"), id="stand-in"),
        pytest.param(real, id="real", marks=missing),
    ]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Give a clone with the workflows, whose remote is on GitHub."""
    folder = tmp_path / "clone"
    shutil.copytree(ROOT / ".github", folder / ".github")
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "start")
    git(folder, "remote", "add", "origin", "https://github.com/acme/demo.git")
    return folder


@pytest.fixture
def github(clone: Path, tmp_path: Path) -> Iterator[GitHub]:
    with GitHub(clone, tmp_path / "github") as served:
        yield served


@pytest.fixture(params=kinds_of_gh())
def run(request: pytest.FixtureRequest, github: GitHub, clone: Path, tmp_path: Path) -> Run:
    """Run the command as a person who administers the repository."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "gh").symlink_to(request.param)
    (tools / "python3").symlink_to(sys.executable)
    git_program = shutil.which("git")
    assert git_program
    (tools / "git").symlink_to(git_program)
    administrator = github.grant(ADMINISTRATOR, "octocat")

    def run(
        *arguments: str, answer: str | None = None, token: str = administrator
    ) -> subprocess.CompletedProcess[str]:
        variables = {
            "PATH": str(tools),
            "HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT / "engine"),
            "GH_ENTERPRISE_TOKEN": token,
        }
        return subprocess.run(
            [sys.executable, "-m", "mlops.github.repository_settings", *arguments],
            cwd=clone,
            env=github.environment() | variables,
            input=answer,
            stdin=None if answer else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def line(done: subprocess.CompletedProcess[str], setting: str) -> str:
    """Return one line of the table, its columns two blanks apart."""
    rows = [re.sub(" {2,}", "  ", row) for row in done.stdout.splitlines()]
    return next(row for row in rows if row.startswith(f"{setting}  "))


def test_a_new_repository_is_set_up_and_a_second_run_changes_nothing(
    run: Run, github: GitHub
) -> None:
    done = run("--yes", "DVC_REMOTE_URL=s3://bucket/path")

    assert done.returncode == 0, done.stderr
    assert "NOT SET" not in done.stdout
    own = github.state.administration
    assert own.token == {
        "default_workflow_permissions": "read",
        "can_approve_pull_request_reviews": True,
    }
    (ruleset,) = own.rulesets.values()
    assert (ruleset["name"], ruleset["enforcement"]) == (RULESET, "active")
    assert ruleset["conditions"]["ref_name"]["include"] == ["~DEFAULT_BRANCH"]
    (rule,) = ruleset["rules"]
    assert rule["parameters"]["strict_required_status_checks_policy"] is True
    checks = rule["parameters"]["required_status_checks"]
    assert {one["context"] for one in checks} == set(CHECKS)
    assert own.branch_policies == {name: ["main"] for name in ENVIRONMENTS}
    assert own.scanning == {"secret_scanning", "secret_scanning_push_protection"}
    assert own.variables == {"DVC_REMOTE_URL": "s3://bucket/path"}
    assert line(done, "required checks").endswith(f"set: {', '.join(CHECKS)}; branch up to date")

    before = github.writes()
    again = run("--yes")
    assert again.returncode == 0, again.stderr
    assert github.writes() == before
    assert line(again, "variable DVC_REMOTE_URL").endswith("s3://bucket/path  unchanged")


def test_a_workflow_may_open_a_pull_request_only_afterwards(run: Run, github: GitHub) -> None:
    git(github.origin, "branch", "retrain/model", "main")
    write_file(github.origin, "retrain/model", "params.yaml", b"a: 2\n", "Retrain")
    pull = {"title": "Retrain", "head": "retrain/model", "base": "main"}
    token = Token("ghs_bot", ACTIONS_BOT, EVERYTHING)

    def answer() -> Answer:
        raw = json.dumps(pull).encode()
        github.router.tokens[token.value] = token
        headers = {"Authorization": f"token {token.value}"}
        return github.router.answer("POST", "/repos/acme/demo/pulls", headers, raw)

    refused = answer()
    assert refused.status == 403
    assert "make github" in what_to_set(refused.body["message"])

    assert run("--yes").returncode == 0
    assert answer().status == 201


def test_nothing_is_written_before_somebody_says_yes(run: Run, github: GitHub) -> None:
    for answer in ("n\n", "\n", None):
        done = run(answer=answer)
        assert done.returncode == (0 if answer else 1)
        assert f"required checks: none -> {', '.join(CHECKS)}" in done.stdout
        assert "othing was changed." in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
    assert github.writes() == []

    assert run(answer="y\n").returncode == 0
    assert github.state.administration.rulesets


def test_what_others_set_is_kept(run: Run, github: GitHub) -> None:
    own = github.state.administration
    deletion, mine = {"type": "deletion"}, {"context": "Ours", "integration_id": 7}
    parameters = {"strict_required_status_checks_policy": False, "required_status_checks": [mine]}
    own.rulesets[5] = {
        "id": 5,
        "name": RULESET,
        "target": "branch",
        "enforcement": "disabled",
        "source_type": "Repository",
        "source": "acme/demo",
        "bypass_actors": [{"actor_id": 1, "actor_type": "Team", "bypass_mode": "always"}],
        "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
        "rules": [deletion, {"type": "required_status_checks", "parameters": parameters}],
    }
    reviewers = {
        "type": "required_reviewers",
        "reviewers": [{"type": "User", "reviewer": {"id": 3}}],
    }
    rules = [{"type": "wait_timer", "wait_timer": 30}, reviewers | {"prevent_self_review": True}]
    name = "production"
    own.environments[name] = {
        "name": name, "protection_rules": rules, "deployment_branch_policy": None,
    }  # fmt: skip

    assert run("--yes").returncode == 0

    assert list(own.rulesets) == [5]
    assert own.rulesets[5]["enforcement"] == "active"
    assert own.rulesets[5]["bypass_actors"]
    assert own.rulesets[5]["rules"][0] == deletion
    required = own.rulesets[5]["rules"][1]["parameters"]["required_status_checks"]
    assert [one["context"] for one in required] == ["Ours", *CHECKS]
    assert own.environments[name]["protection_rules"] == [*rules, {"type": "branch_policy"}]
    assert own.branch_policies[name] == ["main"]


def test_a_rule_of_the_organization_or_a_merge_queue_is_enough(run: Run, github: GitHub) -> None:
    checks = [{"context": name} for name in CHECKS]
    parameters = {"strict_required_status_checks_policy": False, "required_status_checks": checks}
    github.state.administration.rulesets[9] = {
        "id": 9,
        "name": "Everywhere",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": ["~ALL"], "exclude": []}},
        "rules": [
            {"type": "required_status_checks", "parameters": parameters},
            {"type": "merge_queue", "parameters": {}},
        ],
    }

    done = run("--yes")

    assert line(done, "required checks").endswith("unchanged")
    assert list(github.state.administration.rulesets) == [9]


def test_a_private_repository_on_the_free_plan_gets_what_it_can(run: Run, github: GitHub) -> None:
    github.state.administration.private = True

    done = run("--yes")

    assert done.returncode == 0, done.stderr
    page = "by hand: https://github.com/acme/demo/settings/"
    for setting, why, where in (
        ("required checks", "Upgrade to GitHub Pro or make this repository public", "rules"),
        ("environment release", "please ensure billing plan", "environments"),
        ("push protection", "not available for this repository", "security_analysis"),
    ):
        row = line(done, setting)
        assert why in row
        assert row.endswith(page + where)
    assert line(done, "Actions may open pull requests").endswith("set: yes")


def test_a_setting_that_the_organization_decides_stays_and_the_rest_is_set(
    run: Run, github: GitHub
) -> None:
    own = github.state.administration
    own.organization_forbids = {"can_approve_pull_request_reviews"}
    own.token["default_workflow_permissions"] = "write"
    own.actions["enabled"] = False

    done = run("--yes")

    assert "NOT SET: Conflict (HTTP 409)" in line(done, "Actions may open pull requests")
    assert own.token["default_workflow_permissions"] == "read"
    assert own.actions["enabled"] is True


def test_a_repository_that_allows_no_actions_of_others_is_told_so(run: Run, github: GitHub) -> None:
    github.state.administration.actions["allowed_actions"] = "local_only"

    row = line(run("--yes"), "Actions may run")

    assert "only local ones  NOT SET: the workflows use third-party actions" in row
    assert github.state.administration.actions["allowed_actions"] == "local_only"


def test_a_call_without_an_answer_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gh").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "gh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr("mlops.github.gh_api.SECONDS", 0.5)

    with pytest.raises(GitHubRefused, match=r"no answer in 0\.5 seconds"):
        api("repos/acme/demo")


def test_another_default_branch_than_that_of_the_triggers_is_said(run: Run, github: GitHub) -> None:
    git(github.origin, "branch", "trunk", "main")
    github.state.default_branch = "trunk"

    done = run("--yes")

    assert "the workflows run for main: rename the branch" in line(done, "default branch")


def test_every_page_of_the_variables_is_read(run: Run, github: GitHub) -> None:
    known = github.state.administration.variables
    known |= {f"OTHER_{number}": "x" for number in range(60)}
    known["RUNNER"] = "big"

    assert line(run("--yes"), "variable RUNNER").endswith("big  unchanged")
    assert run("--yes", "RUNNER=bigger").returncode == 0
    assert known["RUNNER"] == "bigger"


def test_a_key_of_several_lines_is_one_line_of_the_table(run: Run, github: GitHub) -> None:
    key = f"-----BEGIN PUBLIC KEY-----\n{'x' * 99}\n-----END PUBLIC KEY-----\n"
    github.state.administration.variables["COSIGN_PUBLIC_KEY"] = key

    done = run("--yes", f"DEPLOY_KNOWN_HOSTS={key}")

    assert github.state.administration.variables["DEPLOY_KNOWN_HOSTS"] == key
    assert line(done, "variable COSIGN_PUBLIC_KEY").endswith("…  unchanged")
    names = {row.split("  ")[0] for row in done.stdout.splitlines()[1:]}
    assert not [name for name in names if "KEY---" in name]


def test_a_wrong_argument_changes_nothing_and_all_are_named(run: Run, github: GitHub) -> None:
    done = run("--yes", "DVC_REMOTE_URLS=x", "RUNNER", "AWS_REGION=")

    assert done.returncode == 1
    assert "DVC_REMOTE_URLS: no workflow reads it; wanted one of AWS_REGION," in done.stderr
    assert "'RUNNER': wanted NAME=VALUE" in done.stderr
    assert "'AWS_REGION=': wanted NAME=VALUE" in done.stderr
    assert github.calls == []


def test_make_hands_its_settings_on() -> None:
    command = [
        "make",
        "--no-print-directory",
        "--dry-run",
        "github",
        "YES=1",
        "SET=AWS_REGION=eu RUNNER=big",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.strip().endswith(
        "mlops.github.repository_settings --yes AWS_REGION=eu RUNNER=big"
    )


def only_sentence(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
    return done.stderr


def test_no_right_no_login_or_no_such_repository_is_one_sentence(
    run: Run, github: GitHub, clone: Path, tmp_path: Path
) -> None:
    may_write = github.grant(EVERYTHING, "mallory")
    assert "may not change the settings of acme/demo" in only_sentence(run(token=may_write))
    assert "is not logged in" in only_sentence(run(token="gone"))
    assert "is not logged in" in only_sentence(run(token=""))
    with github.refusing():
        assert "connect" in only_sentence(run())
    git(clone, "remote", "set-url", "origin", "git@github.com:acme/other")
    assert "no repository acme/other" in only_sentence(run())
    git(clone, "remote", "set-url", "origin", "https://gitlab.com/acme/demo")
    assert "https://gitlab.com/acme/demo is not on github.com" in only_sentence(run())
    git(clone, "remote", "remove", "origin")
    assert "there is no git remote `origin`" in only_sentence(run())
    git(clone, "remote", "add", "origin", "ssh://git@ssh.github.com:443/acme/demo.git")
    (tmp_path / "tools" / "gh").unlink()
    assert "`gh` is not installed" in only_sentence(run())
    assert github.writes() == []


def test_a_token_that_may_not_administrate_leaves_a_line_for_each_setting(
    run: Run, github: GitHub
) -> None:
    """A fine-grained token without these rights, of somebody who is an administrator."""
    refused = re.escape("/actions/permissions")
    with github.failing("forbidden", path=refused), github.failing("forbidden", method="PATCH"):
        done = run("--yes")

    assert done.returncode == 0, done.stderr
    assert "unknown" in line(done, "Actions may run")
    assert "Resource not accessible" in line(done, "secret scanning")
    assert line(done, "required checks").endswith("up to date")


def named(key: str, node: object) -> set[str]:
    """Find the values of a key, or the names below it, in a YAML document."""
    if isinstance(node, list):
        return {one for part in node for one in named(key, part)}
    if not isinstance(node, dict):
        return set()
    own = node.get(key)
    here = {own["name"] if isinstance(own, dict) else own} if own else set()
    return here.union(*(named(key, part) for part in node.values()))


def test_environments_are_those_that_jobs_name() -> None:
    jobs = [
        yaml.safe_load(path.read_text())["jobs"] for path in WORKFLOWS if "workflows" in path.parts
    ]

    assert set(ENVIRONMENTS) == named("environment", jobs)
    assert {"production", "release"} <= set(ENVIRONMENTS)
    text = "jobs:\n  a:\n    environment: {name: one, deployment: false}\n"
    text += "  b:\n    environment:\n      name: two\n  c:\n    environment: three\n"
    assert environments_in(text) == ["one", "three", "two"]


def test_required_checks_are_jobs_of_workflows_that_run_on_pull_requests() -> None:
    names = {
        job["name"]
        for path in WORKFLOWS
        if re.search(r"^  pull_request:", path.read_text(), re.MULTILINE)
        for job in yaml.safe_load(path.read_text())["jobs"].values()
    }

    assert set(CHECKS) <= names


def test_the_page_names_every_variable_environment_and_check() -> None:
    page = (ROOT / "docs" / "github.md").read_text(encoding="utf-8")

    wanted = [*variables_in(workflow_texts(ROOT)), *ENVIRONMENTS, *CHECKS]
    assert [name for name in wanted if name not in page] == []


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("GitHub Actions is not permitted to create or approve pull requests.", "make github"),
        ("Resource not accessible by integration", "docs/github.md"),
        ("Not Found", "Not Found"),
    ],
)
def test_a_run_that_lacks_a_setting_can_say_which(answer: str, sentence: str) -> None:
    assert sentence in what_to_set(f"{answer} (HTTP 403)")
    assert answer in what_to_set(answer)
