"""Prepare a pull request with newer libraries: the changed versions and the model's review.

Run after `make lock UPGRADE=1` and `make run`. Writes files, text and decision for
`mlops.github.bot_pull_request`. Usage: python -m mlops.github.library_updates FOLDER
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from mlops.errors import UserError, run_command
from mlops.paths import REVIEW

LOCKS = "requirements*.txt"
TITLE = "Update the locked libraries"


def pins(text: str) -> dict[str, str]:
    """Return the version of each library that a requirements file locks."""
    return dict(re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;]+)", text, re.MULTILINE))


def newer(old: dict[str, str], new: dict[str, str]) -> list[tuple[str, str, str]]:
    """List (name, old, new) for each changed version; an empty one if it is not locked."""
    names = sorted(old.keys() | new.keys())
    pairs = [(name, old.get(name, ""), new.get(name, "")) for name in names]
    return [line for line in pairs if line[1] != line[2]]


def committed(root: Path, name: str) -> str:
    """Read a file of the last commit; empty if it doesn't exist there."""
    git = ["git", "-C", str(root), "show", f"HEAD:{name}"]
    return subprocess.run(git, capture_output=True, text=True, encoding="utf-8").stdout


def describe(changes: list[tuple[str, str, str]], report: str) -> str:
    """Return the pull request's text: the versions, and the review of the model with them."""
    rows = [f"| {name} | {old or 'new'} | {new or 'removed'} |" for name, old, new in changes]
    table = "\n".join(["| library | locked | now |", "|---|---|---|", *rows])
    return (
        f"Made by `make lock UPGRADE=1`, without releases of the last week.\n\n{table}\n\n{report}"
    )


def leave(root: Path, folder: Path) -> str:
    """Write the input of `bot_pull_request` to `folder`, and return a summary.

    Raises:
        UserError: the pipeline has not run with the newer libraries.
    """
    old: dict[str, str] = {}
    new: dict[str, str] = {}
    for path in sorted(root.glob(LOCKS)):
        old |= pins(committed(root, path.name))
        new |= pins(path.read_text(encoding="utf-8"))
    changes, files = newer(old, new), folder / "files"
    decision = {"propose": bool(changes), "title": TITLE, "why": "no library is newer"}
    report = root / REVIEW / "report.md"
    if changes and not report.exists():
        raise UserError(f"{report}: not found", advice="Review the model with them: make run")
    files.mkdir(parents=True, exist_ok=True)
    if changes:
        for path in [*root.glob(LOCKS), root / "dvc.lock"]:
            if path.read_text(encoding="utf-8") != committed(root, path.name):
                shutil.copy(path, files)
        text = describe(changes, report.read_text(encoding="utf-8"))
        (folder / "body.md").write_text(text, encoding="utf-8")
    (folder / "decision.json").write_text(json.dumps(decision), encoding="utf-8")
    return f"{len(changes)} libraries are newer"


def main() -> None:
    print(leave(Path(), Path(sys.argv[1])))


if __name__ == "__main__":
    run_command(main)
