"""Tell which checks count for a commit: what a rule of main asks for, not what a run's page shows.

GitHub counts the jobs of runs that a pull request, a push or the merge queue started, and commit
statuses, whoever started what made them. Jobs of dispatched or scheduled runs count for nothing,
and a run that waits for approval has no jobs yet.
"""

from github_fake.state import State

COUNTED = ("pull_request", "push", "merge_group")


def counted(state: State, sha: str) -> dict[str, str]:
    """Return what counts for a commit: the worst of the newest results under each name."""
    newest: dict[tuple[str, str], str] = {}
    for check in state.checks:
        if check.sha == sha and check.event in COUNTED:
            newest[check.name, check.event] = check.conclusion
    for status in state.statuses:
        if status["sha"] == sha:
            newest[status["context"], "status"] = status["state"]
    found: dict[str, str] = {}
    for (name, _), result in newest.items():
        found[name] = result if found.get(name, "success") == "success" else found[name]
    return found


def unmet(state: State, sha: str) -> dict[str, str]:
    """Return what stands in a merge's way: each required check that is not a success, and why."""
    found = counted(state, sha)
    wanted = {name: found.get(name, "expected") for name in state.required}
    return {name: result for name, result in wanted.items() if result != "success"}
