"""Rules on GitHub for the default branch: required checks, and who may use environments.

Settings made by others are kept.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from mlops.github.gh_api import api

Json = dict[str, Any]
Write = tuple[str, str, Json]
"""Method, path and body of a call."""

CHECKS = ("The model may be merged", "All checks passed")
"""The checks required before a merge: names of jobs."""
RULESET = "MLOps Loop: required checks"
ACTIONS_APP = 15368
"""App ID of GitHub Actions on github.com: checks of these names by others do not count."""


def required_checks(here: str, branch: str) -> tuple[str, tuple[Write, ...]]:
    """Compare all rules that apply to `branch`, whoever made them, with the checks to require.

    Returns:
        The current requirements, in words, and the calls to make.

    Raises:
        GitHubRefused: GitHub does not show the rules.
    """
    rules = api(f"{here}/rules/branches/{branch}")
    checks = [rule["parameters"] for rule in rules if rule["type"] == "required_status_checks"]
    required = {one["context"] for rule in checks for one in rule["required_status_checks"]}
    # A merge queue tests each pull request on top of the ones before it, so it is up to date.
    queued = any(rule["type"] == "merge_queue" for rule in rules)
    strict = queued or any(rule["strict_required_status_checks_policy"] for rule in checks)
    if required >= set(CHECKS) and strict:
        return ", ".join(sorted(required)), ()
    found = f"{', '.join(sorted(required))}{'' if strict else '; also on an older base'}"
    return found if required else "none", (_ruleset(here, strict=not queued),)


def _ruleset(here: str, strict: bool) -> Write:
    """Return the call that writes our ruleset; its other rules, checks and exceptions are kept."""
    path, rules, checks = f"{here}/rulesets", [], []
    listed = api(f"{path}?includes_parents=false&per_page=100")
    known = next((one["id"] for one in listed if one["name"] == RULESET), None)
    if known:
        path = f"{path}/{known}"
        for rule in api(path)["rules"]:
            if rule["type"] == "required_status_checks":
                checks = rule["parameters"]["required_status_checks"]
            else:
                rules.append(rule)
    checks = [one for one in checks if one["context"] not in CHECKS]
    checks += [{"context": name, "integration_id": ACTIONS_APP} for name in CHECKS]
    parameters = {"strict_required_status_checks_policy": strict, "required_status_checks": checks}
    body = {
        "name": RULESET,
        "target": "branch",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
        "rules": [*rules, {"type": "required_status_checks", "parameters": parameters}],
    }
    return "PUT" if known else "POST", path, body


def environment_rules(
    here: str, names: Sequence[str], branch: str
) -> Iterator[tuple[str, str, tuple[Write, ...]]]:
    """Find the calls that limit each environment to selected branches, including `branch`.

    Yields:
        Its name, the branches that may use it now, and the calls to make.

    Raises:
        GitHubRefused: GitHub does not show the environments.
    """
    path = f"{here}/environments"
    known = {one["name"]: one for one in api(f"{path}?per_page=100")["environments"]}
    for name in names:
        own, environment = f"{path}/{name}", known.get(name)
        policy = environment and environment["deployment_branch_policy"]
        if policy and policy["protected_branches"]:
            yield name, "protected branches", ()
            continue
        branches: list[str] = []
        writes: list[Write] = []
        if policy:
            listed = api(f"{own}/deployment-branch-policies?per_page=100")["branch_policies"]
            branches = [one["name"] for one in listed]
        else:
            custom = {"protected_branches": False, "custom_branch_policies": True}
            kept = _other_rules(environment or {})
            writes.append(("PUT", own, kept | {"deployment_branch_policy": custom}))
        if branch not in branches:
            writes.append(("POST", f"{own}/deployment-branch-policies", {"name": branch}))
        found = ", ".join(branches) if policy else "any branch" if environment else "none"
        yield name, found or "no branch", tuple(writes)


def _other_rules(environment: Json) -> Json:
    """Return reviewers and wait timer for a PUT, which removes settings that it omits."""
    kept: Json = {}
    for rule in environment.get("protection_rules", []):
        if rule["type"] == "wait_timer":
            kept["wait_timer"] = rule["wait_timer"]
        elif rule["type"] == "required_reviewers":
            people = rule["reviewers"]
            kept["reviewers"] = [{"type": p["type"], "id": p["reviewer"]["id"]} for p in people]
            kept["prevent_self_review"] = rule.get("prevent_self_review", False)
    return kept
