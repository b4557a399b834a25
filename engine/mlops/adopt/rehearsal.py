"""Rehearse adoption in a copy of the repository: run the stages before training."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mlops.adopt.repository import SOURCE
from mlops.errors import UserError
from mlops.files import write_text
from mlops.frames import read_rows
from mlops.paths import TEST_ROWS, TRAIN_ROWS

_STAGES = [
    "mlops.params",
    *(f"mlops.pipeline.{stage}" for stage in ("ingest", "validate", "prepare", "split")),
]


@dataclass(frozen=True)
class Rehearsal:
    """The result of a rehearsal.

    Attributes:
        invalid: why validate or prepare would fail; the user decides which data are valid.
        unsplit: why the rows can't be split into training and test rows.
        train, test: these rows; None if a stage failed.
    """

    invalid: str = ""
    unsplit: str = ""
    train: pd.DataFrame | None = None
    test: pd.DataFrame | None = None


def rehearse(texts: dict[Path, str], data: Path) -> Rehearsal:
    """Check the parameters, ingest, validate and split in a copy of the repository.

    Raises:
        UserError: the parameters are invalid or the rows can't be ingested, with the reason.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("engine/mlops", "src"):
            shutil.copytree(name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        if SOURCE.parent.is_dir():  # tables that the project joins
            tables = shutil.ignore_patterns(SOURCE.name)
            shutil.copytree(SOURCE.parent, root / SOURCE.parent, ignore=tables)
        shutil.copytree(data, root / SOURCE)
        for path, text in texts.items():
            write_text(root / path, text)
        failed, said = _run_stages(root)
        if failed in ("mlops.pipeline.validate", "mlops.pipeline.prepare"):
            return Rehearsal(invalid=said)
        if failed == "mlops.pipeline.split":
            return Rehearsal(unsplit=said)
        if failed is not None:
            raise UserError(
                f"{failed} would fail on these rows; nothing was changed:", said.splitlines()
            )
        return Rehearsal(train=read_rows(root / TRAIN_ROWS), test=read_rows(root / TEST_ROWS))


def _run_stages(root: Path) -> tuple[str | None, str]:
    """Run the stages in the copy until one fails; return its name, and its error output."""
    run = subprocess.run(
        [sys.executable, "-m", "mlops.adopt.rehearsed_stages", *_STAGES],
        cwd=root,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([f"{root}/engine", f"{root}/src"])},
        capture_output=True,
        text=True,
    )
    if not run.returncode:
        return None, ""
    name = run.stdout.rstrip().rpartition("\n")[2]
    return name, run.stderr.strip() or f"exit code {run.returncode}"
