"""Parts of the rows that an average may hide: by choice, or by quartile of a number."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlops.columns import Schema


def slices(
    rows: pd.DataFrame, columns: Sequence[str], schema: Schema
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Yield column, label and membership (shape (n_rows,)) of each slice that has rows."""
    for name in columns:
        values = rows[name]
        if schema[name].is_categorical:
            labels = values.astype("object").where(values.notna(), "missing")
            order = [*schema[name].choices, "missing"]
        else:
            labels, order = _quartiles(values)
        for label in order:
            members = (labels == label).to_numpy(dtype=bool)
            if members.any():
                yield name, label, members


def _quartiles(values: pd.Series) -> tuple[pd.Series, list[str]]:
    """Label numbers by the quartile of these rows that they fall in."""
    present = values.dropna()
    edges = np.unique(np.quantile(present, [0.25, 0.5, 0.75])) if len(present) else np.array([])
    named = [f"{edge:,.6g}" for edge in edges]
    order = [f"≤ {named[0]}"] if named else ["all"]
    order += [f"{low} – {high}" for low, high in itertools.pairwise(named)]
    order += [f"> {named[-1]}"] if named else []
    places = np.searchsorted(edges, values.fillna(0))
    labels = pd.Series(np.array(order, dtype=object)[places], index=values.index)
    return labels.where(values.notna(), "missing"), [*order, "missing"]
