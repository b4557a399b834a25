"""Stand in for GitHub on loopback: its REST API over TLS, and git behind the same address."""

import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from github_fake import checks
from github_fake.faults import ANSWERS, Fault
from github_fake.origin import bare_clone, import_fork, resolve
from github_fake.router import Call, Router
from github_fake.server import Server
from github_fake.state import ACTIONS_BOT, Comment, Issue, Pull, State
from github_fake.tls import TRUST_VARIABLES, make_bundle, make_certificate
from github_fake.web import Token

EVERYTHING = dict.fromkeys(
    ["actions", "checks", "contents", "issues", "pull-requests", "statuses"], "write"
)
ADMINISTRATOR = EVERYTHING | {"administration": "write", "variables": "write"}


class GitHub:
    """Hold one repository and serve it until the context ends."""

    def __init__(self, work_tree: Path, folder: Path, repository: str = "acme/demo") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        artifacts = folder / "artifacts"
        artifacts.mkdir()
        self.folder = folder
        self.origin = bare_clone(work_tree, folder / "origin.git")
        certificate = make_certificate(folder)
        self.bundle = make_bundle(certificate)
        self.state = State(repository, self.origin, artifacts, server_url="")
        self.router = Router(self.state)
        self._server = Server(certificate, self.router.answer)
        self.token = self.grant(EVERYTHING)

    def __enter__(self) -> Self:
        """Start to serve."""
        self._server.start()
        self.state.server_url = self._server.url
        return self

    def __exit__(self, *error: object) -> None:
        """Stop to serve and wait for the thread."""
        self._server.stop()

    @property
    def calls(self) -> list[Call]:
        """Return every call so far, oldest first."""
        return self.router.calls

    @property
    def url(self) -> str:
        """Return the address that stands for https://github.com."""
        return self._server.url

    @property
    def api_url(self) -> str:
        """Return the address that stands for the REST API."""
        return f"{self._server.url}/api/v3"

    def environment(self) -> dict[str, str]:
        """Return what makes every client find and trust this GitHub."""
        trust = dict.fromkeys(TRUST_VARIABLES, str(self.bundle))
        host = self._server.url.removeprefix("https://")
        return trust | {
            "GITHUB_SERVER_URL": self.url,
            "GITHUB_API_URL": self.api_url,
            "GITHUB_GRAPHQL_URL": f"{self._server.url}/api/graphql",
            "GITHUB_REPOSITORY": self.state.repository,
            "GH_HOST": host,
            "GIT_TERMINAL_PROMPT": "0",
        }

    def grant(
        self, permissions: Mapping[str, str], login: str = ACTIONS_BOT, *, lags: bool = False
    ) -> str:
        """Make a token that may do just this; lists may lag behind what it makes."""
        token = Token(f"ghs_{uuid.uuid4().hex}", login, dict(permissions), lags)
        self.router.tokens[token.value] = token
        return token.value

    def open_issue(self, title: str, *, author: str = "octocat", body: str = "") -> Issue:
        """Plant an issue."""
        issue = Issue(self.state.next_number(), title, body, author)
        self.state.issues[issue.number] = issue
        return issue

    def open_pull(
        self,
        head_ref: str,
        *,
        title: str = "A change",
        author: str = "octocat",
        body: str = "",
        base_ref: str = "main",
        fork: Path | None = None,
        fork_name: str = "mallory/demo",
    ) -> Issue:
        """Plant a pull request from a branch of ours, or from a fork's work tree or bare clone."""
        issue = self.open_issue(title, author=author, body=body)
        name = fork_name if fork else self.state.repository
        sha = resolve(fork or self.origin, f"refs/heads/{head_ref}")
        if sha is None:
            raise ValueError(f"no branch {head_ref!r} in {fork or self.origin}")
        if fork:
            import_fork(self.origin, fork, sha)
        issue.pull = Pull(head_ref, name, base_ref, sha)
        return issue

    def plant_comment(self, issue: int, body: str, author: str) -> Comment:
        """Plant somebody's comment."""
        comment = Comment(next(self.state.ids), issue, body, author)
        self.state.comments[comment.id] = comment
        return comment

    def plant_artifact(self, run: int, name: str, files: Mapping[str, bytes]) -> Path:
        """Plant an artifact of a run and return its folder, to which a test may add worse."""
        folder = self.state.artifacts / str(run) / name
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        return folder

    def comments(self, issue: int) -> list[Comment]:
        """Return the comments of an issue, oldest first."""
        return [one for one in self.state.comments.values() if one.issue == issue]

    def unmet(self, number: int) -> dict[str, str]:
        """Return the required checks that keep a pull request from being merged, and why."""
        pull = self.state.issues[number].pull
        assert pull is not None
        return checks.unmet(self.state, self.state.pull_head(pull))

    def writes(self) -> list[tuple[str, str, int]]:
        """Return method, path and status of every call that is not a read."""
        return [(c.method, c.path, c.status) for c in self.calls if c.method != "GET"]

    @contextmanager
    def failing(
        self, kind: str, *, method: str | None = None, path: str = "", times: int | None = None
    ) -> Iterator[None]:
        """Fail the calls that match, as one of the answers of `faults`."""
        fault = Fault(ANSWERS[kind], method, re.compile(path), times)
        self.router.faults.append(fault)
        try:
            yield
        finally:
            self.router.faults.remove(fault)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Refuse connections, then serve again at the same address."""
        self._server.stop()
        try:
            yield
        finally:
            self._server.start()
