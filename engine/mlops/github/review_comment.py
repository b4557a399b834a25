"""Post a review as the one comment of its pull request.

Runs with permission to comment, on the default branch's code. The report comes from a pull
request's run and is untrusted text, which `sanitize` has rewritten; its pull request is looked up
on GitHub, never in the report.

Usage: python -m mlops.github.review_comment outdated, as soon as there is a newer review, then
python -m mlops.github.review_comment COMMENT
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from mlops.errors import run_command
from mlops.github.comment_target import find_pull
from mlops.github.gh_api import BOT as AUTHOR
from mlops.github.gh_api import SECONDS, GitHubRefused, api
from mlops.review.github_markdown import plain

TITLE = "model-review"
"""CML finds its own comment by this title."""

_PAGES = 100


def comment_text(comment: Path, run: dict[str, Any]) -> str:
    """Return the comment from the output of `sanitize`, or a notice that the review failed."""
    link = f"[the run]({run['html_url']})"
    if not comment.is_file():
        return f"## ❌ The review did not finish\n\nSee {link} for what went wrong.\n"
    text = comment.read_text(encoding="utf-8")
    return f"{text}\nPlots and the whole report are in {link}.\n"


def mark_outdated(number: int, run: dict[str, Any], repository: str) -> None:
    """Replace our comment until the new one is posted, so that no old verdict stays on failure."""
    link = f"[this run]({run['html_url']})"
    text = (
        f"## ⏳ Out of date\n\nCommit {run['head_sha'][:10]} has been reviewed since: see {link}. "
        "Its report will appear here as soon as it is posted.\n"
    )
    for comment in _own(number, repository)[-1:]:
        path = f"repos/{repository}/issues/comments/{comment['id']}"
        api(path, "--method", "PATCH", body={"body": text + _mark(run["head_sha"])})


def _mark(sha: str) -> str:
    """Return the mark by which CML finds its own comment."""
    return f'\n\n![](https://cml.dev/watermark.png#{sha} "CML watermark {TITLE}")'


def post(text: str, number: int, sha: str, repository: str) -> str:
    """Update or create the comment with CML, or with `gh` if that fails; return how."""
    report = Path(os.environ["RUNNER_TEMP"]) / "comment.md"
    report.write_text(text, encoding="utf-8")
    try:
        if any(comment["user"]["login"] != AUTHOR for comment in _marked(number, repository)):
            raise OSError("a comment by another author has CML's mark, and CML would overwrite it")
        subprocess.run(
            ["cml", "comment", "update", "--publish=false", f"--watermark-title={TITLE}",
             f"--target=pr/{number}", str(report)],
            env=os.environ | {"GITHUB_SHA": sha, "ITERATIVE_DO_NOT_TRACK": "1"},
            check=True,
            timeout=SECONDS,
        )  # fmt: skip
        return "by CML"
    except (OSError, subprocess.SubprocessError) as error:
        report.write_text(text + _mark(sha), encoding="utf-8")
        mine = _own(number, repository)
        where = f"comments/{mine[-1]['id']}" if mine else f"{number}/comments"
        method = "PATCH" if mine else "POST"
        api(f"repos/{repository}/issues/{where}", "--method", method, "-F", f"body=@{report}")
        missing = isinstance(error, FileNotFoundError)
        return f"by gh, because CML {'is not installed' if missing else f'failed: {error}'}"


def is_told(pull: dict[str, Any], sha: str, repository: str) -> bool:
    """Return whether the lock job's commit on top of `sha` already has its review posted."""
    head = pull["head"]["sha"]
    return head != sha and any(
        f"watermark.png#{head} " in comment["body"] for comment in _own(pull["number"], repository)
    )


def remove_duplicates(number: int, repository: str) -> None:
    """Delete all but our newest comment: CML looks only through 30, then posts a new one."""
    for comment in _own(number, repository)[:-1]:
        api(f"repos/{repository}/issues/comments/{comment['id']}", "--method", "DELETE")


def _own(number: int, repository: str) -> list[dict[str, Any]]:
    """List our comments, the last updated one last."""
    mine = [c for c in _marked(number, repository) if c["user"]["login"] == AUTHOR]
    return sorted(mine, key=lambda comment: (comment["updated_at"], comment["id"]))


def _marked(number: int, repository: str) -> list[dict[str, Any]]:
    """List the comments that have CML's mark, which anyone can put in a comment."""
    found = []
    for page in range(1, _PAGES + 1):
        path = f"repos/{repository}/issues/{number}/comments?per_page=100&page={page}"
        comments = api(path)
        found += [comment for comment in comments if f"CML watermark {TITLE}" in comment["body"]]
        if len(comments) < 100:
            break
    return found


def main(command: str) -> int:
    """Mark the comment as outdated, or post the one in the file that `command` names."""
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    run, repository = event["workflow_run"], os.environ["GITHUB_REPOSITORY"]
    try:
        pull = find_pull(run, repository, Path(os.environ["RUNNER_TEMP"]) / "review")
        if pull is None or is_told(pull, run["head_sha"], repository):
            print("No open pull request has this commit as its newest: nothing to post.")
            return 0
        number = pull["number"]
        if command == "outdated":
            mark_outdated(number, run, repository)
            return 0
        how = post(comment_text(Path(command), run), number, run["head_sha"], repository)
        remove_duplicates(number, repository)
    except GitHubRefused as error:
        return _end(f"The comment could not be posted: {error}", 1)
    return _end(f"Posted to pull request {number} {how}.", 0)


def _end(told: str, code: int) -> int:
    """Write the outcome to the log and to the run's summary; return the exit code."""
    print(told, file=sys.stderr if code else sys.stdout)
    with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as summary:
        summary.write(f"{plain(told)}\n")
    return code


if __name__ == "__main__":
    run_command(lambda: main(sys.argv[1]))
