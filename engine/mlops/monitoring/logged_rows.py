"""Frames of logged predictions: their inputs, features, and columns beside them."""

import datetime
import json
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from mlops.columns import Schema
from mlops.frames import with_derived
from mlops.prediction_log.tables import PLACE

PREDICTED, AT, VERSION, REQUEST = "__predicted", "__at", "__version", "__request"
ID, ACTUAL, TOLD = "__id", "__actual", "__told"
"""Columns beside the features; no feature can have these names."""


def to_frame(found: Iterable[tuple[Any, Sequence[int]]], schema: Schema) -> pd.DataFrame:
    """Convert records, each with the rows wanted of it, to a frame of inputs, features and more."""
    values: dict[str, list[Any]] = {column.name: [] for column in schema.inputs}
    beside: dict[str, list[Any]] = {name: [] for name in (PREDICTED, AT, VERSION, REQUEST)}
    for record, places in found:
        features, predicted = json.loads(record.features), json.loads(record.predicted)
        if record.n_rows == 1:  # values instead of lists of values
            features, predicted = {name: [v] for name, v in features.items()}, [predicted]
        missing = [None] * record.n_rows
        for name, cells in values.items():
            own = features.get(name, missing)
            cells.extend([own[place] for place in places])
        beside[PREDICTED].extend([predicted[place] for place in places])
        beside[AT].extend([record.at] * len(places))
        beside[VERSION].extend([record.model_version] * len(places))
        beside[REQUEST].extend([record.prediction_id[:-PLACE]] * len(places))
    rows = pd.DataFrame(values, dtype="object")
    for column in schema.inputs:
        if issubclass(column.type, datetime.date):
            rows[column.name] = pd.to_datetime(rows[column.name], format="ISO8601", errors="coerce")
        elif column.type is not str:
            rows[column.name] = pd.to_numeric(rows[column.name], errors="coerce")
    rows = rows.astype({column.name: column.dtype for column in schema.inputs})
    rows = with_derived(rows, schema).copy()
    for name, cells in beside.items():
        rows[name] = pd.Series(cells, dtype="float64" if name == AT else "object")
    return rows
