"""Serve the bare repository over git's smart HTTP, by git's own back end."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from github_fake.web import Answer, Token

SERVICES = ("/info/refs", "/git-upload-pack", "/git-receive-pack")


def is_git_path(path: str) -> bool:
    """Tell whether a path belongs to git and not to the API."""
    return path.endswith(SERVICES)


def serve(
    origin: Path,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
    token: Token | None,
) -> Answer:
    """Answer one git request, after the checks that GitHub makes."""
    if token is None:
        challenge = {"WWW-Authenticate": 'Basic realm="GitHub"', "Content-Type": "text/plain"}
        return Answer(401, b"Authentication required", challenge)
    pushing = "git-receive-pack" in (path + query)
    if not token.may("contents", "write" if pushing else "read"):
        message = f"Permission to {origin.stem} denied to {token.login}."
        return Answer(403, message.encode(), {"Content-Type": "text/plain"})
    service = next(one for one in SERVICES if path.endswith(one))
    variables = {
        "PATH": os.environ["PATH"],
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        "HOME": str(origin),
        "REQUEST_METHOD": method,
        "PATH_TRANSLATED": f"{origin}{service}",
        "PATH_INFO": service,
        "QUERY_STRING": query,
        "REMOTE_USER": token.login,
        "CONTENT_TYPE": headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": headers.get("Content-Encoding", ""),
        "GIT_PROTOCOL": headers.get("Git-Protocol", ""),
        "FAKE_WORKFLOWS": token.permissions.get("workflows", "none"),
    }
    done = subprocess.run(
        ["git", "http-backend"],
        input=body, env=variables, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    return _parse(done.stdout)


def _parse(printed: bytes) -> Answer:
    """Split what the CGI printed into status, headers and body."""
    head, _, body = printed.partition(b"\r\n\r\n")
    pairs = [line.partition(": ") for line in head.decode().splitlines()]
    headers = {name: value for name, _, value in pairs}
    status = int(headers.pop("Status", "200").split()[0])
    return Answer(status, body, headers)
