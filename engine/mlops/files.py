"""Write files atomically: under a temporary name, synced to disk, then renamed."""

import gzip
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlops.errors import UserError

TEMPORARY = ".partial"
"""Suffix of a file that is being written; such files are never read."""

MOST_JSON_BYTES = 100_000_000


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}{TEMPORARY}")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that replaces `path` if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}{TEMPORARY}")
    old = path.with_name(f".{path.name}.old{TEMPORARY}")
    for left in (temporary, old):  # of a killed run
        shutil.rmtree(left, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        for file in sorted(temporary.rglob("*")):
            _sync(file)
        _sync(temporary)
        # A folder can't be replaced in one step: between these renames it is absent, not partial.
        if path.exists():
            path.rename(old)
        temporary.rename(path)
        _sync(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write strict JSON (no NaN, no infinity), the same bytes for the same content."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path, most_bytes: int = MOST_JSON_BYTES) -> Any:
    """Read a JSON file that the pipeline wrote.

    Raises:
        UserError: the file is too large, nested too deep, or not JSON.
        FileNotFoundError: the file does not exist.
    """
    if (size := path.stat().st_size) > most_bytes:
        raise UserError(f"{path}: found {size:,} bytes, wanted at most {most_bytes:,}")
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: can't be read: {error}") from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Sync a file or a folder's entries to disk, so that they survive a power failure."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def unpack(content: bytes, most: int) -> bytes:
    """Decompress gzip content, up to a size.

    Raises:
        ValueError: the content is larger.
    """
    with gzip.open(io.BytesIO(content)) as packed:
        plain = packed.read(most + 1)
    if len(plain) > most:
        raise ValueError(f"unpacked, it would exceed {most:,} bytes")
    return plain
