"""Random search of hyper-parameters, on all cores or a cluster; the seed decides the result."""

import sys
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import KFold, ParameterSampler, TimeSeriesSplit
from tqdm import tqdm

from mlops.columns import Schema
from mlops.errors import UserError
from mlops.kinds import Kind
from mlops.metric_registry import Metrics
from mlops.metrics import Predictions
from mlops.params import Train
from mlops.pipeline.cluster import run_all
from mlops.pipeline.model import actual_values, build_model, fit_model, predict

Fold = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Indices of the rows to fit on, and of the rows to predict."""


def search(
    rows: pd.DataFrame, given: Kind, train: Train, schema: Schema, metrics: Metrics
) -> tuple[Kind, list[dict[str, Any]]]:
    """Score the given parameters and draws from `train.search.space` by cross-validation.

    Returns:
        The parameters with the best mean of `train.search.metric`, or of the task's leading metric,
        the earlier of equals, and the candidates: one dict of parameters and score each.
    """
    sampler = ParameterSampler(train.search.space, train.search.candidates, random_state=train.seed)
    candidates = [{}, *sampler]
    folds = cut_folds(rows, train, schema)
    name = train.search.metric or metrics.leading
    jobs = [(number, fold) for number in range(len(candidates)) for fold in range(len(folds))]
    scores = np.zeros((len(candidates), len(folds)))
    arguments = [(fold, given.model_copy(update=candidates[n])) for n, fold in jobs]
    data = (rows, folds, train, schema.without_functions(), metrics.only(name), name)
    found = run_all(train.search, _score, data, arguments)
    for done, ((number, fold), value) in enumerate(
        zip(jobs, tqdm(found, desc="search", total=len(jobs), disable=None), strict=True), 1
    ):
        scores[number, fold] = value
        if not sys.stderr.isatty() and done % len(folds) == 0:
            print(f"search: {done} of {len(jobs)} fits", file=sys.stderr)
    means = scores.mean(axis=1)
    known = np.isfinite(means)
    if not known.all():
        few = f"{int((~known).sum())} of {len(candidates)} candidates predict no finite number"
        if not known.any():
            raise UserError(
                f"train.search: {few}: {name} is undefined", advice="Change train.search.space."
            )
        print(f"search: {few}: {name} is undefined, so they are left out", file=sys.stderr)
    goodness = [metrics.goodness(name, mean) if np.isfinite(mean) else -np.inf for mean in means]
    best = int(np.argmax(goodness))
    tried = [
        {**candidate, name: float(mean)} for candidate, mean in zip(candidates, means, strict=True)
    ]
    return given.model_copy(update=candidates[best]), tried


def cut_folds(rows: pd.DataFrame, train: Train, schema: Schema) -> list[Fold]:
    """Split the rows into folds; with dates, each is scored by a model fitted on earlier rows.

    Raises:
        UserError: there are too few rows, or a fold would train on one class.
    """
    if len(rows) <= train.search.folds:
        raise UserError(
            f"train.search.folds {train.search.folds}: found {len(rows)} training rows, wanted "
            "more rows than folds"
        )
    if schema.time is None:
        splitter = KFold(train.search.folds, shuffle=True, random_state=train.seed)
    else:
        splitter = TimeSeriesSplit(train.search.folds)
    folds = list(splitter.split(rows))
    target = rows[schema.target.name].to_numpy()
    for number, (fitted, _) in enumerate(folds, 1):
        if schema.target.choices and len(set(target[fitted])) < 2:
            raise UserError(
                f"train.search.folds {train.search.folds}: the {len(fitted)} training rows of "
                f"fold {number} are all {target[fitted][0]!r}",
                advice="Use fewer folds, or set train.search.candidates to 0.",
            )
    return folds


def _score(
    data: tuple[pd.DataFrame, list[Fold], Train, Schema, Metrics, str], fold: int, kind: Kind
) -> float:
    rows, folds, params, schema, metrics, name = data
    return metrics.score(predict_fold(rows, folds[fold], params, schema, kind))[name]


def predict_fold(
    rows: pd.DataFrame, fold: Fold, params: Train, schema: Schema, kind: Kind
) -> Predictions:
    """Predict a fold's test rows with a model fitted on its training rows."""
    train, test = fold
    target, held_out = schema.target, rows.iloc[test]
    model = fit_model(build_model(kind, params, schema), rows.iloc[train], target)
    fixed = params.threshold if isinstance(params.threshold, float) else None
    predicted = predict(model, held_out, target)
    return Predictions(schema.task, actual_values(held_out, target), predicted, fixed)
