"""Build the events that start workflows, from the state of the loopback GitHub."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from github_fake.api import GitHub
from github_fake.origin import git, merge_commit, resolve
from github_fake.pulls import all_pulls, find_pull, render_pull
from github_fake.run import Run
from github_fake.state import ACTIONS_BOT


@dataclass(frozen=True)
class Event:
    """Hold an event: its payload, the commit whose workflow runs, and whether it is trusted.

    `commit` is GITHUB_SHA. `head_sha` and `head_repo` are what the run is listed under. A run waits
    for approval if a fork of a first-time contributor starts it, or a push by a workflow's token.
    """

    name: str
    payload: dict[str, Any]
    commit: str
    head_sha: str
    head_branch: str
    head_repo: str
    actor: str
    trusted: bool = True
    waits: bool = False  # until a maintainer approves the run


def _commit(github: GitHub, revision: str) -> str:
    """Return a commit that must exist."""
    found = resolve(github.origin, revision)
    if found is None:
        raise ValueError(f"{revision} does not exist")
    return found


def _common(github: GitHub, actor: str) -> dict[str, Any]:
    """Return what every payload has."""
    owner, name = github.state.repository.split("/")
    return {
        "repository": {
            "name": name,
            "full_name": github.state.repository,
            "owner": {"login": owner},
            "default_branch": github.state.default_branch,
            "html_url": f"{github.url}/{github.state.repository}",
            "fork": False,
        },
        "sender": {"login": actor},
    }


def _on_branch(
    github: GitHub, name: str, branch: str, payload: dict[str, Any], actor: str
) -> Event:
    """Build an event that runs on a branch's tip."""
    sha = _commit(github, f"refs/heads/{branch}")
    whole = _common(github, actor) | payload
    return Event(name, whole, sha, sha, branch, github.state.repository, actor)


def push(github: GitHub, branch: str = "main", actor: str = "octocat") -> Event:
    """Build the push of a branch's last commit."""
    sha = _commit(github, f"refs/heads/{branch}")
    before = resolve(github.origin, f"{sha}~1") or "0" * 40
    message = git(github.origin, "log", "-1", "--format=%B", sha)
    payload = {
        "ref": f"refs/heads/{branch}",
        "before": before,
        "after": sha,
        "deleted": False,
        "head_commit": {"id": sha, "message": message},
    }
    return _on_branch(github, "push", branch, payload, actor)


def pull_request(
    github: GitHub, number: int, action: str = "synchronize", actor: str | None = None
) -> Event:
    """Build a pull_request event; it runs on the merge of head and base."""
    issue = find_pull(github.state, str(number))
    rendered = render_pull(github.state, issue)
    head, base = rendered["head"], rendered["base"]
    who = actor or issue.author
    fork = issue.pull is not None and issue.pull.head_repo != github.state.repository
    payload = {"action": action, "number": number, "pull_request": rendered}
    return Event(
        name="pull_request",
        payload=_common(github, who) | payload,
        commit=merge_commit(github.origin, number, base["sha"], head["sha"]),
        head_sha=head["sha"],
        head_branch=head["ref"],
        head_repo=issue.pull.head_repo if issue.pull else "",
        actor=who,
        # GitHub treats Dependabot's own pull requests as it treats forks.
        trusted=not fork and who != "dependabot[bot]",
        waits=who == ACTIONS_BOT or (fork and issue.author not in github.state.contributors),
    )


def merge_group(github: GitHub, number: int, base_ref: str = "main") -> Event:
    """Build the event of a merge queue: it runs on the merge that main would become."""
    rendered = render_pull(github.state, find_pull(github.state, str(number)))
    base, head = _commit(github, f"refs/heads/{base_ref}"), rendered["head"]["sha"]
    sha = merge_commit(github.origin, number, base, head)
    branch = f"gh-readonly-queue/{base_ref}/pr-{number}-{base}"
    git(github.origin, "update-ref", f"refs/heads/{branch}", sha)
    group = {
        "head_sha": sha,
        "head_ref": f"refs/heads/{branch}",
        "base_sha": base,
        "base_ref": f"refs/heads/{base_ref}",
    }
    payload = {"action": "checks_requested", "merge_group": group}
    return _on_branch(github, "merge_group", branch, payload, "octocat")


def workflow_run(github: GitHub, run: Run, action: str = "completed") -> Event:
    """Build the event that a finished run of another workflow makes; it runs on the default branch.

    As on GitHub, `pull_requests` is empty when the run was for a fork; otherwise it holds each one
    of that head, whichever the run was for. A fork that was deleted meanwhile is null.
    """
    event: Event = run.event
    own = event.head_repo == github.state.repository
    heads = [
        (issue, pull)
        for issue, pull in all_pulls(github.state)
        if issue.state == "open"
        and (pull.head_ref, pull.head_repo) == (event.head_branch, event.head_repo)
    ]
    deleted = any(pull.fork_deleted for _, pull in heads)
    known = {"full_name": event.head_repo, "fork": not own}
    finished = {
        "id": run.id,
        "name": run.workflow,
        "path": run.path,
        "event": event.name,
        "status": "completed",
        "conclusion": run.conclusion,
        "head_sha": event.head_sha,
        "head_branch": event.head_branch,
        "head_repository": None if deleted else known,
        "run_attempt": 1,
        "html_url": f"{github.url}/{github.state.repository}/actions/runs/{run.id}",
        "pull_requests": [
            {"number": issue.number}
            for issue, pull in heads
            if own and github.state.pull_head(pull) == event.head_sha
        ],
    }
    payload = {"action": action, "workflow_run": finished, "workflow": {"name": run.workflow}}
    branch = github.state.default_branch
    return _on_branch(github, "workflow_run", branch, payload, event.actor)


def workflow_dispatch(
    github: GitHub,
    branch: str = "main",
    inputs: Mapping[str, str] | None = None,
    actor: str = "octocat",
) -> Event:
    """Build a dispatch on a branch."""
    payload = {"ref": f"refs/heads/{branch}", "inputs": dict(inputs or {})}
    return _on_branch(github, "workflow_dispatch", branch, payload, actor)


def schedule(github: GitHub, cron: str) -> Event:
    """Build a scheduled start on the default branch."""
    branch = github.state.default_branch
    return _on_branch(github, "schedule", branch, {"schedule": cron}, "octocat")
