"""List files of the template that were edited here. Standard library and git only.

`engine/FILES.sha256`, in the format of sha256sum, lists the files that a template update replaces.
Exit code of `python -m mlops.integrity`: 0 if engine and workflows are unchanged, 1 if not. The
template's developers rewrite the list: `python -m mlops.integrity --write`.
"""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from mlops.errors import UserError, run_command

LIST = Path("engine/FILES.sha256")
ENGINE = ("engine/", ".github/")
"""The folders that the engine's tests cover."""

_MANAGED = (
    *ENGINE,
    *(".ci/", ".devcontainer/", "deploy/", "docs/", "requirements", ".dvc/"),
    *(".dockerignore", ".dvcignore", ".gitattributes", ".gitignore", ".pre-commit-config.yaml"),
    *("CONTRIBUTING.md", "Dockerfile", "Makefile", "SECURITY.md", "pyproject.toml"),
)


def managed(root: Path = Path()) -> Iterator[str]:
    """Yield the names of the files in git that a template update replaces, sorted.

    Raises:
        UserError: git fails; the message is its own.
    """
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True)
    if listed.returncode:
        raise UserError(f"git ls-files: {listed.stderr.strip()}")
    for name in sorted(listed.stdout.split("\0")):
        if is_managed(name) and (root / name).is_file():
            yield name


def is_managed(name: str) -> bool:
    """Return whether a template update replaces a file."""
    return name.startswith(_MANAGED) and name != LIST.as_posix()


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def recorded(text: str) -> dict[str, str]:
    """Parse a list into name -> hash."""
    lines = (line.partition("  ") for line in text.splitlines())
    return {name: found for found, _, name in lines}


def edited(root: Path = Path(), under: tuple[str, ...] = ENGINE) -> list[str]:
    """List the files under some folders that differ from the template's, or are not in it.

    Missing files are not listed: adoption removes files that only the template needs.
    """
    listed = root / LIST
    known = recorded(listed.read_text(encoding="utf-8")) if listed.exists() else {}
    present = [name for name in managed(root) if name.startswith(under)]
    return [name for name in present if known.get(name) != sha256(root / name)]


def write(root: Path = Path()) -> None:
    """Write the list with the current hashes."""
    lines = (f"{sha256(root / name)}  {name}\n" for name in managed(root))
    (root / LIST).write_text("".join(lines), encoding="utf-8")


def main() -> int:
    if sys.argv[1:] == ["--write"]:
        write()
        return 0
    found = edited()
    lines = ["Edited here:", *found] if found else ["Engine and workflows are unchanged."]
    print("\n".join(lines))
    return 1 if found else 0


if __name__ == "__main__":
    run_command(main)
