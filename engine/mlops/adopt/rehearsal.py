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
        for module in ("mlops.params", "mlops.pipeline.ingest"):
            if said := _run(module, root):
                raise UserError(
                    f"{module} would fail on these rows; nothing was changed:", said.splitlines()
                )
        if said := _run("mlops.pipeline.validate", root):
            return Rehearsal(invalid=said)
        if said := _run("mlops.pipeline.prepare", root):
            return Rehearsal(invalid=said)
        if said := _run("mlops.pipeline.split", root):
            return Rehearsal(unsplit=said)
        return Rehearsal(train=read_rows(root / TRAIN_ROWS), test=read_rows(root / TEST_ROWS))


def _run(module: str, root: Path) -> str:
    """Run a module in the copy; return its error output if it fails."""
    run = subprocess.run(
        [sys.executable, "-m", module],
        cwd=root,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([f"{root}/engine", f"{root}/src"])},
        capture_output=True,
        text=True,
    )
    return (run.stderr.strip() or f"exit code {run.returncode}") if run.returncode else ""
