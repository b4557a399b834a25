"""Derive features in a second process, which differs from this one as a server does."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from mlops.errors import UserError, run_command
from mlops.frames import read_rows, with_derived, write_rows
from mlops.pipeline.feature_check import Values
from mlops.project import load_tabled_schema

_OTHER = {"PYTHONHASHSEED": "20261128", "TZ": "AAA-13:30"}
"""Another seed of `hash`, so another order of sets, and a time zone that no place has."""
_ROWS = "rows.parquet"


def derive_in_second_process(rows: pd.DataFrame) -> Values:
    """Derive the features of some rows, in a folder without other files.

    Raises:
        UserError: the functions fail there.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _ROWS
        write_rows(path, rows)
        command = [sys.executable, "-m", "mlops.pipeline.feature_process", folder]
        environment = os.environ | _OTHER
        ran = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True)
        if ran.returncode:
            last = ran.stderr.strip().rpartition("\n")[2]
            raise UserError(f"in another process: {last}")
        return {str(name): values.to_numpy() for name, values in read_rows(path).items()}


def main() -> None:
    schema = load_tabled_schema()  # before: it may read tables of the repository
    os.chdir(sys.argv[1])
    rows = with_derived(read_rows(Path(_ROWS)), schema)
    write_rows(Path(_ROWS), rows[[feature.name for feature in schema.derived]])


if __name__ == "__main__":
    run_command(main)
