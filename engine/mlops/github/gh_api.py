"""Calls to GitHub's API through `gh api`, for workflows."""

import json
import os
import re
import subprocess
from typing import Any

SECONDS = 120

BOT = "github-actions[bot]"
"""The account behind a workflow's own token."""

# All workflows with a required check. Runs started by a push with a workflow's own token wait for a
# person's approval (GitHub, since June 2026), so they are dispatched; they report by a status.
CHECKS = ("check.yml", "pull-request.yml")


GITHUB = "https://api.github.com"


class GitHubRefused(Exception):
    """A call failed; the message is GitHub's, sometimes with advice."""

    @property
    def answer(self) -> str:
        """GitHub's message without the call, for a table; `gh` ends it with (HTTP 403)."""
        said = re.search(r"gh: (.+)", str(self))
        return said[1] if said else str(self)


def api(path: str, *arguments: str, body: Any = None) -> Any:
    """Call `repos/OWNER/NAME/…` and return the decoded answer, None if it is empty.

    The URL is complete, so that `gh` calls the server that the workflow runs on, or github.com on a
    person's machine.

    Raises:
        GitHubRefused: the call failed, or got no answer in SECONDS.
    """
    address = f"{os.environ.get('GITHUB_API_URL', GITHUB)}/{path}"
    sent = [] if body is None else ["--input", "-"]
    try:
        run = subprocess.run(
            ["gh", "api", address, *arguments, *sent],
            input=None if body is None else json.dumps(body),
            stdin=subprocess.DEVNULL if body is None else None,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise GitHubRefused(f"gh api {path}: gh: no answer in {SECONDS} seconds") from None
    if run.returncode:
        told = run.stderr.strip() or run.stdout.strip()
        raise GitHubRefused(what_to_set(f"gh api {path}: {told}"))
    return json.loads(run.stdout) if run.stdout.strip() else None


def start_checks(here: str, branch: str, base: str) -> None:
    """Start the checks of a branch to be merged into `base`; `here` is repos/OWNER/NAME.

    Raises:
        GitHubRefused: a call failed.
    """
    for name in CHECKS:
        inputs = {"base": base} if name == "pull-request.yml" else {}
        api(f"{here}/actions/workflows/{name}/dispatches", body={"ref": branch, "inputs": inputs})


NEEDED = {
    "not permitted to create or approve pull requests": (
        "Actions may not open pull requests here: run `make github`, or allow it under "
        "Settings, Actions, General, Workflow permissions."
    ),
    "Resource not accessible by integration": (
        "The workflow's token lacks a permission that its job requests: an organization limits it, "
        "or the run is for a fork. See docs/github.md."
    ),
    "GitHub Actions is disabled": (
        "Actions are disabled here: run `make github`, or allow them under Settings, Actions."
    ),
}
"""Parts of GitHub's errors for a repository that is not set up -> advice."""


def what_to_set(answer: str) -> str:
    """Append advice on settings to GitHub's error, if there is any."""
    said = next((text for part, text in NEEDED.items() if part in answer), None)
    return f"{answer}\n{said}" if said else answer
