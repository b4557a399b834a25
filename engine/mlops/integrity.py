"""Which files of the template somebody has edited here. Standard library and git only.

`engine/FILES.sha256`, in the form of sha256sum, lists what a later template replaces. Exit code of
`python -m mlops.integrity`: 0 if engine and workflows are as they came, 1 if not. The template's
developers rewrite the list: `python -m mlops.integrity --write`.
"""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from mlops.errors import UserError, run_command

LIST = Path("engine/FILES.sha256")
ENGINE = ("engine/", ".github/")
"""What the engine's tests are about."""

_MANAGED = (
    *ENGINE,
    *(".ci/", ".devcontainer/", "deploy/", "docs/", "requirements", ".dvc/"),
    *(".dockerignore", ".dvcignore", ".gitattributes", ".gitignore", ".pre-commit-config.yaml"),
    *("CONTRIBUTING.md", "Dockerfile", "Makefile", "SECURITY.md", "pyproject.toml"),
)


def managed(root: Path = Path()) -> Iterator[str]:
    """Yield the files that a later template replaces, by name, as git knows them.

    Raises:
        UserError: git refuses, in its own words.
    """
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True)
    if listed.returncode:
        raise UserError(f"git ls-files: {listed.stderr.strip()}")
    for name in sorted(listed.stdout.split("\0")):
        if is_managed(name) and (root / name).is_file():
            yield name


def is_managed(name: str) -> bool:
    """Tell whether a later template replaces a file."""
    return name.startswith(_MANAGED) and name != LIST.as_posix()


def sha256(path: Path) -> str:
    """Hash a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def recorded(text: str) -> dict[str, str]:
    """Read a list: name -> hash."""
    lines = (line.partition("  ") for line in text.splitlines())
    return {name: found for found, _, name in lines}


def edited(root: Path = Path(), under: tuple[str, ...] = ENGINE) -> list[str]:
    """List the files under some folders that are not as the template has them, or are not its own.

    What is missing is not listed: adoption removes what only the template needs.
    """
    listed = root / LIST
    known = recorded(listed.read_text(encoding="utf-8")) if listed.exists() else {}
    present = [name for name in managed(root) if name.startswith(under)]
    return [name for name in present if known.get(name) != sha256(root / name)]


def write(root: Path = Path()) -> None:
    """Record the files as they are."""
    lines = (f"{sha256(root / name)}  {name}\n" for name in managed(root))
    (root / LIST).write_text("".join(lines), encoding="utf-8")


def main() -> int:
    if sys.argv[1:] == ["--write"]:
        write()
        return 0
    found = edited()
    lines = ["Edited here:", *found] if found else ["Engine and workflows are as they came."]
    print("\n".join(lines))
    return 1 if found else 0


if __name__ == "__main__":
    run_command(main)
