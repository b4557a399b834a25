"""Keep data and models in real storage: `make remote` points DVC at the URL in DVC_REMOTE_URL.

Nothing that git tracks changes. What is fetched is hashed; what a run cache says is never believed.
"""

import os
import subprocess
import sys
from pathlib import Path

import yaml
from configobj import ConfigObj

from mlops import cache_check
from mlops.errors import BadInput, run_command
from mlops.files import whole_file

NAME = "storage"
"""The remote in .dvc/config, of which only the address and the credentials differ."""

CONFIG = Path(".dvc/config.local")


def connect(root: Path, url: str, settings: str = "") -> None:
    """Write `.dvc/config.local`, readable by its owner alone.

    Args:
        url: `s3://`, `gs://`, `azure://` or `ssh://`, or the path of a folder.
        settings: lines `option = value` of `dvc remote modify`, such as credentials.

    Raises:
        BadInput: a setting is no such line, or would switch off the check of what is fetched.
    """
    options = {"url": url if "://" in url else str((root / url).resolve())}
    for number, line in enumerate(filter(None, map(str.strip, settings.splitlines())), start=1):
        name, found, value = (part.strip() for part in line.partition("="))
        if not found or not name.isidentifier() or name in ("url", "verify"):
            raise BadInput(f"DVC_REMOTE_SETTINGS: line {number}: wanted option = value of a remote")
        options[name] = value
    config = ConfigObj(
        {f'remote "{NAME}"': options}, encoding="utf-8", list_values=False, interpolation=False
    )
    with whole_file(root / CONFIG) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_bytes(b"\n".join([*config.write(), b""]))


def fetch(root: Path) -> None:
    """Bring what dvc.lock names from the storage into the cache, if the checkout has one.

    What the storage lacks is no failure: the pipeline makes it. So it does of what has other bytes
    than its name says: the whole cache is hashed anew, for DVC believes what stands there.

    Raises:
        BadInput: the storage can't be reached, or refuses.
    """
    config = root / CONFIG
    if not config.is_file() or f'remote "{NAME}"' not in config.read_text(encoding="utf-8"):
        return
    run = _dvc(root, "fetch")
    if run.returncode:
        raise BadInput("The storage of data and models failed:", run.stderr.strip().splitlines())
    cache = root / _dvc(root, "cache", "dir").stdout.strip() / "files/md5"
    cache_check.main(cache)
    for path, name in _outputs(root / "dvc.lock"):
        if not (cache / name[:2] / name[2:]).exists():
            print(f"remote: the storage lacks {path} with hash {name}", file=sys.stderr)


def _outputs(lock: Path) -> list[tuple[str, str]]:
    stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"] if lock.exists() else {}
    return [(out["path"], out["md5"]) for s in stages.values() for out in s.get("outs", [])]


def _dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["dvc", *arguments], cwd=root, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )


def main() -> None:
    url = os.environ.get("DVC_REMOTE_URL", "")
    if not url:
        raise BadInput("DVC_REMOTE_URL is not set", advice="Such as: s3://bucket/path")
    connect(Path(), url, os.environ.get("DVC_REMOTE_SETTINGS", ""))
    print(f"DVC keeps data and models in {url}", file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
