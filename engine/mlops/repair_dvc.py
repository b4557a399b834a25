"""Repair the files that DVC writes in place, if a killed run has left one of them truncated.

DVC refuses to run with an unreadable `.dvc/tmp/rwlock` or `dvc.lock`, and does not say how to fix
it. DVC and the stages recover from anything else that a killed run leaves.
"""

import json
import shutil
import subprocess
import time
from pathlib import Path

import yaml
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from voluptuous import Invalid

from mlops.errors import UserError, run_command
from mlops.files import write_text
from mlops.typed_yaml import parse_yaml

RWLOCK = Path(".dvc/tmp/rwlock")
LOCK = Path("dvc.lock")
SET_ASIDE = Path(".dvc/tmp/dvc.lock.cut")

_CONFLICT = "<<<<<<< "
_WRITE_SECONDS = 0.5


def recover(root: Path) -> list[Path]:
    """Repair both files of a checkout, and list those that needed it.

    Raises:
        UserError: dvc.lock has a merge conflict, which a person must resolve, or is no plain YAML.
    """
    mended = []
    if _is_cut_rwlock(root / RWLOCK):
        # It lists the locks of processes, and is useless once these have ended.
        (root / RWLOCK).unlink(missing_ok=True)
        mended.append(RWLOCK)
    lock = root / LOCK
    if lock.exists() and _is_cut_lock(lock.read_text(encoding="utf-8", errors="replace")):
        (root / SET_ASIDE).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(lock, root / SET_ASIDE)
        committed = subprocess.run(
            ["git", "show", f"HEAD:./{LOCK}"], cwd=root, capture_output=True, encoding="utf-8"
        )
        if committed.returncode == 0:
            write_text(lock, committed.stdout)
        else:
            lock.unlink()
        mended.append(LOCK)
    return mended


def _is_cut_rwlock(path: Path) -> bool:
    """Return whether the file stays unreadable: a running DVC may be writing it at the moment."""
    for pause in (_WRITE_SECONDS, 0.0):
        try:
            json.loads(path.read_bytes())
        except FileNotFoundError:
            return False
        except ValueError:
            time.sleep(pause)
        else:
            return False
    return True


def _is_cut_lock(text: str) -> bool:
    """Return whether DVC would reject the text, or its last line has no line end.

    Raises:
        UserError: the text has a merge conflict, or is no plain YAML.
    """
    if any(line.startswith(_CONFLICT) for line in text.splitlines()):
        raise UserError(
            f"{LOCK}: contains a merge conflict",
            advice="Resolve dvc.yaml, params.yaml and the data first; then use either side's lock "
            "(git checkout --theirs dvc.lock) and update it: dvc repro",
        )
    try:
        COMPILED_LOCKFILE_SCHEMA(parse_yaml(text))
    except (yaml.YAMLError, Invalid):
        return True
    except ValueError as error:
        raise UserError(f"{LOCK}: {error}") from error
    return not text.endswith("\n")


def main() -> None:
    for path in recover(Path()):
        print(f"repair_dvc: {path} was truncated by a killed run: repaired")


if __name__ == "__main__":
    run_command(main)
