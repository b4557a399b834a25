"""Derive features in a second process, which differs from this one as a server does."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from mlops.errors import UserError, run_command
from mlops.frames import read_rows, with_derived, write_rows
from mlops.paths import TRAIN_ROWS
from mlops.pipeline.feature_check import Values, take_sample
from mlops.project import load_tabled_schema

_OTHER = {"PYTHONHASHSEED": "20261128", "TZ": "AAA-13:30"}
"""Another seed of `hash`, so another order of sets, and a time zone that no place has."""


def derive_in_second_process() -> Values:
    """Derive the features of the rows that `check_features` checks, in an empty folder.

    Raises:
        UserError: the functions fail there.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.parquet"
        command = [sys.executable, "-m", "mlops.pipeline.feature_process", str(path)]
        environment = os.environ | _OTHER
        ran = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True)
        if ran.returncode:
            last = ran.stderr.strip().rpartition("\n")[2]
            raise UserError(f"src/project/features.py: in a second process: {last}")
        return {str(name): values.to_numpy() for name, values in read_rows(path).items()}


def main() -> None:
    rows, schema = take_sample(read_rows(TRAIN_ROWS)), load_tabled_schema()
    path = Path(sys.argv[1])
    os.chdir(path.parent)
    made = with_derived(rows, schema)
    write_rows(path, made[[feature.name for feature in schema.derived]])


if __name__ == "__main__":
    run_command(main)
