"""Write files whole or not at all: under a temporary name, to the disk, then renamed."""

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
"""Ending of a file that is being written; nothing ever reads one."""

MOST_JSON_BYTES = 100_000_000


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path that takes the place of `path` when the block ends well."""
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
    """Give a temporary folder that takes the place of `path` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}{TEMPORARY}")
    old = path.with_name(f".{path.name}.old{TEMPORARY}")
    for left in (temporary, old):  # by a killed run
        shutil.rmtree(left, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        for file in sorted(temporary.rglob("*")):
            _sync(file)
        _sync(temporary)
        # A folder can't be replaced in one step: between these two renames it is absent, not half.
        if path.exists():
            path.rename(old)
        temporary.rename(path)
        _sync(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, whole."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write strict JSON (no NaN, no infinity), the same bytes for the same content."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path, most_bytes: int = MOST_JSON_BYTES) -> Any:
    """Read a JSON file that the pipeline wrote.

    Raises:
        UserError: it is larger than anybody needs, nested too deep, or no JSON.
        FileNotFoundError: there is none.
    """
    if (size := path.stat().st_size) > most_bytes:
        raise UserError(f"{path}: found {size:,} bytes, wanted at most {most_bytes:,}")
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: can't be read: {error}") from error


def sha256(path: Path) -> str:
    """Hash a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Bring a file's bytes or a folder's entries to the disk, so that a power cut keeps them."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def unpack(content: bytes, most: int) -> bytes:
    """Unpack gzip, up to a size.

    Raises:
        ValueError: there is more.
    """
    with gzip.open(io.BytesIO(content)) as packed:
        plain = packed.read(most + 1)
    if len(plain) > most:
        raise ValueError(f"unpacked, it would take more than {most:,} bytes")
    return plain
