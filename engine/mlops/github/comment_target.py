"""Find the pull request of a finished review.

GitHub is asked, because the run's files are untrusted: they only decide between pull requests with
the same head.
"""

from pathlib import Path
from typing import Any

from mlops.github.gh_api import BOT, api

BASE = "base"
"""File next to the report, with the name of the run's base branch."""


def find_pull(run: dict[str, Any], repository: str, folder: Path) -> dict[str, Any] | None:
    """Find the open pull request whose head the run reviewed; None if there is none.

    Args:
        run: of the event `workflow_run`; its `head_repository` is null once a fork is deleted.
        folder: the files of the run.
    """
    home = (run["head_repository"] or {}).get("full_name")
    query = ["-f", "state=open", "-f", "per_page=100"]
    if home:
        query += ["-f", f"head={home.split('/')[0]}:{run['head_branch']}"]
    pulls = [
        pull
        for pull in api(f"repos/{repository}/pulls", "--method", "GET", *query)
        if (pull["head"]["repo"] or {}).get("full_name") == home
        and pull["head"]["ref"] == run["head_branch"]
        and _is_reviewed(pull["head"]["sha"], run, repository)
    ]
    if len(pulls) > 1:  # into different branches
        base = _base(folder)
        pulls = [pull for pull in pulls if pull["base"]["ref"] == base]
    return pulls[0] if pulls else None


def _is_reviewed(head: str, run: dict[str, Any], repository: str) -> bool:
    """Return whether a head is the run's commit, or the bot's commit of dvc.lock on top of it."""
    if head == run["head_sha"]:
        return True
    if (run["head_repository"] or {}).get("full_name") != repository:
        return False
    commit = api(f"repos/{repository}/commits/{head}")
    parents = [parent["sha"] for parent in commit["parents"]]
    return parents == [run["head_sha"]] and (commit["author"] or {}).get("login") == BOT


def _base(folder: Path) -> str | None:
    path = folder / BASE
    if path.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as file:
        return file.read(1000).decode("utf-8", errors="replace").strip()
