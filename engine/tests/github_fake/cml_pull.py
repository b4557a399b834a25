"""Open a pull request as `cml pr create` does."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from github_fake.cml_client import Client, CmlError

NOTHING = "undefined"  # what CML prints when there is nothing to do; it exits 0 then


def create_pull(client: Client, options: argparse.Namespace) -> str:
    """Commit the paths if any, push the branch, open the pull request."""
    url = client.git_url()
    _git("config", "user.name", options.user_name)
    _git("config", "user.email", options.user_email)
    _git("remote", "set-url", "origin", url)
    changed = _changed()
    if options.paths and not changed:
        return _nothing("No changed files matched by glob path. Nothing to do.")
    paths = [path for path in changed if _below(path, options.paths)]
    if options.paths and not paths:
        return _nothing("Input files are not affected. Nothing to do.")
    sha = os.environ.get("GITHUB_SHA") or _git("rev-parse", "HEAD")
    if not _git("ls-remote", url, options.target_branch):
        raise CmlError("The target branch does not exist.")
    if options.branch in _git("ls-remote", url, options.branch):
        print(f"::warning::Branch {options.branch} already exists", file=sys.stderr)
        for pull in client.call("GET", "/pulls?state=open"):
            same_head = options.branch.endswith(pull["head"]["ref"])
            if same_head and options.target_branch.endswith(pull["base"]["ref"]):
                return str(pull["html_url"])
    else:
        _push(options, paths, sha)
    asked = {
        "head": options.branch,
        "base": options.target_branch,
        "title": options.title,
        "body": options.body,
    }
    return str(client.call("POST", "/pulls", asked)["html_url"])


def _push(options: argparse.Namespace, paths: list[str], sha: str) -> None:
    """Commit the paths on top of the run's commit, or take HEAD as it is, and push."""
    _git("fetch", "origin", sha)
    if paths:
        _git("checkout", "-B", options.target_branch, sha)
    _git("checkout", "-b", options.branch)
    if paths:
        message = options.message or f"CML PR for {sha[:8]} [skip ci]"
        _git("add", *paths)
        _git("commit", "-m", message)
    _git("push", "--set-upstream", "origin", options.branch)


def _changed() -> list[str]:
    """Return the changed and untracked paths of the work tree."""
    listed = _git("status", "--porcelain", "-u", "-z").split("\0")
    return [line[3:] for line in listed if line]


def _below(path: str, roots: list[str]) -> bool:
    """Tell whether a path is one of the given files or lies in one of the given folders."""
    return any(Path(root) in (Path(path), *Path(path).parents) for root in roots)


def _nothing(why: str) -> str:
    """Warn that there is nothing to do."""
    print(json.dumps({"level": "warn", "message": why}), file=sys.stderr)
    return NOTHING


def _git(*arguments: str) -> str:
    """Run git in the current folder."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CmlError(f"git,{','.join(arguments)}\n\t{done.stdout}\n\t{done.stderr}")
    return done.stdout.rstrip()
