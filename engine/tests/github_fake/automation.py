"""Run what GitHub would run by itself: after a push, a pull request, a dispatch, another run.

Rules, as GitHub has them: what a workflow's own token does starts nothing but dispatches; a pull
request that it opens or pushes to makes runs that wait for approval. Of filters only those on
branches and types are known.
"""

from collections.abc import Iterator
from typing import Any

from github_fake import events
from github_fake.act import run_workflow
from github_fake.api import GitHub
from github_fake.events import Event
from github_fake.origin import git, write_file
from github_fake.run import Run
from github_fake.runs import triggers
from github_fake.settings import Settings
from github_fake.state import ACTIONS_BOT, Happening

USUAL = ("opened", "synchronize", "reopened")
FOLDER = ".github/workflows"
Ran = tuple[str, dict[str, str] | str]


class Automation:
    """Let persons act on a repository, and run what follows until nothing more does."""

    def __init__(self, github: GitHub, settings: Settings, timeout: float = 900) -> None:
        self.github, self.settings, self._timeout = github, settings, timeout
        self.runs: list[Run] = []

    def push(self, branch: str, path: str, content: bytes, actor: str = "octocat") -> None:
        """Commit a file, as a person does in the browser."""
        origin = self.github.origin
        if not git(origin, "branch", "--list", branch):
            git(origin, "branch", branch, self.github.state.default_branch)
        write_file(origin, branch, path, content, f"Change {path}", actor)
        self.github.state.happen("push", branch, actor)

    def open_pull(self, branch: str, actor: str = "octocat") -> int:
        """Open a pull request, as a person does."""
        number = self.github.open_pull(branch, author=actor).number
        self.github.state.happen("opened", number, actor)
        return number

    def merge(self, number: int, actor: str = "octocat") -> None:
        """Merge a pull request, as a person may once the required checks have passed."""
        if unmet := self.github.unmet(number):
            raise ValueError(f"pull request {number} can't be merged: {unmet}")
        state = self.github.state
        made = events.merge_group(self.github, number).commit
        git(self.github.origin, "update-ref", f"refs/heads/{state.default_branch}", made)
        state.close(state.issues[number], merged=True)
        state.happen("push", state.default_branch, actor)

    def schedule(self, workflow: str, cron: str) -> list[Ran]:
        """Let a workflow's time come, and give all that ran."""
        return self._run(workflow, events.schedule(self.github, cron)) + self.settle()

    def settle(self) -> list[Ran]:
        """Run what has been caused, and what that causes; give file, event, and how each job ended.

        A run that waits for approval is told as `action_required`.
        """
        ran: list[Ran] = []
        while self.github.state.happened:
            for workflow, event in list(self._started(self.github.state.happened.pop(0))):
                ran += self._run(workflow, event)
        return ran

    def _run(self, workflow: str, event: Event) -> list[Ran]:
        run = run_workflow(self.github, workflow, event, self.settings, timeout=self._timeout)
        self.runs.append(run)
        ran: list[Ran] = [(f"{workflow} {event.name}", run.conclusion if run.waits else run.jobs)]
        for name, on in self._workflows(self.github.state.default_branch):
            if run.workflow in on.get("workflow_run", {}).get("workflows", []):
                ran += self._run(name, events.workflow_run(self.github, run))
        return ran

    def _started(self, happening: Happening) -> Iterator[tuple[str, Event]]:
        about, actor = happening.about, happening.actor
        match happening.kind:
            case "dispatch":
                event = events.workflow_dispatch(self.github, about["ref"], about["inputs"], actor)
                yield about["workflow"], event
            case "push":
                yield from self._pushed(about, actor, happening.newest)
            case "opened" | "edited" as action:
                yield from self._of_pull(about, action, actor)

    def _pushed(self, branch: str, actor: str, newest: int) -> Iterator[tuple[str, Event]]:
        if actor != ACTIONS_BOT:
            for name, on in self._workflows(branch):
                if "push" in on and branch in on["push"].get("branches", [branch]):
                    yield name, events.push(self.github, branch, actor)
        for issue in self.github.state.issues.values():
            pull = issue.pull if issue.number <= newest else None
            own = pull is not None and pull.head_repo == self.github.state.repository
            if pull and own and issue.state == "open" and pull.head_ref == branch:
                yield from self._of_pull(issue.number, "synchronize", actor)

    def _of_pull(self, number: int, action: str, actor: str) -> Iterator[tuple[str, Event]]:
        if actor == ACTIONS_BOT and action not in USUAL:
            return
        event = events.pull_request(self.github, number, action, actor)
        for name, on in self._workflows(event.commit):
            if "pull_request" in on and action in on["pull_request"].get("types", USUAL):
                yield name, event

    def _workflows(self, revision: str) -> Iterator[tuple[str, dict[str, Any]]]:
        origin = self.github.origin
        for path in git(origin, "ls-tree", "--name-only", revision, f"{FOLDER}/").splitlines():
            yield path.rpartition("/")[2], triggers(git(origin, "show", f"{revision}:{path}"))
