"""Check dvc.lock in a pull request: whether it is outdated, and an untrusted one's content."""

import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import yaml
from dvc.utils.serialize import dumps_yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from mlops.dvc_lock import Stages, differences, unvouched
from mlops.errors import UserError
from mlops.typed_yaml import parse_yaml

MOST_BYTES = 1_000_000

_URL = re.compile(r"[a-z][a-z0-9]+://[!-~]+")
_NOT_OURS = {".git", ".github", ".dvc"}


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    plain = parts and path.isprintable() and not set(path) & set("\\:")
    if not _URL.fullmatch(path) and (not plain or ".." in parts or parts[0] in {"/", *_NOT_OURS}):
        raise ValueError("wanted a path of this repository's data or code, or a URL")
    return path


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Entry(_Strict):
    path: Annotated[str, Field(max_length=1000), AfterValidator(_inside)]
    hash: Literal["md5"]
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}(\.dir)?$")] | None = None
    etag: Annotated[str, Field(pattern=r"^[!-~]{1,200}$")] | None = None
    checksum: Annotated[str, Field(pattern=r"^[!-~]{1,200}$")] | None = None
    size: Annotated[int, Field(ge=0)] | None = None
    nfiles: Annotated[int, Field(ge=0)] | None = None
    isexec: bool = False

    @model_validator(mode="after")
    def _has_one_hash(self) -> "_Entry":
        if sum(value is not None for value in (self.md5, self.etag, self.checksum)) != 1:
            raise ValueError("wanted md5, or of a URL etag or checksum")
        if self.md5 is None and not _URL.fullmatch(self.path):
            raise ValueError("wanted the md5 of a file")
        return self


class _Stage(_Strict):
    cmd: str | list[str]
    deps: list[_Entry] = []
    params: dict[str, dict[str, JsonValue]] = {}
    outs: list[_Entry] = []


class _Lock(_Strict):
    schema_: Annotated[Literal["2.0"], Field(alias="schema")]
    stages: dict[str, _Stage]


def checked_lock(path: Path, stages: Collection[str]) -> str:
    """Validate an untrusted dvc.lock, and return its content as DVC would write it.

    Args:
        stages: the names of the stages in its dvc.yaml.

    Raises:
        UserError: it is no plain file of at most MOST_BYTES, or anything but a lock of these
            stages. The message quotes nothing that a log reader (a runner) could run as a command.
    """
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MOST_BYTES:
        raise UserError(f"dvc.lock refused: wanted a plain file of at most {MOST_BYTES:,} bytes")
    try:
        content = parse_yaml(path.read_bytes().decode("utf-8"))
        lock = _Lock.model_validate(content)
    except ValidationError as error:
        problems = [f"{item['loc']!r:.200}: {item['msg']!r:.200}" for item in error.errors()]
        raise UserError("dvc.lock refused", problems) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"dvc.lock refused: {str(error)!r:.200}") from error
    named = {name.split("@")[0] for name in lock.stages}
    if named != set(stages):
        raise UserError("dvc.lock refused: its stages are not those of dvc.yaml")
    return dumps_yaml(content)


def is_behind(committed: str, made: Stages, vouched: Stages | None = None) -> bool:
    """Return whether a committed dvc.lock differs from the one that this review wrote.

    Another type of processor may fit a model with other bytes from the same inputs. This difference
    is ignored if the lock is known to come from a review or this machine, because a lock that
    changed with each processor would never settle. In a lock that anybody may have written, it is
    ignored only for entries equal to those of the base's stages, `vouched`.
    """
    try:
        stages = parse_yaml(committed)["stages"]
        forged = [] if vouched is None else unvouched(stages, vouched, made)
        return bool(forged or differences(stages, made))
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError):
        return True
