"""Find a column that alone predicts the target: it is the target in other form, or its result."""

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.tree import DecisionTreeClassifier

from mlops.metrics import Task

_RANKS = 0.98  # rank correlation of two numbers
_RANGES, _IN_RANGE = 20, 5  # maximum of ranges that a feature encodes, minimum of rows in each
_ROWS = 20  # with fewer, any column may predict the target by chance
_RIGHT = 0.999  # share of rows whose class one column predicts


def gives_away(values: pd.Series, target: pd.Series, task: Task) -> bool:
    """Return whether a feature alone predicts the target almost perfectly."""
    known = values.notna()
    feature = values[known]
    if len(feature) < _ROWS or feature.nunique() < 2 or target[known].nunique() < 2:
        return False
    if not pd.api.types.is_numeric_dtype(feature):
        feature = pd.Series(pd.factorize(feature, sort=True)[0], index=feature.index)
    if task == "regression":
        if _is_cut(feature, target[known]):
            return True
        return bool(abs(spearmanr(feature, target[known]).statistic) > _RANKS)
    # As many leaves as classes: more would overfit.
    tree = DecisionTreeClassifier(max_leaf_nodes=max(2, target.nunique()), random_state=0)
    column = feature.to_numpy(dtype=np.float64)[:, None]
    labels = target[known].astype(str)
    return bool(tree.fit(column, labels).score(column, labels) > _RIGHT)


def _is_cut(feature: pd.Series, target: pd.Series) -> bool:
    """Return whether a feature is the target's sign, or encodes one of a few ranges of it.

    Then its values form contiguous blocks when rows are sorted by the target.
    """
    counts = feature.value_counts()
    if len(counts) > _RANGES or counts.min() < _IN_RANGE:
        return False
    codes = pd.factorize(feature)[0][np.argsort(target.to_numpy(), kind="stable")]
    return int((np.diff(codes) != 0).sum()) + 1 == len(counts)
