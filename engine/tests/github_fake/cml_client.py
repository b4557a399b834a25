"""Call GitHub's API as CML does: always https://HOST/api/v3, whatever GITHUB_API_URL says."""

import json
import os
import ssl
import subprocess
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


class CmlError(Exception):
    """Stop with the message that CML would print."""


@dataclass(frozen=True)
class Client:
    """Hold the repository's address and the token."""

    repository: str
    token: str

    @classmethod
    def from_environment(cls) -> "Client":
        """Find repository and token where CML looks for them."""
        repository = os.environ.get("CML_REPO") or _remote()
        names = ("REPO_TOKEN", "repo_token", "GITHUB_TOKEN")
        token = next((os.environ[name] for name in names if os.environ.get(name)), "")
        if not token:
            raise CmlError("token not found")
        return cls(repository.rstrip("/").removesuffix(".git"), token)

    def identify(self) -> None:
        """Ask who acts, as CML does before every command; a failure does not matter."""
        actor = os.environ.get("GITHUB_ACTOR")
        if os.environ.get("CI") and actor:
            with suppress(CmlError):
                self._send("GET", f"/users/{actor}")

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call an address below the repository's."""
        name = urlsplit(self.repository).path
        return self._send(method, f"/repos{name}{path}", body)

    def git_url(self) -> str:
        """Return the push address, token inside, as CML leaves it in the clone."""
        scheme, rest = self.repository.split("://", 1)
        return f"{scheme}://token:{self.token}@{rest}.git"

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        """Send one call and return the decoded answer."""
        host = urlsplit(self.repository).netloc
        base = "https://api.github.com" if host == "github.com" else f"https://{host}/api/v3"
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"token {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(base + path, data, headers, method=method)
        # The real one is a Node program: it trusts what Node trusts.
        context = ssl.create_default_context(cafile=os.environ.get("NODE_EXTRA_CA_CERTS"))
        try:
            with urllib.request.urlopen(request, timeout=30, context=context) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise CmlError(_message(error.read())) from None
        except urllib.error.URLError as error:
            message = f"request to {base + path} failed, reason: {error.reason}"
            raise CmlError(message) from None


def _message(raw: bytes) -> str:
    """Return the message of a refusal, with the reasons, as Octokit words it."""
    answer = json.loads(raw)
    reasons = ", ".join(json.dumps(one, separators=(",", ":")) for one in answer.get("errors", []))
    return f"{answer['message']}: {reasons}" if reasons else str(answer["message"])


def _remote() -> str:
    """Return the clone's address; without a clone and CML_REPO there is none."""
    command = ["git", "config", "--get", "remote.origin.url"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CmlError(f"Command failed: {' '.join(command)}")
    return done.stdout.strip()
