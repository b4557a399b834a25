"""List the partitions of a source's folder, local or remote, once no one is being written."""

import datetime
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import fsspec

from mlops.errors import UserError

STILL_SECONDS = 1.0
WAIT_SECONDS = 30.0

_EXTRAS = {"gcs": "gs", "az": "azure", "abfs": "azure", "abfss": "azure", "sftp": "ssh"}
"""Extras of pyproject.toml whose name differs from the scheme of their library."""

_GITS = {".gitignore", ".gitkeep", ".gitattributes"}

_MARKS = (
    # File attributes of storages that change when a file is written to or replaced.
    *("size", "mtime", "created", "ino", "ETag", "etag", "Last-Modified", "LastModified"),
    *("last_modified", "updated", "generation"),
)


@dataclass(frozen=True)
class Partition:
    """A file of the source, and the attributes that change when it is written again.

    `modified`, in seconds since 1970, is None if the storage has no such time. A file that is not
    `plain` is a link or a device: reading it could expose another file, or never end.
    """

    path: str
    state: tuple[str, ...]
    modified: float | None
    plain: bool = True

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]


@contextmanager
def source_errors(source: str) -> Iterator[None]:
    """Convert any error of a storage library to a message about the source."""
    try:
        yield
    except UserError:
        raise
    except ImportError as error:
        scheme = source.split("://", 1)[0]
        raise UserError(
            f"ingest.source {source}: the library for {scheme}:// is not installed",
            advice=f"Install it: pip install '.[{_EXTRAS.get(scheme, scheme)}]' ({error})",
        ) from error
    except Exception as error:  # each storage has its own
        raise UserError(
            f"ingest.source {source}: can't be read: {type(error).__name__}: {error}",
            advice="Ingestion stopped. Check the address, the network and the credentials.",
        ) from error


class SourceFolder:
    """A folder of partitions.

    Attributes:
        filesystem: of fsspec.
    """

    def __init__(self, source: str, endings: Sequence[str], without: str = "") -> None:
        """Open the folder at an address.

        Args:
            endings: of the partitions' names.
            without: the name of a partition to skip.
        """
        self.filesystem, self._folder = fsspec.core.url_to_fs(source)
        self._source, self._endings, self._without = source, tuple(endings), without

    def partitions(self) -> list[Partition]:
        """List the partitions by name, without hidden files and files with other endings."""
        self.filesystem.invalidate_cache()
        found = []
        for entry in self.filesystem.ls(self._folder, detail=True):
            path = entry["name"]
            if _name(path) == self._without:
                continue
            if path.lower().endswith(self._endings) and not _name(path).startswith((".", "_")):
                info = self.filesystem.info(path)
                state = tuple(str(info.get(mark)) for mark in _MARKS)
                plain = not info.get("islink") and info.get("type") in ("file", "directory")
                found.append(Partition(path, state, _modified(info), plain))
        return sorted(found, key=lambda partition: partition.path)

    def still_partitions(self) -> list[Partition]:
        """Return the partitions once none was written to within the last second.

        A file that is still being written may end at a line's end and then look complete. Object
        stores show an object only when it is complete; most give no time, and none is needed.

        Raises:
            UserError: some are still being written to after WAIT_SECONDS.
        """
        deadline = time.monotonic() + WAIT_SECONDS
        earlier = None
        while True:
            partitions, now = self.partitions(), time.time()
            fresh = [p.name for p in partitions if p.modified and now - p.modified < STILL_SECONDS]
            # If clocks differ, a file may seem new for hours: then it must not change for a second.
            if not fresh or partitions == earlier:
                return partitions
            if time.monotonic() > deadline:
                raise UserError(
                    f"ingest.source {self._source}: {', '.join(fresh)} still being written to",
                    advice=f"Ingestion stopped after {WAIT_SECONDS:g} seconds. Run again when the "
                    "writer has finished.",
                )
            earlier = partitions
            time.sleep(STILL_SECONDS)

    def print_unread(self, read: list[Partition]) -> None:
        """Print the files that are not read, because a user may think that they are partitions."""
        taken = {partition.path for partition in read} | {self._folder.rstrip("/")}
        listed = self.filesystem.ls(self._folder, detail=True)
        paths = {entry["name"].rstrip("/") for entry in listed} - taken
        if names := sorted({_name(path) for path in paths} - _GITS):
            wanted = ", ".join(f"*{ending}" for ending in self._endings)
            print(
                f"ingest: not read: {', '.join(names)} (wanted {wanted}; not beginning with . or _)"
            )


def _name(path: str) -> str:
    return path.rstrip("/").rsplit("/", 1)[-1]


def _modified(info: dict[str, Any]) -> float | None:
    """Return when a file was written to, from a number, a datetime or HTTP's text."""
    value = info.get("mtime", info.get("Last-Modified"))
    if isinstance(value, str):
        value = parsedate_to_datetime(value)
    if isinstance(value, datetime.datetime):
        value = value.timestamp()
    # A time in whole seconds may be almost one second too early.
    return value + 1 if value is not None and value % 1 == 0 else value
