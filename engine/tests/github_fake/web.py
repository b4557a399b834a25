"""Describe requests, answers and routes of the loopback GitHub."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

Json = dict[str, Any]


class ApiError(Exception):
    """Stop a handler with the status and message that GitHub gives."""

    def __init__(self, status: int, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"message": message, **extra}


@dataclass(frozen=True)
class Token:
    """Stand for one credential: who it is and what it may do."""

    value: str
    login: str
    permissions: Mapping[str, str]
    lags: bool = False  # lists don't show it yet what it has just made

    def may(self, scope: str, level: str) -> bool:
        """Tell whether the credential reaches the level in the scope."""
        held = self.permissions.get(scope, "none")
        return held == "write" or held == level


@dataclass(frozen=True)
class Request:
    """Hold one call, its path already without the /api/v3 prefix."""

    method: str
    path: str
    query: Mapping[str, str]
    raw: bytes
    token: Token
    base_url: str

    @property
    def body(self) -> Json:
        """Decode the JSON object that was sent."""
        try:
            decoded = json.loads(self.raw or b"{}")
        except ValueError:
            raise ApiError(400, "Problems parsing JSON") from None
        if not isinstance(decoded, dict):
            raise ApiError(400, "Body should be a JSON object")
        return decoded

    def text(self, name: str) -> str:
        """Return a required string of the body."""
        value = self.body.get(name)
        if not isinstance(value, str) or not value:
            raise invalid(f'"{name}" wasn\'t supplied.')
        return value


@dataclass(frozen=True)
class Answer:
    """Hold what goes back: a status, JSON or bytes, and headers."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """Return the bytes of the body."""
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Handler = Callable[..., Answer]


@dataclass(frozen=True)
class Route:
    """Bind a method and a path pattern to a handler and to the permissions that allow it."""

    method: str
    pattern: re.Pattern[str]
    handler: Handler
    scopes: tuple[str, ...]

    @property
    def level(self) -> str:
        """Return the level that the method needs."""
        return "read" if self.method == "GET" else "write"


def route(method: str, pattern: str, handler: Handler, *scopes: str) -> Route:
    """Make a route; any one of the scopes is enough, none means public."""
    return Route(method, re.compile(f"/repos/[^/]+/[^/]+{pattern}"), handler, scopes)


def invalid(detail: str) -> ApiError:
    """Return GitHub's answer to a well-formed request that breaks a rule."""
    return ApiError(422, "Validation Failed", errors=[{"message": detail}])


def paged(request: Request, items: Iterable[Any]) -> Answer:
    """Cut a list into pages of 30, at most 100, with GitHub's Link header."""
    everything = list(items)
    size = min(_positive(request.query.get("per_page"), 30), 100)
    page = _positive(request.query.get("page"), 1)
    last = max(1, -(-len(everything) // size))
    links = []
    if page < last:
        links = [(page + 1, "next"), (last, "last")]
    header = ", ".join(f'<{_page_url(request, number)}>; rel="{rel}"' for number, rel in links)
    part = everything[(page - 1) * size : page * size]
    return Answer(200, part, {"Link": header} if header else {})


def _positive(text: str | None, default: int) -> int:
    """Read a page number as GitHub does: anything odd is the default."""
    return int(text) if text and text.isdigit() and int(text) > 0 else default


def _page_url(request: Request, page: int) -> str:
    """Return the address of another page of the same list."""
    query = urlencode({**request.query, "page": page})
    return f"{request.base_url}{request.path}?{query}"
