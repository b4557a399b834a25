"""Let a bundle predict given rows, with the code of the checkout it stands in.

Run as a file, with the other checkout's `src` on PYTHONPATH: a pickled model needs the classes and
the schema that it was made with, not those of the checkout that reviews it.
"""

import sys
from pathlib import Path

import numpy as np

from mlops.bundle import load_model, read_manifest
from mlops.frames import read_rows
from mlops.pipeline.model import predict


def main(bundle: Path, rows: Path, predictions: Path) -> None:
    task = read_manifest(bundle)["task"]
    np.save(predictions, predict(load_model(bundle), read_rows(rows), task), allow_pickle=False)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
