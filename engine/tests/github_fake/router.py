"""Answer each request to the loopback GitHub: who asks, what fails, which route, what is logged."""

import base64
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from github_fake import administration, issues, pulls, repository, runs
from github_fake.faults import Fault
from github_fake.git_http import is_git_path, serve
from github_fake.origin import branches
from github_fake.state import State
from github_fake.web import Answer, ApiError, Request, Token

ROUTES = [*administration.ROUTES, *issues.ROUTES, *pulls.ROUTES, *runs.ROUTES, *repository.ROUTES]


@dataclass(frozen=True)
class Call:
    """Hold one logged call; `path` is without the /api/v3 prefix, `raw_path` as it came."""

    method: str
    path: str
    body: Any
    status: int
    raw_path: str
    login: str | None


class Router:
    """Answer requests for one repository."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.calls: list[Call] = []
        self.tokens: dict[str, Token] = {}
        self.faults: list[Fault] = []
        self._lock = threading.Lock()

    def answer(self, method: str, target: str, headers: Mapping[str, str], raw: bytes) -> Answer:
        """Answer one request and log it."""
        path, _, query = target.partition("?")
        token = self._authenticate(headers.get("Authorization", ""))
        if is_git_path(path):
            answer = self._git(method, path, query, headers, raw, token)
            body: Any = None
            short = path
        else:
            short = path.removeprefix("/api/v3")
            with self._lock:
                answer = self._rest(method, short, query, raw, token)
            body = _decoded(raw)
        logged = short + (f"?{query}" if query else "")
        login = token.login if token else None
        self.calls.append(Call(method, logged, body, answer.status, target, login))
        return answer

    def _git(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        raw: bytes,
        token: Token | None,
    ) -> Answer:
        """Hand a request to git if it is for our repository."""
        name = path.rsplit("/info/refs")[0].rsplit("/git-")[0]
        if name.strip("/").removesuffix(".git") != self.state.repository:
            return Answer(404, b"Repository not found", {"Content-Type": "text/plain"})
        before = branches(self.state.origin)
        answer = serve(self.state.origin, method, path, query, headers, raw, token)
        after = branches(self.state.origin)
        for branch in sorted(after):
            if token and after[branch] != before.get(branch):
                self.state.happen("push", branch, token.login)
        return answer

    def _rest(self, method: str, path: str, query: str, raw: bytes, token: Token | None) -> Answer:
        """Find the route of a call, check the caller's rights and run it."""
        if token is None:
            return Answer(401, {"message": "Bad credentials"})
        fault = next((fault for fault in self.faults if fault.hits(method, path)), None)
        if fault:
            return fault.answer
        base = f"{self.state.server_url}/api/v3"
        request = Request(method, unquote(path), dict(parse_qsl(query)), raw, token, base)
        try:
            return self._route(request)
        except ApiError as error:
            return Answer(error.status, error.body)
        except Exception as error:
            # A fault of ours must be seen as such, and not as a broken connection.
            return Answer(500, {"message": f"the stand-in failed: {error!r}"})

    def _route(self, request: Request) -> Answer:
        """Run the handler of a call."""
        user = re.fullmatch(r"/users?(?:/([^/]+))?", request.path)
        if user and request.method == "GET":
            return Answer(200, {"login": user[1] or request.token.login, "id": 1})
        if not f"{request.path}/".startswith(f"/repos/{self.state.repository}/"):
            raise ApiError(404, "Not Found")
        for route in ROUTES:
            match = route.pattern.fullmatch(request.path)
            if match and route.method == request.method:
                held = (request.token.may(scope, route.level) for scope in route.scopes)
                if route.scopes and not any(held):
                    raise ApiError(403, "Resource not accessible by integration")
                return route.handler(self.state, request, *match.groups())
        raise ApiError(404, "Not Found")

    def _authenticate(self, header: str) -> Token | None:
        """Find the token of a caller in any of the three forms of the header."""
        scheme, _, value = header.partition(" ")
        if scheme.lower() == "basic":
            value = base64.b64decode(value).decode().partition(":")[2]
        return self.tokens.get(value)


def _decoded(raw: bytes) -> Any:
    """Return a logged body as JSON where it is JSON."""
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return raw.decode(errors="replace")
