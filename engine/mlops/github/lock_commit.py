"""Commit a pull request's new dvc.lock to its branch and start the checks of that commit.

Runs with write permission, on the default branch's code. The lock comes from a job that ran the
pull request's code: it is validated and rewritten. Usage: python -m mlops.github.lock_commit FILE
"""

import base64
import json
import os
import sys
from collections.abc import Collection
from pathlib import Path
from urllib.parse import quote

import yaml

from mlops.errors import UserError, run_command
from mlops.github.gh_api import CHECKS, GitHubRefused, api, start_checks
from mlops.review.lock_check import checked_lock
from mlops.typed_yaml import parse_yaml

LOCK = "dvc.lock"
MESSAGE = "Bring dvc.lock up to date"


def commit_lock(lock: Path, event: dict, repository: str) -> str:  # type: ignore[type-arg]
    """Commit the lock if it is new, and return a summary.

    Raises:
        UserError: the lock does not belong to this pull request's pipeline.
        GitHubRefused: a call failed, for example because somebody else just changed the file.
    """
    head, base = event["pull_request"]["head"], event["pull_request"]["base"]
    branch, here = head["ref"], f"repos/{repository}"
    tip = api(f"{here}/git/ref/heads/{quote(branch)}")["object"]["sha"]
    if tip != head["sha"]:
        return "The branch has a newer commit, whose own run commits dvc.lock."
    text = checked_lock(lock, _stages(_file(f"{here}/contents/dvc.yaml?ref={tip}")[0]))
    try:
        committed, blob = _file(f"{here}/contents/{LOCK}?ref={tip}")
    except GitHubRefused:  # the branch has no lock; any other cause also fails the next call
        committed, blob = b"", ""
    if committed == text.encode():
        return "The branch has this dvc.lock already."
    content = base64.b64encode(text.encode()).decode()
    change = {"message": MESSAGE, "content": content, "branch": branch}
    if blob:
        change["sha"] = blob
    api(f"{here}/contents/{LOCK}", "--method", "PUT", body=change)
    start_checks(here, branch, base["ref"])
    return f"Committed dvc.lock to the pull request's branch; started {', '.join(CHECKS)} there."


def _stages(content: bytes) -> Collection[str]:
    try:
        stages = parse_yaml(content.decode())["stages"]
    except (yaml.YAMLError, ValueError, KeyError, TypeError) as error:
        raise UserError("dvc.yaml refused: wanted plain YAML with stages") from error
    return stages if isinstance(stages, dict) else {}


def _file(path: str) -> tuple[bytes, str]:
    found = api(path)
    return base64.b64decode(found["content"]), found["sha"]


def main() -> int:
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    try:
        print(commit_lock(Path(sys.argv[1]), event, os.environ["GITHUB_REPOSITORY"]))
    except GitHubRefused as error:
        raise UserError(f"dvc.lock could not be committed: {error}") from error
    return 0


if __name__ == "__main__":
    run_command(main)
