"""Check that a bundle predicts every test row as it was reviewed, using the serving engine.

Hashes tie a lock to its review. This is a second check, of the bytes themselves: it works for a
bundle that was pulled and for one that was rebuilt on another kind of processor.
"""

from collections.abc import Iterator

import numpy as np

from mlops.columns import Schema
from mlops.files import read_json, sha256
from mlops.frames import count_rows, read_groups, read_rows
from mlops.inference.loaded_model import Served
from mlops.metrics import Floats, Task
from mlops.paths import BUNDLE, METRICS, PREDICTIONS, TEST_ROWS
from mlops.pipeline.equivalence import LIMITS, as_columns

ROUNDED = 1e-7
"""Relative error of the recorded predictions, which have 8 digits."""


def recorded() -> Floats:
    """Return the evaluation's predictions: shape (n_rows, 1), or (n_rows, n_choices)."""
    rows = read_rows(PREDICTIONS).filter(regex="^predicted$|^probability_")
    return rows.to_numpy(dtype=np.float64)


def first_difference(found: Floats, wanted: Floats, task: Task, rounding: float) -> int | None:
    """Return the index of the first row that differs; shapes as returned by `recorded`."""
    limit = max(LIMITS[task], rounding) * (1 if task == "classification" else np.abs(wanted))
    close = np.abs(found - wanted) <= limit  # False for values that are not finite
    places = np.flatnonzero(~close.all(axis=1))
    return int(places[0]) if len(places) else None


def unlike_reviewed(schema: Schema) -> Iterator[str]:
    """Yield each difference from the reviewed bundle: in metrics, test rows and predictions."""
    served, wanted = Served.read(BUNDLE, schema), recorded()
    metrics = {k: v["value"] for k, v in served.manifest["evaluation"]["metrics"].items()}
    reviewed = read_json(METRICS)
    for name, value in metrics.items():
        if value != reviewed.get(name):
            yield f"{BUNDLE}: {name}: found {value}, reviewed {reviewed.get(name)}"
    if served.manifest["data"]["test"]["sha256"] != sha256(TEST_ROWS):
        yield f"{BUNDLE}: was evaluated on other rows than {TEST_ROWS}"
    if count_rows(TEST_ROWS) != len(wanted):
        yield f"{PREDICTIONS}: found {len(wanted)} rows, wanted {count_rows(TEST_ROWS)}"
        return
    start = 0
    for rows in read_groups(TEST_ROWS):
        found = served.engine.predict_columns(as_columns(rows, schema)).reshape(len(rows), -1)
        place = first_difference(found, wanted[start : start + len(rows)], schema.task, ROUNDED)
        if place is not None:
            told = f"found {found[place].tolist()}, reviewed {wanted[start + place].tolist()}"
            yield f"{BUNDLE}: test row {start + place + 1}: {told}"
        start += len(rows)
