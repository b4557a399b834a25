"""Put right the files that DVC writes in place, where a kill has left one of them cut.

DVC refuses to run beside an unreadable `.dvc/tmp/rwlock` or `dvc.lock`, and says of neither what to
do. All else that a killed run leaves, DVC and the stages mend by themselves.
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
    """Mend both files of a checkout, and list those that needed it.

    Raises:
        UserError: dvc.lock holds a merge conflict, which a person has to decide; or no plain YAML.
    """
    mended = []
    if _is_cut_rwlock(root / RWLOCK):
        # Who holds which file: of no use once the holder is dead.
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
    """Tell whether the file is unreadable, and stays so: a DVC that runs may just be writing it."""
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
    """Tell whether DVC would refuse the text, or its last line has no end.

    Raises:
        UserError: it holds a merge conflict.
    """
    if any(line.startswith(_CONFLICT) for line in text.splitlines()):
        raise UserError(
            f"{LOCK}: holds a merge conflict",
            advice="Settle dvc.yaml, params.yaml and the data first; then take either side's lock "
            "(git checkout --theirs dvc.lock) and bring it up to date: dvc repro",
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
        print(f"repair_dvc: {path} was cut by a killed run: put right")


if __name__ == "__main__":
    run_command(main)
