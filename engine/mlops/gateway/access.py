"""Access control: public paths, the API key, and the parsing of paths."""

import hmac
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from starlette.types import Scope

from mlops.gateway.refusals import Refusal

if TYPE_CHECKING:
    from mlops.serving.settings import Settings

PUBLIC = frozenset(
    {
        "/", "/health/live", "/health/ready", "/metrics", "/model",
        "/v2/health/live", "/v2/health/ready",
        "/docs", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/openapi.json",
    }
)  # fmt: skip
"""Paths that GET and HEAD may request without the key; all others need it, even unknown ones."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

Headers = Mapping[bytes, bytes]


class Door:
    """Parses paths, and checks the key.

    A path is public only if the decoded path is exactly one of PUBLIC. Routes match no other
    spelling, except with a final newline, and paths with control characters are rejected.
    """

    def __init__(self, settings: "Settings") -> None:
        self._root = settings.root_path
        self._key = settings.api_key and settings.api_key.get_secret_value().encode()

    def path(self, scope: Scope) -> str:
        """Return the path below the root path, and write both into the scope.

        A proxy may strip its prefix or keep it; ASGI requires it in the scope's path.
        """
        path: str = scope["path"]
        if not (root := self._root):
            return path
        if path == root or path.startswith(f"{root}/"):
            path = path[len(root) :]
        scope["root_path"], scope["path"] = root, root + path
        return path

    def check(self, scope: Scope, path: str, headers: Headers) -> None:
        """Check a request's path and key.

        Raises:
            Refusal: the path has a control character, or the key is missing.
        """
        if not path.isprintable() and _CONTROL.search(path):
            raise Refusal(404, "Not Found: the path contains a control character")
        if self._key and not (path in PUBLIC and scope["method"] in ("GET", "HEAD")):
            self.check_key(headers)

    def check_key(self, headers: Headers) -> None:
        """Check the key, if one is set.

        Raises:
            Refusal: it is missing or wrong.
        """
        if self._key and not hmac.compare_digest(headers.get(b"x-api-key", b""), self._key):
            raise Refusal(401, "wanted the API key in the header X-API-Key")


def check_encoding(body: bytes, headers: Headers) -> None:
    """Check that a body is not compressed.

    Raises:
        Refusal: it is compressed.
    """
    encoding = headers.get(b"content-encoding", b"").strip().lower()
    if body and encoding not in (b"", b"identity"):
        wanted = "content-encoding: wanted none; send the body uncompressed"
        raise Refusal(415, wanted, (b"accept-encoding", b"identity"))


def near(path: str, known: Iterable[str]) -> str | None:
    """Return the known path that differs from this one only in slashes and case, if any."""
    wanted = _plain(path)
    return next((name for name in known if _plain(name) == wanted and name != path), None)


def _plain(path: str) -> str:
    return "/".join(filter(None, path.lower().split("/")))


def without_host(headers: Iterable[tuple[bytes, bytes]], host: bytes) -> list[tuple[bytes, bytes]]:
    """Make redirects relative: `Host` is set by the client, and may name any other host."""
    kept = []
    for name, value in headers:
        for scheme in (b"http://", b"https://"):
            if name.lower() == b"location" and host and value.startswith(scheme + host):
                value = b"/" + value[len(scheme + host) :].lstrip(b"/\\")
        kept.append((name, value))
    return kept
