"""Throw out of DVC's cache what is not what its name says; for a cache that came from elsewhere.

DVC trusts its cache: it never hashes again what stands there. One that was restored may have been
written by anyone who could write to where it was kept. And of a folder it writes all files that the
folder's list names, also where a name leads out of it. Usage: python -m mlops.cache_check [FOLDER]
"""

import hashlib
import sys
from pathlib import Path, PurePosixPath

from mlops.errors import BadInput
from mlops.files import read_json

CACHE = Path(".dvc/cache/files/md5")


def false_files(cache: Path) -> list[Path]:
    """List files whose MD5 is not the one that they are named by, links, and false folders."""
    found = []
    for path in sorted(cache.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        named = f"{path.parent.name}{path.name}".removesuffix(".dir")
        if path.is_symlink() or md5(path) != named or not _stays_inside(path):
            found.append(path)
    return found


def _stays_inside(path: Path) -> bool:
    """Tell whether a folder's list, if this is one, names files of that folder alone."""
    if path.suffix != ".dir":
        return True
    try:
        names = [PurePosixPath(entry["relpath"]) for entry in read_json(path)]
    except (BadInput, KeyError, TypeError):
        return False
    return not any(name.is_absolute() or ".." in name.parts for name in names)


def md5(path: Path) -> str:
    """Hash a file's bytes, as DVC names it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def main(cache: Path) -> None:
    for path in false_files(cache):
        print(f"cache_check: {path} is not what its name says: removed", file=sys.stderr)
        path.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else CACHE)
