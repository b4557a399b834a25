"""Time a bundle's engine, with the code of the bundle's checkout, once per line of input.

Run as a file, with that checkout's engine and project on PYTHONPATH: `python -P cost_worker.py`.
Both models use this worker, whatever engine version their checkouts have. It first prints `ready`.
Each line of input, as `500 1` or `1 1000`, has the number of calls and the rows per call; each line
of output is their processor time in nanoseconds, which excludes waiting for other processes. When
the input ends, it prints its peak memory in bytes.
"""

import itertools
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlops.errors import run_command
from mlops.frames import read_rows
from mlops.inference.loaded_model import Served
from mlops.pipeline import equivalence
from mlops.project import load_schema

MOST_ROWS = 1000


def main(bundle: Path, rows: Path) -> None:
    schema = load_schema()
    predict, form = _methods(Served.read(bundle, schema).engine)
    table = read_rows(rows)
    table = table.sample(MOST_ROWS, replace=len(table) < MOST_ROWS, random_state=0)
    requests = equivalence.as_requests(table, schema)
    ones = itertools.cycle([form([request]) for request in requests])
    predict(form(requests))
    print("ready", flush=True)
    for line in sys.stdin:
        calls, size = map(int, line.split())
        many = [form(requests[:size])] * calls
        asked = [next(ones) for _ in range(calls)] if size == 1 else many
        start = time.process_time_ns()
        for request in asked:
            predict(request)
        print(time.process_time_ns() - start, flush=True)
    unit = 1 if sys.platform == "darwin" else 1024
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, flush=True)


def _methods(engine: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return the engine's method for rows of requests, and the function that makes its argument."""
    if hasattr(engine, "predict"):  # of an older release
        return engine.predict, list
    return engine.predict_columns, equivalence.columns_of


if __name__ == "__main__":
    run_command(lambda: main(*map(Path, sys.argv[1:])))
