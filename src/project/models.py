"""The kinds of model: `train.kind` in params.yaml names one; `models:` has its hyper-parameters.

A kind is an entry in KINDS: a class with its hyper-parameters as typed fields, and a method that
builds the estimator. A new hyper-parameter is a field here and a line in params.yaml.
"""

from typing import Annotated

from pydantic import Field
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlops.kinds import Kind, library
from mlops.metrics import Task
from mlops.pipeline.preprocessing import NumberedClasses, one_hot
from mlops.typed_yaml import PositiveFloat, PositiveInt


class Linear(Kind):
    """Ridge regression, or logistic regression with the same penalty."""

    alpha: PositiveFloat

    def estimator(self, task: Task, seed: int) -> BaseEstimator:
        numbers = one_hot(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
        if task == "regression":
            return make_pipeline(numbers, Ridge(alpha=self.alpha))
        return make_pipeline(numbers, LogisticRegression(C=1 / self.alpha, max_iter=1000))


class Forest(Kind):
    n_estimators: PositiveInt
    min_samples_leaf: PositiveInt

    def estimator(self, task: Task, seed: int) -> BaseEstimator:
        kind = RandomForestRegressor if task == "regression" else RandomForestClassifier
        forest = kind(**self.model_dump(), random_state=seed, n_jobs=-1)
        return make_pipeline(one_hot(SimpleImputer(strategy="median", add_indicator=True)), forest)


class Boosting(Kind):
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    max_iter: PositiveInt
    max_leaf_nodes: Annotated[int, Field(ge=2)]
    min_samples_leaf: PositiveInt
    l2_regularization: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    def estimator(self, task: Task, seed: int) -> BaseEstimator:
        regression = task == "regression"
        kind = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
        return kind(
            **self.model_dump(),
            categorical_features="from_dtype",
            early_stopping=False,  # it would hold out rows, by their order, and train on fewer
            random_state=seed,
        )


class LightGBM(Kind):
    """LightGBM reads a missing value as 0 if the feature was never missing in training."""

    learning_rate: Annotated[float, Field(gt=0, le=1)]
    n_estimators: PositiveInt
    num_leaves: Annotated[int, Field(ge=2)]
    min_child_samples: PositiveInt
    reg_lambda: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    def estimator(self, task: Task, seed: int) -> BaseEstimator:
        lightgbm = library("lightgbm", package="lightgbm")
        kind = lightgbm.LGBMRegressor if task == "regression" else lightgbm.LGBMClassifier
        # The same bytes on every machine: without n_jobs, they include its number of cores.
        reproducible = {"deterministic": True, "force_row_wise": True, "n_jobs": 1}
        return kind(**self.model_dump(), **reproducible, random_state=seed, verbose=-1)


class XGBoost(Kind):
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    n_estimators: PositiveInt
    max_depth: PositiveInt
    min_child_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    reg_lambda: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    def estimator(self, task: Task, seed: int) -> BaseEstimator:
        xgboost = library("xgboost", package="xgboost-cpu")
        shared = {"enable_categorical": True, "n_jobs": 1, "random_state": seed}
        if task == "regression":
            return xgboost.XGBRegressor(**self.model_dump(), **shared)
        return NumberedClasses(xgboost.XGBClassifier(**self.model_dump(), **shared))


KINDS: dict[str, type[Kind]] = {
    "ridge": Linear,
    "random_forest": Forest,
    "hist_gradient_boosting": Boosting,
    "lightgbm": LightGBM,
    "xgboost": XGBoost,
}
