"""The repository settings on GitHub that the workflows need, and the calls to apply them."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mlops.github.branch_rules import CHECKS, Json, Write, environment_rules, required_checks
from mlops.github.gh_api import GitHubRefused, api

MAX_VARIABLES = 500
"""GitHub's limit per repository."""
VARIABLES_PAGE = "settings/variables/actions"


@dataclass(frozen=True)
class Repository:
    """The repository as described by GitHub and by its workflow files.

    Args:
        here: `repos/OWNER/NAME`.
        workflows: the text of all .yml files under `.github`.
        values: repository variables to set.
    """

    here: str
    facts: Json
    workflows: str
    values: Json


@dataclass(frozen=True)
class Setting:
    """One line of the table: the setting as found, as wanted, and the calls to apply it.

    Args:
        page: the page to set it by hand, relative to the repository's address.
        writes: method, path and body of each call; empty if there is nothing to change.
        problem: why it could not be read or set.
    """

    name: str
    page: str
    found: str
    wanted: str = ""
    writes: tuple[Write, ...] = ()
    problem: str = ""


def names_in(workflows: str, pattern: str) -> list[str]:
    return sorted(set(re.findall(pattern, workflows)))


def variables_in(workflows: str) -> list[str]:
    """List the repository variables that the workflows read."""
    return names_in(workflows, r"\bvars\.([A-Z][A-Z0-9_]*)")


def environments_in(workflows: str) -> list[str]:
    """List the environments of jobs, in any of the three YAML notations."""
    return names_in(workflows, r"(?m)^ +environment:\s*(?:\{\s*)?(?:name:\s*)?([\w-]+)")


def _default_branch(repository: Repository) -> Iterator[Setting]:
    """Compare it with the branch in the triggers; renaming it is left to a person."""
    branch = repository.facts["default_branch"]
    named = names_in(repository.workflows, r"(?m)^ +branches: \[([\w./-]+)\]")
    differs = named and branch not in named
    problem = f"the workflows run for {', '.join(named)}: rename the branch" if differs else ""
    yield Setting("default branch", "settings", branch, problem=problem)


def _actions(repository: Repository) -> Iterator[Setting]:
    path = f"{repository.here}/actions/permissions"
    found = api(path)
    writes = () if found["enabled"] else (("PUT", path, {"enabled": True}),)
    own_only = found.get("allowed_actions") == "local_only"
    problem = "the workflows use third-party actions: allow these too" if own_only else ""
    said = "only local ones" if own_only else _word(found["enabled"])
    yield Setting("Actions may run", "settings/actions", said, "yes", writes, problem)


def _token(repository: Repository) -> Iterator[Setting]:
    """Two settings of one endpoint, set by separate calls so that each can fail on its own."""
    path = f"{repository.here}/actions/permissions/workflow"
    found = api(path)
    for name, key, wanted in (
        ("default rights of the token", "default_workflow_permissions", "read"),
        ("Actions may open pull requests", "can_approve_pull_request_reviews", True),
    ):
        writes = () if found[key] == wanted else (("PUT", path, {key: wanted}),)
        yield Setting(name, "settings/actions", _word(found[key]), _word(wanted), writes)


def _word(value: Any) -> str:
    return {True: "yes", False: "no"}.get(value, str(value))


def _required_checks(repository: Repository) -> Iterator[Setting]:
    found, writes = required_checks(repository.here, repository.facts["default_branch"])
    wanted = f"{', '.join(CHECKS)}; branch up to date"
    yield Setting("required checks", "settings/rules", found, wanted, writes)


def _environments(repository: Repository) -> Iterator[Setting]:
    """Limit each environment to the default branch and any branches selected already."""
    branch, names = repository.facts["default_branch"], environments_in(repository.workflows)
    for name, found, writes in environment_rules(repository.here, names, branch):
        yield Setting(f"environment {name}", "settings/environments", found, branch, writes)


def _secret_scanning(repository: Repository) -> Iterator[Setting]:
    found = repository.facts.get("security_and_analysis") or {}
    for name, key in (
        ("secret scanning", "secret_scanning"),
        ("push protection", "secret_scanning_push_protection"),
    ):
        status = found.get(key, {}).get("status", "disabled")
        body = {"security_and_analysis": {key: {"status": "enabled"}}}
        writes = () if status == "enabled" else (("PATCH", repository.here, body),)
        yield Setting(name, "settings/security_analysis", status, "enabled", writes)


def _variables(repository: Repository) -> Iterator[Setting]:
    """Show the variables that the workflows read; set those for which there is a new value."""
    path = f"{repository.here}/actions/variables"
    found: dict[str, str] = {}
    for page in range(1, MAX_VARIABLES // 30 + 2):
        listed = api(f"{path}?per_page=30&page={page}")["variables"]
        found |= {one["name"]: one["value"] for one in listed}
        if len(listed) < 30:
            break
    for name in variables_in(repository.workflows):
        old = found.get(name, "")
        new = repository.values.get(name, old)
        call = ("PATCH", f"{path}/{name}") if name in found else ("POST", path)
        writes = ((*call, {"name": name, "value": new}),) if new != old else ()
        shown = _one_line(old) or "not set"
        yield Setting(f"variable {name}", VARIABLES_PAGE, shown, _one_line(new), writes)


def _one_line(text: str) -> str:
    """Return the start of a value, such as a multi-line key, on one line for the table."""
    line = " ".join(text.split())
    return line if len(line) <= 50 else f"{line[:49]}…"


READERS: dict[str, tuple[str, Callable[[Repository], Iterator[Setting]]]] = {
    "default branch": ("settings", _default_branch),
    "Actions may run": ("settings/actions", _actions),
    "rights of the workflows' token": ("settings/actions", _token),
    "required checks": ("settings/rules", _required_checks),
    "environments": ("settings/environments", _environments),
    "secret scanning": ("settings/security_analysis", _secret_scanning),
    "variables": (VARIABLES_PAGE, _variables),
}


def read_settings(repository: Repository) -> Iterator[Setting]:
    """Read every setting; for one that GitHub does not show, yield its error."""
    for name, (page, read) in READERS.items():
        try:
            yield from list(read(repository))
        except GitHubRefused as error:
            yield Setting(name, page, "unknown", problem=error.answer)
