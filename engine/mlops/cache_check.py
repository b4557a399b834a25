"""Throw out of DVC's cache what is not what its name says; for a cache that came from elsewhere.

DVC trusts its cache: it never hashes again what stands there. One that was restored may have been
written by anyone who could write to where it was kept. And of a folder it writes all files that the
folder's list names, also where a name leads out of it. Usage: python -m mlops.cache_check [FOLDER]
"""

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from mlops.errors import UserError, run_command
from mlops.files import read_json

CACHE = Path(".dvc/cache/files/md5")


def false_files(cache: Path) -> list[Path]:
    """List files whose MD5 is not the one that they are named by, links, and false folders."""
    return [
        path
        for path in sorted(cache.rglob("*"))
        if (path.is_symlink() or not path.is_dir()) and _is_false(path)
    ]


def drop_false(cache: Path, names: Iterable[str]) -> None:
    """Throw out those of certain files, and of what certain folders list, that are false."""
    for name in names:
        path = cache / name[:2] / name[2:]
        if not path.exists():
            continue
        if _is_false(path):
            _drop(path)
        elif path.suffix == ".dir":
            drop_false(cache, [entry["md5"] for entry in read_json(path)])


def _is_false(path: Path) -> bool:
    named = f"{path.parent.name}{path.name}".removesuffix(".dir")
    return path.is_symlink() or md5(path) != named or not _stays_inside(path)


def _drop(path: Path) -> None:
    print(f"cache_check: {path} is not what its name says: removed", file=sys.stderr)
    path.unlink()


def _stays_inside(path: Path) -> bool:
    """Tell whether a folder's list, if this is one, names files of that folder alone."""
    if path.suffix != ".dir":
        return True
    try:
        listed = read_json(path)
        names = [PurePosixPath(entry["relpath"]) for entry in listed if entry["md5"]]
    except (UserError, KeyError, TypeError):
        return False
    return not any(name.is_absolute() or ".." in name.parts for name in names)


def md5(path: Path) -> str:
    """Hash a file's bytes, as DVC names it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def main(cache: Path) -> None:
    for path in false_files(cache):
        _drop(path)


if __name__ == "__main__":
    run_command(lambda: main(Path(sys.argv[1]) if len(sys.argv) > 1 else CACHE))
