"""Run the workflows of a pull request on this machine, by act: that of the work tree into BASE.

GitHub and its actions are replaced by engine/tests/github_fake; all that the workflows run is real,
from setting up to the review. Uncommitted edits of tracked files are part of the pull request. Exit
code: that of the workflow. Usage: python engine/tests/ci.py [BASE]
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from github_fake import events
from github_fake.act import run_workflow
from github_fake.api import GitHub
from github_fake.origin import git
from paths import ROOT

SECONDS = 3600


def own_git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


def main(base: str) -> int:
    head = own_git("stash", "create") or own_git("rev-parse", "HEAD")
    with (
        tempfile.TemporaryDirectory(prefix="mlops-ci-") as folder,
        GitHub(ROOT, Path(folder) / "github") as github,
    ):
        own_git("push", "--quiet", "--force", str(github.origin), f"{head}:refs/heads/change")
        git(github.origin, "update-ref", "refs/heads/main", own_git("merge-base", base, "HEAD"))
        number = github.open_pull("change").number
        print("Running pull-request.yml, from setting up on; that takes some minutes …")
        event = events.pull_request(github, number)
        run = run_workflow(github, "pull-request.yml", event, timeout=SECONDS)
        posted = run_workflow(github, "comment.yml", events.workflow_run(github, run))
        print(run.log if run.rc else "", posted.log if posted.rc else "")
        print(run.summaries.get("review", ""))
        print("Jobs:", ", ".join(f"{name} {end}" for name, end in (run.jobs | posted.jobs).items()))
        return run.rc or posted.rc


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "HEAD"))
