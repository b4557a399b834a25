"""Read the committed and the present dvc.lock, and check its hashes against the files on disk."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import yaml

from mlops.cache_check import md5
from mlops.dvc_lock import Stages
from mlops.errors import UserError
from mlops.release.container_engine import ask
from mlops.typed_yaml import parse_yaml, plain_text

LOCK = Path("dvc.lock")


def committed_lock() -> Stages:
    """Read the lock of the checked-out commit."""
    return _stages(ask("git", "show", f"HEAD:./{LOCK}"))


def present_lock() -> Stages:
    """Read the lock of the work tree.

    Raises:
        UserError: it is missing.
    """
    if not LOCK.exists():
        raise UserError(f"{LOCK}: missing", advice="Run the pipeline: make run")
    return _stages(plain_text(LOCK))


def altered_outputs(stages: Stages, paths: Iterable[Path]) -> list[str]:
    """Hash the outputs again, and list those whose hashes differ from the lock.

    DVC itself reuses hashes as long as size and modification time match, and trusts its cache.
    """
    recorded = {out["path"]: out["md5"] for stage in stages.values() for out in stage["outs"]}
    problems = []
    for path in paths:
        if not path.exists():
            problems.append(f"{path}: missing")
        elif (found := _md5(path)) != recorded[path.as_posix()]:
            problems.append(f"{path}: found {found}, wanted {recorded[path.as_posix()]}")
    return problems


def _stages(text: str) -> Stages:
    try:
        stages: Stages = parse_yaml(text)["stages"]
    except (yaml.YAMLError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{LOCK}: can't be read: {error}") from error
    return stages


def _md5(path: Path) -> str:
    """Hash as DVC does: a folder by the list of its files."""
    if path.is_file():
        return md5(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    listed = [{"md5": md5(file), "relpath": file.relative_to(path).as_posix()} for file in files]
    text = json.dumps(sorted(listed, key=lambda entry: entry["relpath"]), sort_keys=True)
    return hashlib.md5(text.encode()).hexdigest() + ".dir"
