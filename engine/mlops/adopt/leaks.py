"""Does one column alone tell the target? Then it is the target in other words, or its result."""

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.tree import DecisionTreeClassifier

from mlops.metrics import Task

_RANKS = 0.98  # correlation of ranks, of a number with a number
_RIGHT = 0.999  # share of rows whose class one column tells


def gives_away(values: pd.Series, target: pd.Series, task: Task) -> bool:
    """Tell whether a feature alone predicts the target all but perfectly."""
    known = values.notna()
    feature = values[known]
    if feature.nunique() < 2 or target[known].nunique() < 2:
        return False
    if not pd.api.types.is_numeric_dtype(feature):
        feature = pd.Series(pd.factorize(feature, sort=True)[0], index=feature.index)
    if task == "regression":
        return bool(abs(spearmanr(feature, target[known]).statistic) > _RANKS)
    # As many leaves as classes: more would learn the rows by heart.
    tree = DecisionTreeClassifier(max_leaf_nodes=max(2, target.nunique()), random_state=0)
    column = feature.to_numpy(dtype=np.float64)[:, None]
    labels = target[known].astype(str)
    return bool(tree.fit(column, labels).score(column, labels) > _RIGHT)
