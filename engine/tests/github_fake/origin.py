"""Keep the bare repository that stands for the one on GitHub."""

import os
import subprocess
from pathlib import Path

BOT = ("-c", "user.name=github-actions[bot]", "-c", "user.email=bot@localhost")


# A push by a workflow's own token may not touch workflow files; GitHub says it in these words.
PRE_RECEIVE = """#!/bin/sh
test "$FAKE_WORKFLOWS" = write && exit 0
while read -r old new ref; do
  touched=$(git diff --name-only "HEAD...$new" -- .github/workflows | head -n 1)
  test -z "$touched" && continue
  echo "refusing to allow a GitHub App to create or update workflow" >&2
  echo "\\`$touched\\` without \\`workflows\\` permission" >&2
  exit 1
done
"""


def git_bytes(folder: Path, *arguments: str, stdin: bytes | None = None, index: str = "") -> bytes:
    """Run git in a folder and return exactly what it printed."""
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *BOT, "-C", str(folder), *arguments],
        input=stdin,
        capture_output=True,
        env=variables | ({"GIT_INDEX_FILE": index} if index else {}),
        timeout=60,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise RuntimeError(f"git {' '.join(arguments)} failed in {folder}: {said}")
    return done.stdout


def git(folder: Path, *arguments: str, stdin: bytes | None = None, index: str = "") -> str:
    """Run git in a folder and return what it printed, as text without the last newlines."""
    printed = git_bytes(folder, *arguments, stdin=stdin, index=index)
    return printed.decode(errors="replace").rstrip("\n")


def resolve(bare: Path, revision: str) -> str | None:
    """Return the commit that a revision names, or nothing."""
    try:
        return git(bare, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    except RuntimeError:
        return None


def is_bare(folder: Path) -> bool:
    """Tell whether a folder is a bare repository."""
    return git(folder, "rev-parse", "--is-bare-repository") == "true"


def bare_clone(repository: Path, target: Path) -> Path:
    """Clone a work tree into a bare repository that serves pushes and single commits."""
    git(repository, "clone", "--quiet", "--bare", "--no-hardlinks", str(repository), str(target))
    git(target, "config", "http.receivepack", "true")
    # GitHub serves any commit that it still has, by its hash.
    git(target, "config", "uploadpack.allowAnySHA1InWant", "true")
    hook = target / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(PRE_RECEIVE)
    hook.chmod(0o755)
    return target


def merge_commit(bare: Path, number: int, base: str, head: str) -> str:
    """Make refs/pull/N/head and refs/pull/N/merge as GitHub does, and return the merge."""
    git(bare, "update-ref", f"refs/pull/{number}/head", head)
    try:
        tree = git(bare, "merge-tree", "--write-tree", base, head).splitlines()[0]
    except RuntimeError as error:
        # GitHub starts no pull_request workflow then, which is no result a test can use.
        raise ValueError(f"pull request {number} conflicts with its base: {error}") from error
    title = f"Merge {head} into {base}"
    merged = git(bare, "commit-tree", tree, "-p", base, "-p", head, "-m", title)
    git(bare, "update-ref", f"refs/pull/{number}/merge", merged)
    return merged


def import_fork(bare: Path, fork: Path, head: str) -> None:
    """Bring a fork's commits into the object store, as GitHub's shared network does."""
    git(bare, "fetch", "--quiet", str(fork), head)


def checkout(bare: Path, commit: str, target: Path) -> Path:
    """Clone one commit into a work tree, detached."""
    git(bare, "clone", "--quiet", "--no-checkout", str(bare), str(target))
    git(target, "fetch", "--quiet", "origin", commit)
    git(target, "checkout", "--quiet", "--detach", commit)
    return target


def write_file(
    bare: Path, branch: str, path: str, content: bytes, message: str, author: str = "octocat"
) -> str:
    """Commit one file to a branch without a work tree, and return the commit."""
    who = ("-c", f"user.name={author}", "-c", f"user.email={author}@localhost")
    parent = git(bare, "rev-parse", f"refs/heads/{branch}")
    index = str(bare / "fake-index")
    git(bare, "read-tree", parent, index=index)
    blob = git(bare, "hash-object", "-w", "--stdin", stdin=content)
    git(bare, "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", index=index)
    tree = git(bare, "write-tree", index=index)
    Path(index).unlink()
    commit = git(bare, *who, "commit-tree", tree, "-p", parent, "-m", message)
    git(bare, "update-ref", f"refs/heads/{branch}", commit, parent)
    return commit
