"""Hold what the loopback GitHub knows, in memory."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from github_fake.origin import resolve

ACTIONS_BOT = "github-actions[bot]"


def now() -> str:
    """Return the time as the API writes it; to the microsecond, for tests are quick."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass
class Comment:
    """Hold one comment of an issue or pull request; `updated_at` is when its body last changed."""

    id: int
    issue: int
    body: str
    author: str
    updated_at: str = field(default_factory=now)


@dataclass
class Issue:
    """Hold one issue; a pull request is an issue with a `pull`."""

    number: int
    title: str
    body: str
    author: str
    state: str = "open"
    labels: list[str] = field(default_factory=list)
    pull: "Pull | None" = None
    made_by: str = ""  # the token of the run that opened it, if one did


@dataclass
class Pull:
    """Hold what a pull request has beyond an issue."""

    head_ref: str
    head_repo: str
    base_ref: str
    head_sha: str
    merged: bool = False
    draft: bool = False
    fork_deleted: bool = False
    closed: bool = False


@dataclass
class WorkflowRun:
    """Hold one run of a workflow, as the API lists it."""

    id: int
    name: str
    path: str
    event: str
    head_sha: str
    head_branch: str
    conclusion: str
    status: str = "completed"
    created_at: str = field(default_factory=now)


@dataclass(frozen=True)
class Check:
    """Hold how a job of a finished run ended, under the name that a person sees."""

    name: str
    sha: str
    event: str
    conclusion: str


@dataclass(frozen=True)
class Happening:
    """Hold what may start workflows: a push, a pull request opened or edited, a dispatch."""

    kind: str
    about: Any
    actor: str
    newest: int  # issue or pull request at that time


@dataclass
class Administration:
    """Hold a repository's settings as a new public repository has them.

    `private` is one on the free plan, which lacks most; `organization_forbids` names settings
    that the owning organization has decided.
    """

    private: bool = False
    organization_forbids: set[str] = field(default_factory=set)
    scanning: set[str] = field(default_factory=set)
    actions: dict[str, Any] = field(
        default_factory=lambda: {"enabled": True, "allowed_actions": "all"}
    )
    token: dict[str, Any] = field(
        default_factory=lambda: {
            "default_workflow_permissions": "read",
            "can_approve_pull_request_reviews": False,
        }
    )
    rulesets: dict[int, dict[str, Any]] = field(default_factory=dict)
    environments: dict[str, dict[str, Any]] = field(default_factory=dict)
    branch_policies: dict[str, list[str]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)


@dataclass
class State:
    """Hold one repository: its bare git store and everything around it."""

    repository: str
    origin: Path
    artifacts: Path
    server_url: str
    default_branch: str = "main"
    issues: dict[int, Issue] = field(default_factory=dict)
    comments: dict[int, Comment] = field(default_factory=dict)
    check_runs: list[dict[str, Any]] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    required: tuple[str, ...] = ()  # names that main's rules ask for
    # Who has had something merged: runs of everybody else's forks wait for approval.
    contributors: set[str] = field(default_factory=lambda: {"octocat"})
    happened: list[Happening] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    dispatches: list[dict[str, Any]] = field(default_factory=list)
    releases: list[dict[str, Any]] = field(default_factory=list)
    runs: dict[int, WorkflowRun] = field(default_factory=dict)
    # Bytes of an artifact's zip that a test planted, by artifact id.
    planted_zips: dict[int, bytes] = field(default_factory=dict)
    administration: Administration = field(default_factory=Administration)
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1001))

    @property
    def actions_may_open_pulls(self) -> bool:
        """Tell whether workflows may open pull requests; not as GitHub sets a repository up."""
        return bool(self.administration.token["can_approve_pull_request_reviews"])

    @actions_may_open_pulls.setter
    def actions_may_open_pulls(self, allowed: bool) -> None:
        self.administration.token["can_approve_pull_request_reviews"] = allowed

    def next_number(self) -> int:
        """Return the number that the next issue or pull request gets."""
        return max(self.issues, default=0) + 1

    def happen(self, kind: str, about: Any, actor: str) -> None:
        """Write down what may start workflows."""
        self.happened.append(Happening(kind, about, actor, max(self.issues, default=0)))

    def close(self, issue: Issue, merged: bool = False) -> None:
        """Close an issue; the head of a pull request stays from then on what it is."""
        issue.state = "closed"
        if pull := issue.pull:
            pull.head_sha, pull.closed, pull.merged = self.pull_head(pull), True, merged

    def pull_head(self, pull: Pull) -> str:
        """Return the head commit: live for our own branches while open, as planted for a fork."""
        if pull.closed or pull.head_repo != self.repository:
            return pull.head_sha
        return resolve(self.origin, f"refs/heads/{pull.head_ref}") or pull.head_sha
