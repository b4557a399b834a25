"""Predict given rows with a bundle, using the code of the bundle's checkout.

Run with that checkout's engine and project on PYTHONPATH: a pickled model needs the classes, schema
and features that it was trained with. So a review may call this module of an older engine: its
arguments and arrays must not change.
"""

import sys
from pathlib import Path

import numpy as np

from mlops.bundle import load_model
from mlops.errors import run_command
from mlops.frames import read_rows, with_derived
from mlops.pipeline.model import actual_values, predict
from mlops.project import load_schema_of


def main(bundle: Path, rows: Path, out: Path) -> None:
    table, schema = read_rows(rows), load_schema_of(bundle)
    np.savez(
        out,
        actual=actual_values(table, schema.target),
        predicted=predict(load_model(bundle), with_derived(table, schema), schema.target),
    )


if __name__ == "__main__":
    run_command(lambda: main(*map(Path, sys.argv[1:])))
