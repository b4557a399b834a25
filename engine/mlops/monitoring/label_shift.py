"""Compare the target of feedback rows with that of the source, slice by slice.

Feedback comes from outside: any client that may request predictions may also send false values.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlops.columns import Schema
from mlops.params import Params
from mlops.paths import FEEDBACK
from mlops.pipeline.parsing import FILE
from mlops.pipeline.partitions import read_partitions
from mlops.review.github_markdown import cell, folded, number, table
from mlops.slices import slices

LISTED = 40


def label_shift(params: Params, schema: Schema) -> str:
    """Return a table with each slice's number of feedback rows, and its target without and by them.

    The slices are those of `evaluate.slices`, the largest share of feedback first. The target is
    summarized by its median, or by the share of the choice that is most common in the source.
    """
    name = schema.target.name
    rows = read_partitions(params.ingest.source, schema).to_pandas()
    told = (rows[FILE] == FEEDBACK).to_numpy()
    if schema.target.choices:
        common = rows.loc[~told, name].mode()[0]
        rows[name] = (rows[name] == common).astype("float64")
    every = [("all rows", "", np.ones(len(rows), dtype=bool))]
    every += slices(rows, params.evaluate.slices, schema)
    parts = [
        (column, label, rows[name][members], told[members]) for column, label, members in every
    ]
    parts = sorted((part for part in parts if part[3].any()), key=lambda part: -part[3].mean())
    head = ("slice", "rows of feedback", "share", f"{cell(name)} before", "by feedback", "change")
    lines = [_line(*part, share=bool(schema.target.choices)) for part in parts[:LISTED]]
    return folded(f"{name} by feedback, per slice", table(head, "lrrrrr", lines))


def _line(
    column: str, label: str, target: pd.Series, told: NDArray[np.bool_], share: bool
) -> list[str]:
    before, now = (
        float(part.mean() if share else part.median()) for part in (target[~told], target[told])
    )
    known = before > 0 or before < 0  # False for 0 and for NaN: the source has no such row
    return [
        cell(f"{column}: {label}" if label else column),
        f"{told.sum():,}",
        f"{told.mean():.0%}",
        number(before) if known else "",
        number(now),
        f"{now / before - 1:+.0%}" if known else "",
    ]
