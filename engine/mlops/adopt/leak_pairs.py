"""Find pairs of features, or single ones, that nearly determine the target; ask about each."""

import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeRegressor

from mlops.metrics import Floats, Task

_ROWS, _COLUMNS = 2000, 30  # maximum numbers to examine
_RANKS = 0.999  # rank correlation with the target, or 2 AUC - 1 (absolute values)
_NEARLY_ALL = 0.97  # R² of a tree on one feature, cross-validated


Finding = tuple[str, tuple[str, ...]]
"""The finding in words, and its features."""


def questions(features: pd.DataFrame, target: pd.Series, task: Task) -> list[Finding]:
    """Find features that determine the target, two together or one nearly alone."""
    rows = features.sample(min(_ROWS, len(features)), random_state=0)
    actual = target.loc[rows.index]
    if task == "classification":
        if actual.nunique() != 2:
            return []
        actual = pd.Series(pd.factorize(actual, sort=True)[0], index=actual.index)
    numbers = rows.select_dtypes("number").astype("float64")
    known = numbers.notna().all(axis=1).to_numpy()
    truth = actual.to_numpy(dtype=np.float64)
    asked = list[Finding]()
    if known.sum() >= 20 and np.ptp(truth[known]):
        told = numbers.loc[known]
        # Of many, keep those that agree most with the target: one of a pair does.
        alone = {name: _agreement(told[name].to_numpy(), truth[known], task) for name in told}
        names = sorted(alone, key=lambda name: -alone[name])[:_COLUMNS]
        for a, b in itertools.combinations(sorted(names, key=list(told).index), 2):
            for words, values in _together(str(a), str(b), told[a].to_numpy(), told[b].to_numpy()):
                if max(alone[a], alone[b]) < _RANKS < _agreement(values, truth[known], task):
                    asked.append((f"{words} determines {target.name}", (str(a), str(b))))
                    break
    asked += [
        (f"{name} alone determines {share:.0%} of {target.name}", (name,))
        for name, share in _nearly_all(rows, actual, task)
    ]
    return asked


def _together(a: str, b: str, x: Floats, y: Floats) -> Iterator[tuple[str, Floats]]:
    yield f"{a} - {b}", x - y
    yield f"{a} + {b}", x + y
    yield f"{a} * {b}", x * y
    if (y != 0).all():
        yield f"{a} / {b}", x / y
    if (x != 0).all():
        yield f"{b} / {a}", y / x


def _agreement(values: Floats, truth: Floats, task: Task) -> float:
    """Return the agreement of ranks, 0 to 1: |correlation|, or |2 AUC - 1| for two classes."""
    if not np.ptp(values):
        return 0.0
    ranks = rankdata(values)
    if task == "regression":
        return abs(float(np.corrcoef(ranks, rankdata(truth))[0, 1]))
    positive = truth == 1
    n, m = int(positive.sum()), int((~positive).sum())
    area = (ranks[positive].sum() - n * (n + 1) / 2) / (n * m)
    return abs(2 * float(area) - 1)


def _nearly_all(rows: pd.DataFrame, actual: pd.Series, task: Task) -> Iterator[tuple[str, float]]:
    if task == "classification" or len(rows) < 60:
        return
    for name in rows.columns[:_ROWS]:
        values = rows[name]
        if not pd.api.types.is_numeric_dtype(values):
            means = actual.groupby(values).mean()  # only the order of categories counts
            if values.nunique() > len(rows) / 20:
                continue
            values = values.map(means.rank())
        tree = DecisionTreeRegressor(min_samples_leaf=5, random_state=0)
        column = values.astype("float64").to_numpy()[:, None]
        share = float(np.mean(cross_val_score(tree, column, actual, cv=3)))
        if share > _NEARLY_ALL:
            yield name, share
