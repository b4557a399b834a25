"""Build, fit and apply the pipeline around the estimator of a kind of model.

Stages run as `__main__`, from which classes and functions can't be unpickled, so a saved model
must not refer to a stage's module.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from threadpoolctl import threadpool_limits

from mlops.columns import Column, Schema
from mlops.errors import UserError
from mlops.kinds import Kind
from mlops.metrics import Floats
from mlops.params import Train
from mlops.pipeline.feature_frame import FeatureFrame
from mlops.pipeline.preprocessing import NumberedClasses

_ROWS_WORTH_THREADS = 50_000
"""With fewer rows, threads wait longer than they work, above all on a busy machine."""


def build_model(kind: Kind, train: Train, schema: Schema) -> Pipeline:
    """Build the unfitted pipeline around a kind's estimator; it takes raw rows."""
    task = schema.task
    estimator = kind.estimator(task, train.seed)
    if train.log_target and task == "regression":
        estimator = TransformedTargetRegressor(estimator, func=np.log, inverse_func=np.exp)
    frame = FeatureFrame(
        {feature.name: feature.choices for feature in schema.features},
        tuple(feature.name for feature in schema.features if feature.open),
        log_target=train.log_target and task == "regression",
        seed=train.seed,
    )
    return make_pipeline(frame, estimator)


def fit_model(model: Pipeline, rows: pd.DataFrame, target: Column) -> Pipeline:
    """Fit in place, so that the result's bytes don't depend on the number of threads.

    Linear algebra runs on one thread, because the order of a sum changes its last bits. Trees are
    the same with any number of threads; that number is removed from the saved model.
    """
    values = rows[target.name].to_numpy(dtype=object if target.choices else "float64")
    with _threads_for(rows):
        model.fit(rows, values)
    for estimator in _inner(model):
        if getattr(estimator, "n_jobs", None) is not None:
            estimator.n_jobs = None  # a forest that predicts on threads sums in any order
        if hasattr(estimator, "_bin_mapper"):
            estimator._bin_mapper.n_threads = 1
    return model


def rescale_to_recent_level(
    rows: pd.DataFrame, model: Pipeline, days: int, schema: Schema
) -> pd.DataFrame:
    """Rescale targets older than the last `days` to the recent rows' median of target / prediction.

    Appraisers adjust old sales to today's level before they compare (International Association of
    Assessing Officers, Standard on Mass Appraisal, 2017, section 5); in forecasting, this corrects
    a level shift that no feature explains (Clements & Hendry, Forecasting Economic Time Series,
    1998, chapter 8).
    """
    assert schema.time is not None, "params.py lets none of this pass without dates"
    when, target = rows[schema.time.name], rows[schema.target.name].astype("float64")
    recent = (when > when.max() - pd.Timedelta(days=days)).to_numpy()
    level = target.to_numpy() / predict(model, rows, schema.target)
    if recent.all():
        return rows
    factor = np.median(level[recent]) / np.median(level[~recent])
    if not 0 < factor < np.inf:
        raise UserError(
            f"train.level_days {days}: targets of 0 or less can't be rescaled",
            advice="Set it to null.",
        )
    return rows.assign(**{schema.target.name: target.where(recent, target * factor)})


def predict(model: Pipeline, rows: pd.DataFrame, target: Column) -> Floats:
    """Predict values, shape (n_rows,), or probabilities of the target's choices in their order,
    shape (n_rows, n_choices).
    """
    with _threads_for(rows):
        if not target.choices:
            return np.asarray(model.predict(rows), dtype=np.float64)
        known = model.predict_proba(rows)
    proba = np.zeros((len(rows), len(target.choices)))
    proba[:, [target.choices.index(choice) for choice in model.classes_]] = known
    return proba


def actual_values(rows: pd.DataFrame, target: Column) -> Floats:
    """Return the target in the form of `mlops.metrics`: values, or indices of the choices."""
    values = rows[target.name]
    if not target.choices:
        return values.to_numpy(dtype=np.float64)
    codes: NDArray[Any] = pd.Categorical(values, categories=list(target.choices)).codes
    return codes.astype(np.float64)


def _threads_for(rows: pd.DataFrame) -> threadpool_limits:
    return threadpool_limits(1, user_api=None if len(rows) < _ROWS_WORTH_THREADS else "blas")


def _inner(model: Any) -> list[BaseEstimator]:
    """Return the fitted innermost estimator, as a list."""
    last = model.steps[-1][1] if isinstance(model, Pipeline) else model
    inner = getattr(last, "regressor_", None)
    if isinstance(last, NumberedClasses):
        inner = last.classifier_
    if inner is not None:
        return _inner(inner)
    return [last] if last is model else _inner(last)
