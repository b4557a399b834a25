"""Each rule of test_workflows.py was red once: faults planted in a copy of .github, all caught."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from paths import ROOT

PULL, CHECK, COMMENT = (f"workflows/{name}.yml" for name in ("pull-request", "check", "comment"))
SETUP = "actions/setup/action.yml"
CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"

FAULTS = {
    "an action by its tag": (PULL, CHECKOUT, "actions/checkout@v7"),
    "a pin without its version": (PULL, CHECKOUT, CHECKOUT.split(" #")[0]),
    "a short pin": (CHECK, CHECKOUT, "actions/checkout@3d3c42e # v7.0.1"),
    "rights for all jobs": (PULL, "permissions: {}", "permissions: write-all"),
    "no rights at the top": (CHECK, "permissions: {}\n", ""),
    "a right to write where the change runs": (
        PULL, "id-token: write", "pull-requests: write"
    ),
    "a branch's title in a script": (
        PULL, 'test "$RESULT" = success', "echo ${{ github.head_ref }}"
    ),
    "pull_request_target": (PULL, "  pull_request:\n", "  pull_request_target:\n"),
    "a filter on paths": (PULL, "  pull_request:\n", "  pull_request:\n    paths: [src]\n"),
    "no answer to the merge queue": (CHECK, "  merge_group:\n", ""),
    "no answer to the lock job": (CHECK, "  workflow_dispatch:", "  schedule:"),
    "kept credentials": (PULL, "persist-credentials: false", "persist-credentials: true"),
    "no word on credentials": (
        COMMENT, "        with:\n          persist-credentials: false\n", ""
    ),
    "the change's code where it is written": (
        PULL, "ref: ${{ github.event.repository.default_branch }}",
        "ref: ${{ github.event.pull_request.head.sha }}",
    ),
    "the change's code by default": (
        PULL, "          ref: ${{ github.event.repository.default_branch }}\n", ""
    ),
    "the comment's job on the change's code": (
        COMMENT, "persist-credentials: false",
        "persist-credentials: false\n          ref: ${{ github.event.workflow_run.head_sha }}",
    ),
    "a lock for forks": (
        PULL, "&& github.event.pull_request.head.repo.full_name == github.repository\n      ", ""
    ),
    "a lock for anybody": (PULL, "github.event_name == 'pull_request' &&", "always() ||"),
    "a cache where it is written": (
        PULL, "- run: make .venv/run", "- uses: ./.github/actions/setup"
    ),
    "another secret": (PULL, "secrets.DVC_READ_SETTINGS", "secrets.DEPLOY_KEY"),
    "the account that writes": (PULL, "vars.DVC_READ_AWS_ROLE", "vars.DVC_WRITE_AWS_ROLE"),
    "the run cache": (SETUP, "path: .dvc/cache/files", "path: .dvc/cache"),
    "a cache that nobody hashes": (SETUP, "mlops.cache_check", "mlops.params"),
    "no limit of time": (PULL, "    timeout-minutes: 60\n", ""),
    "a machine of one's own": (PULL, "runs-on: ubuntu-latest", "runs-on: self-hosted"),
    "a fork on a machine of one's own": (
        PULL, "\n      || github.event.pull_request.head.repo.full_name == github.repository", ""
    ),
    "a job that writes on a machine of one's own": (
        COMMENT, "runs-on: ubuntu-latest", "runs-on: ${{ vars.RUNNER || 'ubuntu-latest' }}"
    ),
    "no end of older runs": (CHECK, "cancel-in-progress: true", "cancel-in-progress: false"),
    "a required check that forgets a job": (
        CHECK,
        "needs: [test, engine, image]",
        "needs: [test, image]",
    ),
    "a required check that is skipped": (CHECK, "    if: always()\n", ""),
    "a lock job that its own push ends": (
        PULL, "${{ github.event_name != 'pull_request' || github.actor != 'github-actions[bot]' }}",
        "true",
    ),
    "a status by another name": (CHECK, "CHECK: All checks passed", "CHECK: All green"),
    "a status on success alone": (
        PULL, "if: always() && github.event_name == 'workflow_dispatch'",
        "if: github.event_name == 'workflow_dispatch'",
    ),
    "code of the change where a status is written": (
        CHECK, "      - run: jq --exit-status", "      - uses: " + CHECKOUT + "\n        with:\n"
        "          persist-credentials: false\n      - run: jq --exit-status",
    ),
    "a workflow that is called": (
        "workflows/deploy.yml", "on:\n", "on:\n  workflow_call:\n    inputs: {}\n"
    ),
    "a release of a fork": (
        "workflows/release.yml", "    if: ${{ !github.event.repository.fork }}", "    if: true"
    ),
    "any version of cosign": (
        "workflows/deploy.yml", "\n        with:\n          cosign-release: v3.1.1", "\n        #"
    ),
    "a comment by CML that nothing installs": (COMMENT, "iterative/setup-cml@", "x/y@"),
    "CML of any version": (COMMENT, "version: 0.20.6", "version: latest"),
    "a comment that needs CML": (COMMENT, "continue-on-error: true # without CML", "if: true #"),
    "a comment on success alone": (COMMENT, "types: [completed]", "types: [requested]"),
    "another workflow's comment": (COMMENT, "workflows: [Pull request]", "workflows: [Check]"),
    "a long script": (CHECK, "- run: make test", "- run: |" + "\n          true" * 6),
    "a key that GitHub doesn't know": (CHECK, "runs-on:", "runs_on:"),
    "an ignored finding without a reason": (
        COMMENT, "checks out only main, treats the artifact as hostile text", "fine"
    ),
    "no sentence at the top": (CHECK, "# On every push", "#On every push"),
}  # fmt: skip


def shape(folder: Path) -> int:
    """Run the static tests on a folder that has a .github, without what they don't need."""
    command = [
        "-q",
        "-x",
        "--noconftest",
        "-p",
        "no:cacheprovider",
        "engine/tests/test_workflows.py",
    ]
    tools = "not actionlint and not shellcheck and not hadolint"
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-k", tools, *command],
        cwd=ROOT,
        env=os.environ | {"SHAPE_OF": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        timeout=120,
    ).returncode


def copy(folder: Path) -> Path:
    shutil.copytree(ROOT / ".github", folder / ".github")
    return folder


@pytest.mark.slow
def test_the_files_as_they_are_have_no_fault(tmp_path: Path) -> None:
    assert shape(copy(tmp_path)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught(fault: str, tmp_path: Path) -> None:
    name, old, new = FAULTS[fault]
    path = copy(tmp_path) / ".github" / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")

    assert shape(tmp_path) == 1
