"""Open or update the one pull request of a retraining, or of newer libraries.

Runs with write permission. Pushes only to its own branch.

Usage: python -m mlops.github.bot_pull_request FOLDER [BRANCH]
"""

import base64
import os
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

from mlops.errors import run_command
from mlops.files import read_json
from mlops.github.gh_api import BOT, GitHubRefused, api, start_checks
from mlops.github.monitor_issue import BRANCH
from mlops.paths import FEEDBACK

LIBRARIES = "update/libraries"
FILES = {BRANCH: ("*",), LIBRARIES: ("requirements*.txt", "dvc.lock")}
"""Files that each branch accepts; few from the job that ran newer, untested libraries."""
NAME, EMAIL = BOT, "41898282+github-actions[bot]@users.noreply.github.com"
MOST_BYTES = 60_000
NOT_PERMITTED = (
    "the branch {branch} is pushed, but workflows may not open pull requests here. Run `make "
    'github`, or turn on "Allow GitHub Actions to create and approve pull requests" under '
    "Settings, Actions, General, and run this job again; or open it by hand. See docs/github.md"
)


class NotProposed(Exception):
    """The pull request could not or must not be opened; the message says why."""


def git(*arguments: str) -> str:
    """Run git; the token is passed in the environment and not written to any file.

    Raises:
        NotProposed: git failed.
    """
    token = base64.b64encode(f"x-access-token:{os.environ['REPO_TOKEN']}".encode()).decode()
    settings = {"user.name": NAME, "user.email": EMAIL}
    settings[f"http.{os.environ['GITHUB_SERVER_URL']}/.extraheader"] = (
        f"Authorization: Basic {token}"
    )
    variables = {"GIT_CONFIG_COUNT": str(len(settings))}
    for place, (key, value) in enumerate(settings.items()):
        variables |= {f"GIT_CONFIG_KEY_{place}": key, f"GIT_CONFIG_VALUE_{place}": value}
    run = subprocess.run(
        ["git", *arguments], env=os.environ | variables, capture_output=True, text=True
    )
    if run.returncode:
        raise NotProposed(f"git {arguments[0]}: {run.stderr.strip()}")
    return run.stdout.strip()


def push(files: Path, title: str, url: str, here: str, branch: str) -> None:
    """Commit the files on top of the run's commit, and force-push that to the branch.

    Raises:
        NotProposed: a commit of somebody else on the branch would be lost; or the branch does not
            accept a file.
    """
    paths = [str(path.relative_to(files)) for path in sorted(files.rglob("*")) if path.is_file()]
    wrong = [path for path in paths if not any(fnmatch(path, one) for one in FILES[branch])]
    if wrong:
        raise NotProposed(f"{branch} accepts {', '.join(FILES[branch])}, not {', '.join(wrong)}")
    if git("ls-remote", url, f"refs/heads/{branch}"):
        git("fetch", "--quiet", url, f"refs/heads/{branch}")
        tip, author = git("log", "-1", "--format=%H %ae", "FETCH_HEAD").split()
        if author != EMAIL and not _is_left_over(tip, here, branch):
            raise NotProposed(
                f"{author} has commits on {branch}: merge or close its pull request first"
            )
    if branch == BRANCH:
        # Feedback that the source now contains is no longer in a partition of its own.
        git("rm", "--quiet", "--ignore-unmatch", "--", f"*/{FEEDBACK}")
    shutil.copytree(files, Path(), dirs_exist_ok=True)
    git("add", "--", *paths)
    git("commit", "--quiet", "--message", title)
    git("push", "--force", url, f"HEAD:refs/heads/{branch}")


def _is_left_over(tip: str, here: str, branch: str) -> bool:
    """Return whether the branch's commit is already in main or belongs to a closed pull request.

    "Update branch" makes a person the author of the branch's last commit.
    """
    if not git("rev-list", "--max-count=1", tip, "^HEAD"):
        return True
    owner = here.split("/")[1]
    closed = api(f"{here}/pulls?state=closed&head={owner}:{branch}&per_page=100")
    return any(pull["head"]["sha"] == tip for pull in closed)


def open_pull(title: str, body: str, here: str, branch: str) -> int:
    """Open the pull request, or update the text of the open one; return its number.

    Raises:
        NotProposed: this repository doesn't let workflows open pull requests.
        GitHubRefused: a call failed.
    """
    waiting = api(f"{here}/pulls?state=open&head={here.split('/')[1]}:{branch}")
    text = {"title": title, "body": body}
    if waiting:
        number = int(waiting[0]["number"])
        api(f"{here}/pulls/{number}", "--method", "PATCH", body=text)
        return number
    base = os.environ["GITHUB_REF_NAME"]
    try:
        # The list of pull requests may lag behind: use the number in this response.
        return int(api(f"{here}/pulls", body=text | {"head": branch, "base": base})["number"])
    except GitHubRefused as error:
        if "not permitted to create" in str(error):
            raise NotProposed(NOT_PERMITTED.format(branch=branch)) from error
        raise


def main() -> int:
    folder, repository = Path(sys.argv[1]), os.environ["GITHUB_REPOSITORY"]
    decision = read_json(folder / "decision.json")
    if not decision["propose"]:
        print(f"bot_pull_request: {decision['why']}: no pull request is opened")
        return 0
    text = (folder / "body.md").read_text(encoding="utf-8")
    body = text.encode()[:MOST_BYTES].decode(errors="ignore")
    title = decision.get("title") or f"Retrain on data up to {decision['until']}"
    branch, here = (sys.argv[2:] or [BRANCH])[0], f"repos/{repository}"
    try:
        url = f"{os.environ['GITHUB_SERVER_URL']}/{repository}.git"
        push(folder / "files", title, url, here, branch)
        number = open_pull(title, body, here, branch)
        if not os.environ.get("APP_TOKEN"):  # a push by an App starts them itself
            start_checks(here, branch, os.environ["GITHUB_REF_NAME"])
    except (NotProposed, GitHubRefused) as error:
        print(f"bot_pull_request: {error}", file=sys.stderr)
        with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as summary:
            summary.write(f"No pull request was opened: {error}\n")
        return 1
    print(f"bot_pull_request: pull request {number}")
    return 0


if __name__ == "__main__":
    run_command(main)
