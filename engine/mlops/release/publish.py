"""Command publish: send a smoke-tested image to a registry; standard library and the engine only.

`push IMAGE NAME`: push the image, tagged with its commit alone, and print its digest.
`promote NAME@DIGEST`: move the tag of its model and then `latest` to it, and write the release
note; a tag that is already at a later commit is not moved, so `latest` never goes backwards.
"""

import os
import subprocess
import sys
from pathlib import Path

from mlops.errors import UserError, run_command
from mlops.release.container_engine import ask, contents, find_engine
from mlops.release.labels import DIRTY, Contents
from mlops.release.note import release_note

NOTE = Path("release-note.md")
_ABSENT = ("manifest unknown", "not found", "name unknown")


def push(engine: str, image: str, name: str) -> str:
    """Push an image, tagged with the commit that it was built from; return its address by digest.

    Raises:
        UserError: it was built from a dirty work tree, or the registry rejects it.
    """
    found = contents(engine, image)
    if found.commit.endswith(DIRTY):
        raise UserError(
            f"{image}: built from uncommitted changes",
            advice="Commit them, and rebuild the image: make image",
        )
    return _push(engine, image, f"{name}:sha-{found.commit}")


def promote(engine: str, address: str) -> tuple[str, list[str]]:
    """Move the tags to a pushed image; return the release note and the tags that were moved.

    Raises:
        UserError: the registry fails, or a tag refers to an image of an unrelated history.
    """
    name, _, _ = address.partition("@")
    ask(engine, "pull", "--quiet", address)
    new, old = contents(engine, address), _released(engine, f"{name}:latest")
    moved = []
    for tag in (f"model-{new.model}", "latest"):
        if _goes_backwards(new, _released(engine, f"{name}:{tag}")):
            print(f"publish: {tag} is already at a later commit, and is not moved")
            continue
        if (pushed := _push(engine, address, f"{name}:{tag}")) != address:
            raise UserError(f"{tag}: the registry has {pushed}, wanted {address}")
        moved.append(tag)
    return release_note(address, new, old), moved


def _push(engine: str, image: str, target: str) -> str:
    ask(engine, "tag", image, target)
    ask(engine, "push", target)
    name = target.rpartition(":")[0]
    found = ask(engine, "image", "inspect", '--format={{join .RepoDigests "\\n"}}', target)
    # RepoDigests omit the name of Docker's own registry.
    short = name.removeprefix("docker.io/").removeprefix("library/")
    for line in found.splitlines():
        where, _, digest = line.partition("@")
        if where in (name, short):
            return f"{name}@{digest}"
    raise UserError(f"{engine} reports no digest of {name}, only of: {found or 'nothing'}")


def _released(engine: str, target: str) -> Contents | None:
    """Read the labels of the image under a registry's tag; None if there is no such tag."""
    try:
        ask(engine, "pull", "--quiet", target)
    except UserError as error:
        if any(word in str(error) for word in _ABSENT):
            return None
        raise
    return contents(engine, target)


def _goes_backwards(new: Contents, old: Contents | None) -> bool:
    """Return whether the released commit comes after the new one."""
    if old is None or _is_before(old.commit, new.commit):
        return False
    if _is_before(new.commit, old.commit):
        return True
    raise UserError(
        f"The released commit {old.commit} is not in the history of {new.commit}",
        advice="If that is intended, move the tag by hand once",
    )


def _is_before(one: str, other: str) -> bool:
    run = subprocess.run(
        ["git", "merge-base", "--is-ancestor", one, other], capture_output=True, text=True
    )
    return run.returncode == 0


def _tell_workflow(**outputs: str) -> None:
    if path := os.environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in outputs.items())


def main() -> None:
    match sys.argv[1:]:
        case ["push", image, name]:
            address = push(find_engine(), image, name.lower())
            name, _, digest = address.partition("@")
            _tell_workflow(address=address, name=name, digest=digest)
            print(f"publish: pushed {address}")
        case ["promote", address]:
            note, moved = promote(find_engine(), address)
            NOTE.write_text(note, encoding="utf-8")
            _tell_workflow(model=moved[0] if moved else "", latest=str("latest" in moved).lower())
            print(f"publish: {address}: {', '.join(moved) or 'no tag moved'}\n\n{note}")
        case _:
            raise UserError("Usage: python -m mlops.release.publish push IMAGE NAME | promote …")


if __name__ == "__main__":
    run_command(main)
