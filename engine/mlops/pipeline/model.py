"""The estimators: one builder for each `train.kind`, from raw columns to predictions.

Stages run as `__main__`, where a class or function can't be unpickled from; so all that a saved
model refers to stands here.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from mlops.errors import BadInput
from mlops.metrics import Floats, Task
from mlops.params import Train
from mlops.schema import SCHEMA

_ROWS_WORTH_THREADS = 50_000
"""With fewer rows, threads wait for each other longer than they work, above all when it is busy."""


def as_features(rows: pd.DataFrame) -> pd.DataFrame:
    """Pick the features in the table's order: float64, or the column's choices as a category.

    A choice that the table doesn't know becomes a missing value.
    """
    columns: dict[str, pd.Series] = {}
    for column in SCHEMA.features:
        values = rows[column.name]
        if column.is_categorical:
            choices = list(column.choices)
            columns[column.name] = values.where(values.isin(choices)).astype(
                pd.CategoricalDtype(choices)
            )
        else:
            columns[column.name] = values.astype("float64")
    return pd.DataFrame(columns, index=rows.index)


def build_model(params: Train, task: Task) -> Pipeline:
    """Build the unfitted pipeline that `train.kind` names; it takes raw rows.

    Raises:
        BadInput: there is no such kind.
    """
    if params.kind not in KINDS:
        raise BadInput(
            f"params.yaml: train.kind: {params.kind!r}: wanted one of {', '.join(KINDS)}",
            advice="A kind of your own is an entry in KINDS of src/mlops/pipeline/model.py.",
        )
    estimator = KINDS[params.kind](params, task)
    if params.log_target and task == "regression":
        estimator = TransformedTargetRegressor(estimator, func=np.log, inverse_func=np.exp)
    return make_pipeline(FunctionTransformer(as_features), estimator)


def fit_model(model: Pipeline, rows: pd.DataFrame) -> Pipeline:
    """Fit in place, so that the result's bytes don't depend on the number of threads.

    Linear algebra runs on one thread, since the order of a sum changes its last bits. Trees grow
    alike on any number; the number itself is taken out of what is saved.
    """
    target = rows[SCHEMA.target.name]
    with _threads_for(rows):
        model.fit(rows, target.to_numpy(dtype=object if SCHEMA.target.choices else "float64"))
    for estimator in _inner(model):
        if getattr(estimator, "n_jobs", None) is not None:
            estimator.n_jobs = None  # a forest that predicts on threads adds up in any order
        if hasattr(estimator, "_bin_mapper"):
            estimator._bin_mapper.n_threads = 1
    return model


def at_recent_level(rows: pd.DataFrame, model: Pipeline, days: int) -> pd.DataFrame:
    """Multiply targets older than the newest `days` so that `model` is right on both in the median.

    Appraisers adjust old sales to today's level before they compare (International Association of
    Assessing Officers, Standard on Mass Appraisal, 2017, section 5); in forecasting, it mends a
    shift of level that no feature tells of (Clements & Hendry, Forecasting Economic Time Series,
    1998, chapter 8).
    """
    assert SCHEMA.time is not None, "params.py lets none of this pass without dates"
    when, target = rows[SCHEMA.time.name], rows[SCHEMA.target.name].astype("float64")
    recent = (when > when.max() - pd.Timedelta(days=days)).to_numpy()
    level = target.to_numpy() / predict(model, rows, "regression")
    factor = np.median(level[recent]) / np.median(level[~recent]) if not recent.all() else 1.0
    return rows.assign(**{SCHEMA.target.name: target.where(recent, target * factor)})


def predict(model: Pipeline, rows: pd.DataFrame, task: Task) -> Floats:
    """Predict values, shape (n_rows,), or probabilities of the target's choices in their order,
    shape (n_rows, n_choices).
    """
    with _threads_for(rows):
        if task == "regression":
            return np.asarray(model.predict(rows), dtype=np.float64)
        known = model.predict_proba(rows)
    proba = np.zeros((len(rows), len(SCHEMA.target.choices)))
    proba[:, [SCHEMA.target.choices.index(choice) for choice in model.classes_]] = known
    return proba


def actual_values(rows: pd.DataFrame, task: Task) -> Floats:
    """Give the target as `mlops.metrics` takes it: values, or the places of the choices."""
    target = rows[SCHEMA.target.name]
    if task == "regression":
        return target.to_numpy(dtype=np.float64)
    codes: NDArray[Any] = pd.Categorical(target, categories=list(SCHEMA.target.choices)).codes
    return codes.astype(np.float64)


def _threads_for(rows: pd.DataFrame) -> threadpool_limits:
    return threadpool_limits(1, user_api=None if len(rows) < _ROWS_WORTH_THREADS else "blas")


def _inner(model: Any) -> list[BaseEstimator]:
    """List the fitted estimators that do the learning."""
    last = model.steps[-1][1] if isinstance(model, Pipeline) else model
    inner = getattr(last, "regressor_", None)
    if inner is not None:
        return _inner(inner)
    return [last] if last is model else _inner(last)


def _columns(numeric: list[Any]) -> ColumnTransformer:
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(*numeric), make_column_selector(dtype_include="number")),
            (
                "categories",
                # Rare choices share a column; so does any choice that training never saw.
                OneHotEncoder(
                    min_frequency=10, handle_unknown="infrequent_if_exist", sparse_output=False
                ),
                make_column_selector(dtype_include="category"),
            ),
        ]
    )


def _linear(params: Train, task: Task) -> Pipeline:
    numeric = [SimpleImputer(strategy="median", add_indicator=True), StandardScaler()]
    if task == "regression":
        return make_pipeline(_columns(numeric), Ridge(alpha=params.alpha))
    return make_pipeline(_columns(numeric), LogisticRegression(C=1 / params.alpha, max_iter=1000))


def _forest(params: Train, task: Task) -> Pipeline:
    kind = RandomForestRegressor if task == "regression" else RandomForestClassifier
    forest = kind(
        n_estimators=params.n_estimators,
        min_samples_leaf=params.min_samples_leaf,
        random_state=params.seed,
        n_jobs=-1,
    )
    return make_pipeline(_columns([SimpleImputer(strategy="median", add_indicator=True)]), forest)


def _boosting(params: Train, task: Task) -> BaseEstimator:
    regression = task == "regression"
    kind = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    return kind(
        learning_rate=params.learning_rate,
        max_iter=params.max_iter,
        max_leaf_nodes=params.max_leaf_nodes,
        min_samples_leaf=params.min_samples_leaf,
        l2_regularization=params.l2_regularization,
        categorical_features="from_dtype",
        early_stopping=False,  # it would set rows aside by their order, and train on fewer
        random_state=params.seed,
    )


KINDS: dict[str, Callable[[Train, Task], BaseEstimator]] = {
    "ridge": _linear,
    "random_forest": _forest,
    "hist_gradient_boosting": _boosting,
}
