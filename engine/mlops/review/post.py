"""Post a review as the one comment of its pull request. Standard library, `gh` and `cml` only.

Runs with the right to comment, on the default branch's code. The report comes from a pull request's
run and is hostile text; which pull request it belongs to is asked of GitHub, never of the report.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from mlops.github import BOT as AUTHOR
from mlops.github import SECONDS, GitHubRefused, api
from mlops.review.comment_target import find_pull
from mlops.review.markup import CHART

TITLE = "model-review"
"""CML finds its own comment again by this title."""

MOST_BYTES = 60_000
_MOST_READ = 1_000_000
_PAGES = 100

# Control characters (but tab and line feed), and those that reverse the direction of text.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def harmless(text: str) -> str:
    """Leave tables, emphasis, folds and the charts of markup; take the power out of all else.

    No mention, reference, link, image, comment or HTML element survives as such.
    """
    text = _UNSEEN.sub("", text)
    charts = iter(CHART.findall(text))
    return "".join(
        part for plain in CHART.split(text) for part in (_powerless(plain), next(charts, ""))
    )


def _powerless(text: str) -> str:
    text = re.sub(r"<(?!/?(?:details|summary)>)", "&lt;", text)
    # GitHub looks for mentions when entities have become characters, and backslashes have gone.
    text = re.sub(r"&(?!(?:lt|gt|amp);)(?=\w+;)", "&amp;", text)
    text = re.sub(r"(?m)^(\s*(?:`{3,}|~{3,})).*$", r"\1", text)  # a fence may name a renderer
    text = re.sub(r"([@#])(?=\w)", "\\1\u200b", text)
    text = re.sub(r"(?i)\b((?:https?|ftp|mailto|www)(?=[:.])|gh(?=-\d))", "\\1\u200b", text)
    return re.sub(r"(!(?=\[)|\](?=[(:]))", "\\1\u200b", text)


def bounded(text: str, link: str) -> str:
    """Cut at the end of a paragraph, so that the comment stays under GitHub's limit."""
    if len(text.encode()) <= MOST_BYTES:
        return text
    kept = text.encode()[:MOST_BYTES].decode(errors="ignore").rpartition("\n\n")[0]
    open_folds = kept.count("<details>") - kept.count("</details>")
    return f"{kept}\n\n" + "</details>\n" * open_folds + f"\nThe report is longer: see {link}.\n"


def comment_text(folder: Path, run: dict[str, Any]) -> str:
    """Make the comment from what the run left, or say that it left nothing."""
    link = f"[the run]({run['html_url']})"
    report = folder / "report.md"
    if report.is_symlink() or not report.is_file():
        return f"## ❌ The review did not finish\n\nSee {link} for what went wrong.\n"
    with report.open("rb") as file:
        text = file.read(_MOST_READ).decode("utf-8", errors="replace")
    return bounded(harmless(text), link) + f"\nPlots and the whole report are in {link}.\n"


def post(text: str, number: int, sha: str, repository: str) -> str:
    """Update or create the comment through CML, or where that can't be through `gh`; say which."""
    report = Path(os.environ["RUNNER_TEMP"]) / "comment.md"
    report.write_text(text, encoding="utf-8")
    try:
        if any(comment["user"]["login"] != AUTHOR for comment in _marked(number, repository)):
            raise OSError("somebody else's comment has CML's mark, and it would overwrite that one")
        subprocess.run(
            ["cml", "comment", "update", "--publish=false", f"--watermark-title={TITLE}",
             f"--target=pr/{number}", str(report)],
            env=os.environ | {"GITHUB_SHA": sha, "ITERATIVE_DO_NOT_TRACK": "1"},
            check=True,
            timeout=SECONDS,
        )  # fmt: skip
        return "by CML"
    except (OSError, subprocess.SubprocessError) as error:
        mark = f'![](https://cml.dev/watermark.png#{sha} "CML watermark {TITLE}")'
        report.write_text(f"{text}\n\n{mark}", encoding="utf-8")
        mine = _own(number, repository)
        where = f"comments/{mine[-1]['id']}" if mine else f"{number}/comments"
        method = "PATCH" if mine else "POST"
        api(f"repos/{repository}/issues/{where}", "--method", method, "-F", f"body=@{report}")
        missing = isinstance(error, FileNotFoundError)
        return f"by gh, since CML {'is not installed' if missing else f'failed: {error}'}"


def is_told(pull: dict[str, Any], sha: str, repository: str) -> bool:
    """Tell whether the review of the lock job's commit was posted before that of its parent."""
    head = pull["head"]["sha"]
    return head != sha and any(
        f"watermark.png#{head} " in comment["body"] for comment in _own(pull["number"], repository)
    )


def remove_duplicates(number: int, repository: str) -> None:
    """Keep the newest of our comments: CML looks through 30 only, and posts anew beyond them."""
    for comment in _own(number, repository)[:-1]:
        api(f"repos/{repository}/issues/comments/{comment['id']}", "--method", "DELETE")


def _own(number: int, repository: str) -> list[dict[str, Any]]:
    """List our comments, the latest written last."""
    mine = [c for c in _marked(number, repository) if c["user"]["login"] == AUTHOR]
    return sorted(mine, key=lambda comment: (comment["updated_at"], comment["id"]))


def _marked(number: int, repository: str) -> list[dict[str, Any]]:
    """List the comments that have CML's mark; anyone may plant it in theirs."""
    found = []
    for page in range(1, _PAGES + 1):
        path = f"repos/{repository}/issues/{number}/comments?per_page=100&page={page}"
        comments = api(path)
        found += [comment for comment in comments if f"CML watermark {TITLE}" in comment["body"]]
        if len(comments) < 100:
            break
    return found


def main(folder: Path) -> int:
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    run, repository = event["workflow_run"], os.environ["GITHUB_REPOSITORY"]
    try:
        pull = find_pull(run, repository, folder)
        if pull is None or is_told(pull, run["head_sha"], repository):
            print("No open pull request has this commit as its newest: nothing to say.")
            return 0
        number = pull["number"]
        how = post(comment_text(folder, run), number, run["head_sha"], repository)
        remove_duplicates(number, repository)
    except GitHubRefused as error:
        return _end(f"The comment could not be posted: {error}", 1)
    return _end(f"Posted to pull request {number} {how}.", 0)


def _end(told: str, code: int) -> int:
    """Say how it ended in the log and in the run's summary."""
    print(told, file=sys.stderr if code else sys.stdout)
    with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as summary:
        summary.write(f"{harmless(told)}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
