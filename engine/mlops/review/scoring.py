"""Let a bundle predict given rows, with the code of the checkout it stands in; time single rows.

Run with that checkout's engine and project on PYTHONPATH: a pickled model needs the classes, schema
and features that it was made with. So a review calls the module of an older engine, too: arguments
and arrays stay as they are.
"""

import statistics
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from mlops.bundle import load_model
from mlops.columns import Schema
from mlops.frames import read_rows, with_derived
from mlops.pipeline.equivalence import as_requests
from mlops.pipeline.model import actual_values, predict
from mlops.project import load_schema_of
from mlops.serving.loaded_model import Served

_TIMED = 200


def row_ms(bundle: Path, rows: pd.DataFrame, schema: Schema) -> float:
    """Give the median time that what serves the model takes for a row alone, in milliseconds."""
    engine, times = Served.read(bundle, schema).engine, []
    for row in as_requests(rows.head(_TIMED), schema):
        start = time.perf_counter()
        engine.predict([row])
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def main(bundle: Path, rows: Path, out: Path) -> None:
    table, schema = read_rows(rows), load_schema_of(bundle)
    np.savez(
        out,
        actual=actual_values(table, schema.target),
        predicted=predict(load_model(bundle), with_derived(table, schema), schema.target),
        row_ms=row_ms(bundle, table, schema),
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
