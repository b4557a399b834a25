"""Fetch data and models from the remote, if one is configured.

Fetched files are hashed; the run cache is never trusted.
"""

import re
import subprocess
import sys
import tempfile
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml
from dvc.config import Config
from dvc.repo import Repo

from mlops import cache_check
from mlops.errors import UserError
from mlops.files import read_json
from mlops.remote import CONFIG, NAME
from mlops.typed_yaml import parse_yaml, plain_text


def fetch(root: Path) -> list[str]:
    """Fetch the files named in dvc.lock and *.dvc files into the cache, if a remote is configured.

    A file that doesn't match the hash in its name counts as missing: the whole cache is hashed
    again, because DVC trusts it; without a remote, only the named files.

    Returns:
        The outputs that the remote lacks, wholly or in part: the pipeline rebuilds them.

    Raises:
        UserError: the remote can't be reached, or refuses access; or neither cache nor remote has
            source data, which no stage can rebuild.
    """
    config, data = root / CONFIG, _data(root)
    connected = config.is_file() and f'remote "{NAME}"' in config.read_text(encoding="utf-8")
    cache, outputs = _cache(root), _outputs(root)
    if connected:
        _bring(root, cache)
    else:
        cache_check.drop_false(cache, [*outputs.values(), *data.values()])
        outputs = {}
    lacking = [path for path, name in outputs.items() if not _has(cache, name)]
    missing = [p for p, name in data.items() if not (root / p).exists() and not _has(cache, name)]
    if connected and (absent := [*lacking, *missing]):
        _not_there(root, [(outputs | data)[absent[0]]])
    for path in lacking:
        print(
            f"remote: missing from the storage: {path} with hash {outputs[path]}", file=sys.stderr
        )
    if missing:
        raise UserError(
            "Source data is missing both locally and in the remote:",
            missing,
            "Somebody who has it must upload it: dvc push",
        )
    return lacking


def _cache(root: Path) -> Path:
    kept = Config(str(root / ".dvc"))["cache"].get("dir", "cache")
    return root / ".dvc" / kept / "files/md5"


def _bring(root: Path, cache: Path) -> None:
    """Fetch all that the remote has; missing files are no failure, although DVC exits with 1."""
    run = _dvc(root, "fetch")
    cache_check.main(cache)
    failed = re.findall(r"failed to transfer '(\w+)", run.stderr)
    if run.returncode and not (failed and _not_there(root, failed)):
        raise _failure(run.stderr)


def _outputs(root: Path) -> dict[str, str]:
    lock = root / "dvc.lock"
    stages = _yaml(lock)["stages"] if lock.exists() else {}
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}


def _data(root: Path) -> dict[str, str]:
    """Return path -> hash of the data tracked by `dvc add`."""
    files = subprocess.run(["git", "ls-files", "*.dvc"], cwd=root, capture_output=True, text=True)
    return {
        str(Path(name).parent / out["path"]): out["md5"]
        for name in files.stdout.splitlines()
        for out in _yaml(root / name).get("outs", [])
        if "md5" in out
    }


def _yaml(path: Path) -> Any:
    try:
        return parse_yaml(plain_text(path))
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path}: can't be read: {error}") from error


def _has(cache: Path, name: str) -> bool:
    """Return whether the cache has a file, or a folder with all files in its list."""
    path = cache / name[:2] / name[2:]
    if not path.exists() or not name.endswith(".dir"):
        return path.exists()
    return all(_has(cache, file["md5"]) for file in read_json(path))


def _not_there(root: Path, names: list[str]) -> bool:
    """Ask the remote itself for files: DVC treats any error of a web server as a missing file.

    Returns:
        Whether it has none of them: 404, or 403, which object storage returns without list rights.

    Raises:
        UserError: the remote doesn't answer, or refuses access.
    """
    with Repo(str(root)) as repo, tempfile.TemporaryDirectory() as folder:
        storage = repo.cloud.get_remote_odb(NAME)
        for name in names:
            try:
                storage.fs.fs.get_file(storage.oid_to_path(name), f"{folder}/{name}")
            except FileNotFoundError:
                continue
            except Exception as error:  # each kind of storage raises its own
                if getattr(error, "status", None) != HTTPStatus.FORBIDDEN:
                    raise _failure(f"{type(error).__name__}: {error}") from error
            else:
                return False
    return True


def _failure(told: str) -> UserError:
    return UserError("The storage of data and models failed:", told.strip().splitlines())


def _dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["dvc", *arguments], cwd=root, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
