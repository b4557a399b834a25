"""Stand in for `gh api`, the only form of GitHub's command line that our scripts may use."""

import argparse
import json
import os
import re
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

TOKENS = ("GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN")
NO_LOGIN = """To get started with GitHub CLI, please run:  gh auth login
Alternatively, populate the GH_TOKEN environment variable with a GitHub API authentication token."""


def _parser() -> argparse.ArgumentParser:
    """Describe the flags that our scripts may use."""
    parser = argparse.ArgumentParser(prog="gh api", allow_abbrev=False)
    parser.add_argument("endpoint")
    parser.add_argument("-X", "--method")
    parser.add_argument("-f", "--raw-field", action="append", default=[])
    parser.add_argument("-F", "--field", action="append", default=[])
    parser.add_argument("-H", "--header", action="append", default=[])
    parser.add_argument("--input")
    parser.add_argument("--paginate", action="store_true")
    parser.add_argument("--silent", action="store_true")
    return parser


def _field(text: str) -> Any:
    """Convert a -F value as gh does: a file, true, false, null, a number, or text."""
    if text.startswith("@"):
        return sys.stdin.read() if text == "@-" else Path(text[1:]).read_text()
    if text in ("true", "false", "null") or re.fullmatch(r"-?\d+", text):
        return json.loads(text)
    return text


def _body(options: argparse.Namespace) -> bytes | None:
    """Build the body that is sent."""
    if options.input:
        return sys.stdin.buffer.read() if options.input == "-" else Path(options.input).read_bytes()
    fields = {name: value for name, _, value in (f.partition("=") for f in options.raw_field)}
    pairs = (field.partition("=") for field in options.field)
    fields |= {name: _field(value) for name, _, value in pairs}
    return json.dumps(fields).encode() if fields else None


def _address(endpoint: str) -> str:
    """Return the whole address: as given, or below the API of GH_HOST."""
    if endpoint.startswith("https://"):
        return endpoint
    host = os.environ.get("GH_HOST", "github.com")
    base = "https://api.github.com" if host == "github.com" else f"https://{host}/api/v3"
    return f"{base}/{endpoint.lstrip('/')}"


def _token(address: str) -> str | None:
    """Return the token for an address: GH_TOKEN goes to github.com only."""
    github = re.match(r"https://api\.github\.com/", address)
    names = ("GH_TOKEN", "GITHUB_TOKEN")
    if not github:
        names = ("GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN")
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def main(arguments: list[str]) -> int:
    """Run `gh --version` or `gh api …`."""
    if arguments == ["--version"]:
        print("gh version 2.0.0-stub")
        return 0
    if arguments[:1] != ["api"]:
        print(f"only `gh api` is in our contract, not {arguments}", file=sys.stderr)
        return 1
    options = _parser().parse_args(arguments[1:])
    body = _body(options)
    method = options.method or ("POST" if body is not None else "GET")
    address: str | None = _address(options.endpoint)
    if not any(os.environ.get(name) for name in TOKENS):
        print(NO_LOGIN, file=sys.stderr)
        return 4
    while address:
        try:
            address = _call(method, address, body, options)
        except urllib.error.HTTPError as error:
            with error:
                answer = error.read().decode()
            print(answer)
            message = json.loads(answer).get("message", "")
            print(f"gh: {message} (HTTP {error.code})", file=sys.stderr)
            return 1
        except urllib.error.URLError as error:
            print(f"error connecting to {address}: {error.reason}", file=sys.stderr)
            return 1
    return 0


def _call(method: str, address: str, body: bytes | None, options: argparse.Namespace) -> str | None:
    """Send one call, print the answer, return the next page's address if one is wanted."""
    request = urllib.request.Request(address, body, method=method)
    request.add_header("Content-Type", "application/json; charset=utf-8")
    for header in options.header:
        name, _, value = header.partition(":")
        request.add_header(name.strip(), value.strip())
    token = _token(address)
    if token:
        request.add_unredirected_header("Authorization", f"token {token}")
    with urllib.request.urlopen(request, timeout=30, context=ssl.create_default_context()) as got:
        content = got.read()
        following = re.search(r'<([^>]+)>; rel="next"', got.headers.get("Link", ""))
    if not options.silent:
        sys.stdout.buffer.write(content)
    return following[1] if following and options.paginate else None
