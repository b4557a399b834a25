"""The workflow files as they stand: what running them under act can't show."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))
READ_ONLY = {"contents": "read"}


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
        for number, step in enumerate(job["steps"])
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
def test_a_newer_run_takes_the_place_of_an_older_one(path: Path) -> None:
    assert load(path)["concurrency"]["cancel-in-progress"] is True


@pytest.mark.parametrize(("path", "name", "job"), jobs())
def test_a_job_has_a_limit_and_a_runner_of_github(
    path: Path, name: str, job: dict[str, Any]
) -> None:
    assert job["timeout-minutes"] <= 60
    assert job["runs-on"] == "ubuntu-latest"


@pytest.mark.parametrize(("path", "name", "job"), jobs())
def test_code_of_a_pull_request_runs_with_the_right_to_read_alone(
    path: Path, name: str, job: dict[str, Any]
) -> None:
    permissions = job.get("permissions", {})

    if "pull_request" in load(path)["on"]:
        assert permissions in ({}, READ_ONLY)
        assert "secrets." not in str(job)
    elif permissions not in ({}, READ_ONLY):
        # Events that run the default branch's code, or are for those who may write to it.
        assert {"workflow_run", "schedule"} & set(load(path)["on"])
        assert not any(s.get("uses", "").startswith(("./", "actions/cache")) for s in job["steps"])
        checkouts = [s for s in job["steps"] if s.get("uses", "").startswith("actions/checkout")]
        assert all("ref" not in step["with"] for step in checkouts), "main's code alone"


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


def test_the_required_check_waits_for_every_other_job() -> None:
    checks = load(GITHUB / "workflows" / "check.yml")["jobs"]

    assert set(checks["all-green"]["needs"]) == set(checks) - {"all-green"}
    assert checks["all-green"]["if"] == "always()"


def test_a_pull_request_is_reviewed_whatever_it_changes() -> None:
    # A required check that a filter leaves out stays pending for ever.
    for name in ("check", "pull-request"):
        assert not load(GITHUB / "workflows" / f"{name}.yml")["on"]["pull_request"]


def test_a_job_that_reads_the_prediction_log_writes_nothing() -> None:
    for path in WORKFLOWS:
        for job in load(path)["jobs"].values():
            if "PREDICTION_LOG_URL" in str(job):
                assert job["permissions"] == READ_ONLY


def test_the_comment_follows_every_review_and_no_other_workflow() -> None:
    trigger = load(GITHUB / "workflows" / "comment.yml")["on"]["workflow_run"]

    assert trigger == {"workflows": ["Pull request"], "types": ["completed"]}
    assert load(GITHUB / "workflows" / "pull-request.yml")["name"] == "Pull request"


def test_caches_hold_data_and_models_but_not_the_run_cache() -> None:
    for path in [*WORKFLOWS, *ACTIONS]:
        for line in re.findall(r"path: (\.dvc.*)", path.read_text(encoding="utf-8")):
            assert line == ".dvc/cache/files"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / command[0]
    return subprocess.run(
        [program, *command[1:]], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def test_zizmor_finds_nothing() -> None:
    found = run(
        "zizmor",
        "--offline",
        "--no-progress",
        "--strict-collection",
        "--persona=pedantic",
        ".github",
    )

    assert found.returncode == 0, found.stdout + found.stderr


def test_an_ignored_finding_says_why() -> None:
    for path in [*WORKFLOWS, *ACTIONS]:
        for reason in re.findall(r"zizmor: ignore\[[\w-]+\](.*)", path.read_text(encoding="utf-8")):
            assert len(reason.split()) >= 4, path


@pytest.mark.parametrize(
    ("schema", "paths"), [("github-workflows", WORKFLOWS), ("github-actions", ACTIONS)]
)
def test_the_files_have_githubs_form(schema: str, paths: list[Path]) -> None:
    found = run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, paths))

    assert found.returncode == 0, found.stdout + found.stderr
