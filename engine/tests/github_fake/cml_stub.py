"""Stand in for CML 0.20.6: exactly the command forms of our contract, and what it does then.

Only the standard library: steps run it under whatever python3 stands on PATH. Unlike the real
CML it gives up at once when the server says "slow down" (the real one waits 30 s and more, five
times), for a test's sake.
"""

import argparse
import datetime as dt
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

from github_fake.cml_client import Client, CmlError
from github_fake.cml_pull import create_pull

VERSION = "0.20.6"
SLUG = re.compile(r"[a-z0-9][a-z0-9-]*")


class _Parser(argparse.ArgumentParser):
    """Refuse as yargs does: help and a line on stderr, exit code 1."""

    def error(self, message: str) -> NoReturn:
        """Say what was wrong."""
        print(f"{self.format_help()}\n{message}", file=sys.stderr)
        raise SystemExit(1)


def _matching(pattern: str) -> Any:
    """Return a converter that takes only text of one form."""

    def convert(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise argparse.ArgumentTypeError(f"{text!r} is outside of our contract ({pattern})")
        return text

    return convert


def _parser() -> argparse.ArgumentParser:
    """Describe the contract."""
    parser = _Parser(prog="cml", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=VERSION)
    groups = parser.add_subparsers(required=True)

    def command(group: str, action: str, run: Any) -> argparse.ArgumentParser:
        inner = groups.add_parser(group, allow_abbrev=False).add_subparsers(required=True)
        leaf = inner.add_parser(action, allow_abbrev=False)
        leaf.set_defaults(run=run)
        return leaf

    comment = command("comment", "update", _comment_update)
    # Publishing sends images to a third party and rewrites Markdown: never by default.
    comment.add_argument("--publish", required=True, choices=["false"])
    comment.add_argument("--watermark-title", required=True, type=_matching(SLUG.pattern))
    comment.add_argument("--target", required=True, type=_matching(r"pr/[1-9]\d*"))
    comment.add_argument("file", type=Path)
    check = command("check", "create", _check_create)
    check.add_argument("--title", required=True)
    check.add_argument("--conclusion", required=True, choices=["success", "neutral", "failure"])
    check.add_argument("--head-sha", required=True, type=_matching("[0-9a-f]{40}"))
    check.add_argument("file", type=Path)
    pull = command("pr", "create", create_pull)
    for name in ("--branch", "--target-branch", "--title", "--body"):
        pull.add_argument(name, required=True)
    pull.add_argument("--message")
    pull.add_argument("--user-name", default="Olivaw[bot]")
    pull.add_argument("--user-email", default="olivaw@iterative.ai")
    pull.add_argument("paths", nargs="*")
    return parser


def _trigger_sha() -> str | None:
    """Return the commit that CML puts into its watermark."""
    if os.environ.get("GITHUB_EVENT_NAME") == "pull_request":
        event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text())
        return str(event["pull_request"]["head"]["sha"])
    if os.environ.get("GITHUB_SHA"):
        return os.environ["GITHUB_SHA"]
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def _comment_update(client: Client, options: argparse.Namespace) -> str:
    """Update the last comment with our watermark among the first page, or add one."""
    title = f"CML watermark {options.watermark_title}"
    sha = _trigger_sha()
    link = "https://cml.dev/watermark.png"
    mark = f'![]({link}{f"#{sha}" if sha else ""} "{title}")'
    known = re.compile(rf'!\[\]\({re.escape(link)}#[0-9a-fA-F]+ "{re.escape(title)}"\)')
    body = {"body": f"{options.file.read_text()}\n\n{mark}"}
    number = options.target.removeprefix("pr/")
    # One page only, as the real one: past 30 comments it no longer finds its own.
    comments = client.call("GET", f"/issues/{number}/comments")
    for comment in reversed(comments):
        if known.search(comment["body"]):
            answer = client.call("PATCH", f"/issues/comments/{comment['id']}", body)
            return str(answer["html_url"])
    return str(client.call("POST", f"/issues/{number}/comments", body)["html_url"])


def _check_create(client: Client, options: argparse.Namespace) -> None:
    """Report a finished check run."""
    now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    report = {
        "head_sha": options.head_sha,
        "started_at": now,
        "completed_at": now,
        "conclusion": options.conclusion,
        "status": "completed",
        "name": options.title,
        "output": {"title": options.title, "summary": options.file.read_text()},
    }
    client.call("POST", "/check-runs", report)


def main(arguments: list[str]) -> int:
    """Run one command as CML would."""
    options = _parser().parse_args(arguments)
    try:
        client = Client.from_environment()
        client.identify()
        said = options.run(client, options)
    except FileNotFoundError as error:
        return _fail(f"ENOENT: no such file or directory, open '{error.filename}'")
    except (CmlError, OSError) as error:
        return _fail(str(error))
    if said is not None:
        print(said)
    return 0


def _fail(message: str) -> int:
    """Say an error as CML does: one JSON line."""
    print(json.dumps({"level": "error", "message": message}), file=sys.stderr)
    return 1
