"""Set up the repository on GitHub: `make github` asks, applies settings, reports the rest.

`gh` provides the login; a second run changes nothing.

Usage: python -m mlops.github.repository_settings [--yes] [NAME=VALUE …], for repository variables
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mlops.errors import UserError, run_command
from mlops.github.gh_api import GitHubRefused, api
from mlops.github.wanted_settings import Repository, Setting, read_settings, variables_in

SITE = "https://github.com"


def workflow_texts(root: Path) -> str:
    """Concatenate all .yml files under .github."""
    files = sorted((root / ".github").glob("**/*.yml"))
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


def read_values(arguments: Sequence[str], workflows: str) -> dict[str, str]:
    """Parse NAME=VALUE of variables that the workflows read.

    Raises:
        UserError: an argument is not NAME=VALUE, or no workflow reads the variable.
    """
    known, values, problems = variables_in(workflows), {}, []
    for argument in arguments:
        name, given, value = argument.partition("=")
        if not given or not value:
            problems.append(f"{argument!r}: wanted NAME=VALUE")
        elif name not in known:
            problems.append(f"{name}: no workflow reads it; wanted one of {', '.join(known)}")
        values[name] = value
    if problems:
        raise UserError("make github: nothing was changed", problems)
    return values


def find_repository(root: Path, workflows: str, values: dict[str, str]) -> Repository:
    """Read the repository of the remote `origin` from GitHub.

    Raises:
        UserError: there is no remote, no `gh`, no login, or no right to change settings.
    """
    git = ["git", "-C", str(root), "remote", "get-url", "origin"]
    url = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    name = re.search(r"github\.com(?::\d+)?[:/]([^/\s:]+/[^/\s]+?)(?:\.git)?/?$", url)
    if not name:
        what = f"{url} is not on github.com" if url else "there is no git remote `origin`"
        advice = "git remote add origin https://github.com/OWNER/NAME"
        raise UserError(
            f"make github: {what}.", advice=f"Wanted the repository to set up: {advice}"
        )
    if not shutil.which("gh"):
        advice = "Install it from https://cli.github.com, then: gh auth login"
        raise UserError("make github: GitHub's command line `gh` is not installed.", advice=advice)
    here = f"repos/{name[1]}"
    try:
        facts = api(here)
    except GitHubRefused as error:
        raise UserError(f"make github: {_why_not_shown(name[1], error)}") from None
    if not facts.get("permissions", {}).get("admin"):
        raise UserError(
            f"make github: this login may not change the settings of {name[1]}.",
            advice="Ask one of its administrators, or log in as an administrator: gh auth login",
        )
    return Repository(here, facts, workflows, values)


def _why_not_shown(name: str, error: GitHubRefused) -> str:
    if "gh auth login" in str(error) or "(HTTP 401)" in str(error):
        return "`gh` is not logged in, or its token is no longer valid: gh auth login"
    if "(HTTP 404)" in str(error):
        return f"GitHub shows no repository {name} to this login: does it exist? gh auth status"
    return error.answer


def apply(setting: Setting) -> Setting:
    """Make the calls of one setting; stop at the first that GitHub rejects."""
    for method, path, body in setting.writes:
        try:
            api(path, "--method", method, body=body)
        except GitHubRefused as error:
            return replace(setting, problem=error.answer)
    return setting


def print_table(settings: Sequence[Setting], site: str) -> None:
    """Print each setting as found and as applied, with the page of those that failed."""
    rows = [("setting", "found", "now")]
    for one in settings:
        done = f"set: {one.wanted}" if one.writes else "unchanged"
        now = f"NOT SET: {one.problem}; by hand: {site}/{one.page}" if one.problem else done
        rows.append((one.name, one.found, now))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, found, now in rows:
        print(f"{name:<{widths[0]}}  {found:<{widths[1]}}  {now}")


def agreed(changes: Sequence[Setting]) -> bool:
    """Print the changes and ask for confirmation.

    Raises:
        UserError: standard input has no answer.
    """
    for one in changes:
        print(f"  {one.name}: {one.found} -> {one.wanted}")
    try:
        return input(f"Set these {len(changes)} on GitHub? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        advice = "To apply without confirmation: make github YES=1"
        raise UserError("make github: no answer; nothing was changed.", advice=advice) from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Apply the confirmed settings; 0 even if GitHub rejects one, which the table shows."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    yes, root = "--yes" in given, Path()
    workflows = workflow_texts(root)
    values = read_values([one for one in given if one != "--yes"], workflows)
    repository = find_repository(root, workflows, values)
    settings = list(read_settings(repository))
    changes = [one for one in settings if one.writes]
    if changes and not yes and not agreed(changes):
        print("Nothing was changed.")
        return 0
    settings = [apply(one) for one in settings]
    print_table(settings, f"{SITE}/{repository.here.removeprefix('repos/')}")
    return 0


if __name__ == "__main__":
    run_command(main)
