"""Calls of GitHub's API through `gh api`, for what workflows do. Standard library only."""

import json
import os
import subprocess
from typing import Any

SECONDS = 120

BOT = "github-actions[bot]"
"""Who acts by a workflow's own token."""

# Every workflow with a required check. The runs that a push by a workflow's own token starts wait
# for a person's approval (GitHub, since June 2026), so they are dispatched; they count by a status.
CHECKS = ("check.yml", "pull-request.yml")


class GitHubRefused(Exception):
    """A call failed; the message is GitHub's."""


def api(path: str, *arguments: str, body: Any = None) -> Any:
    """Call `repos/OWNER/NAME/…` and return the decoded answer, None if it is empty.

    The address is given in full: so `gh` asks the server that the workflow runs on.

    Raises:
        GitHubRefused: the call failed.
    """
    address = f"{os.environ['GITHUB_API_URL']}/{path}"
    sent = [] if body is None else ["--input", "-"]
    run = subprocess.run(
        ["gh", "api", address, *arguments, *sent],
        input=None if body is None else json.dumps(body),
        stdin=subprocess.DEVNULL if body is None else None,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    if run.returncode:
        raise GitHubRefused(f"gh api {path}: {run.stderr.strip() or run.stdout.strip()}")
    return json.loads(run.stdout) if run.stdout.strip() else None


def start_checks(here: str, branch: str, base: str) -> None:
    """Start the checks of a branch that is to be merged into `base`; `here` is repos/OWNER/NAME.

    Raises:
        GitHubRefused: a call failed.
    """
    for name in CHECKS:
        inputs = {"base": base} if name == "pull-request.yml" else {}
        api(f"{here}/actions/workflows/{name}/dispatches", body={"ref": branch, "inputs": inputs})
