"""Remove files from DVC's cache that don't match the hash in their name; for a restored cache.

DVC trusts its cache: it never hashes its files again. A restored cache may have been written by
anyone who could write to its storage. And DVC writes all files that a folder's list names, even
where a name points outside that folder. Usage: python -m mlops.cache_check [FOLDER]
"""

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from mlops.errors import UserError, run_command
from mlops.files import read_json

CACHE = Path(".dvc/cache/files/md5")


def false_files(cache: Path) -> list[Path]:
    """List files whose MD5 is not the one in their name, links, and invalid folder lists."""
    return [
        path
        for path in sorted(cache.rglob("*"))
        if (path.is_symlink() or not path.is_dir()) and _is_false(path)
    ]


def drop_false(cache: Path, names: Iterable[str]) -> None:
    """Remove invalid files among the named ones, and among those that named folders list."""
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
    print(
        f"cache_check: {path}: the content doesn't match the hash in its name; removed",
        file=sys.stderr,
    )
    path.unlink()


def _stays_inside(path: Path) -> bool:
    """Return whether the file is no folder list, or lists only paths inside that folder."""
    if path.suffix != ".dir":
        return True
    try:
        listed = read_json(path)
        names = [PurePosixPath(entry["relpath"]) for entry in listed if entry["md5"]]
    except (UserError, KeyError, TypeError):
        return False
    return not any(name.is_absolute() or ".." in name.parts for name in names)


def md5(path: Path) -> str:
    """Return the MD5 of a file, by which DVC names it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def main(cache: Path) -> None:
    for path in false_files(cache):
        _drop(path)


if __name__ == "__main__":
    run_command(lambda: main(Path(sys.argv[1]) if len(sys.argv) > 1 else CACHE))
