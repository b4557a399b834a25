"""Slices of the rows, which an average may hide: by choice, or by quartile of a number."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlops.columns import Schema

MOST_TEXTS = 20
"""Maximum number of slices of an open feature."""


def slices(
    rows: pd.DataFrame, columns: Sequence[str], schema: Schema
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Yield column, label and membership (shape (n_rows,)) of each slice that has rows."""
    for name in columns:
        values = rows[name]
        gaps = values.isna().to_numpy()
        if schema.feature(name).is_categorical:
            labels = list(schema.feature(name).choices) or _frequent(values)
            coded = values.astype("category").cat
            known = pd.Index(labels, dtype=object).get_indexer(coded.categories)
            places = np.append(known, -1)[coded.codes]
        else:
            labels, places = _quartiles(values)
        for place, label in enumerate(labels):
            members = (places == place) & ~gaps
            if members.any():
                yield name, label, members
        if gaps.any():
            yield name, "missing", gaps


def _frequent(values: pd.Series) -> list[str]:
    """List the most frequent texts of an open feature."""
    counts = values.value_counts()
    return sorted(counts.index, key=lambda text: (-counts[text], text))[:MOST_TEXTS]


def _quartiles(values: pd.Series) -> tuple[list[str], NDArray[np.intp]]:
    """Return the labels of the quartiles, and the index of each number's quartile."""
    present = values.dropna()
    edges = np.unique(np.quantile(present, [0.25, 0.5, 0.75])) if len(present) else np.array([])
    named = [f"{edge:,.6g}" for edge in edges]
    labels = [f"≤ {named[0]}"] if named else ["all"]
    labels += [f"{low} – {high}" for low, high in itertools.pairwise(named)]
    labels += [f"> {named[-1]}"] if named else []
    return labels, np.searchsorted(edges, values)
