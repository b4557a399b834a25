"""Kinds of model: libraries that are missing, and estimators that nobody named."""

import builtins
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    AdaBoostRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import BayesianRidge, LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor

from fitted import SCHEMAS, chosen
from mlops.errors import UserError
from mlops.frames import with_derived, write_rows
from mlops.inference.engine import Exported
from mlops.kinds import Kind
from mlops.metrics import Task
from mlops.params import Params
from mlops.pipeline import serving_engine
from mlops.pipeline.model import build_model, fit_model, predict
from mlops.pipeline.preprocessing import NumberedClasses, one_hot
from mlops.sampling import valid_rows
from project.models import KINDS


@pytest.mark.parametrize(
    ("kind", "package"), [("lightgbm", "lightgbm"), ("xgboost", "xgboost-cpu")]
)
def test_a_library_that_is_missing_is_named_with_the_line_to_type(
    kind: str, package: str, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, train = chosen(params, kind)
    monkeypatch.setitem(__import__("sys").modules, kind, None)

    with pytest.raises(UserError, match=f"needs {package}, which is not installed") as raised:
        build_model(own, train, SCHEMAS["regression"])

    assert f"make lock ADD={package}" in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("lightgbm", {"num_leaves": 1}),
        ("lightgbm", {"learning_rate": 0}),
        ("lightgbm", {"num_leafs": 3}),
        ("xgboost", {"max_depth": 0}),
        ("xgboost", {"reg_lambda": float("nan")}),
        ("xgboost", {"min_child_weight": "5"}),
    ],
)
def test_a_wrong_hyper_parameter_is_named(kind: str, wrong: dict[str, Any], params: Params) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        KINDS[kind].model_validate({**params.models[kind], **wrong})


def imputed(estimator: BaseEstimator) -> BaseEstimator:
    return make_pipeline(one_hot(SimpleImputer(strategy="median")), estimator)


UNNAMED: dict[str, Callable[[], BaseEstimator]] = {
    "extra trees": lambda: imputed(ExtraTreesRegressor(10, random_state=0)),
    "boosted trees": lambda: imputed(GradientBoostingRegressor(n_estimators=10, random_state=0)),
    "a tree": lambda: imputed(DecisionTreeRegressor(max_depth=4, random_state=0)),
    "AdaBoost": lambda: imputed(AdaBoostRegressor(n_estimators=5, random_state=0)),
    "neighbours": lambda: imputed(KNeighborsRegressor()),
    "support vectors": lambda: imputed(SVR()),
    "a network": lambda: make_pipeline(
        one_hot(SimpleImputer(), StandardScaler()),
        MLPRegressor(hidden_layer_sizes=(5,), max_iter=200, random_state=0),
    ),
    "Bayesian ridge": lambda: imputed(BayesianRidge()),
    "least squares": lambda: imputed(LinearRegression()),
    "ridge of products": lambda: make_pipeline(
        one_hot(SimpleImputer(), StandardScaler()), PolynomialFeatures(2), Ridge(alpha=10)
    ),
    "ridge of neighbours' values": lambda: make_pipeline(one_hot(KNNImputer()), Ridge()),
    "ridge, scaled, of means": lambda: make_pipeline(
        one_hot(SimpleImputer(strategy="mean"), StandardScaler()), Ridge()
    ),
    "a forest of another criterion": lambda: imputed(
        RandomForestRegressor(5, criterion="friedman_mse", max_features=0.5, random_state=0)
    ),
}
EXPORTED = {"ridge, scaled, of means", "a forest of another criterion"}
CLASSIFIERS: dict[str, Callable[[], BaseEstimator]] = {
    "extra trees": lambda: imputed(ExtraTreesClassifier(10, random_state=0)),
    "naive Bayes": lambda: imputed(GaussianNB()),
    "numbered classes": lambda: NumberedClasses(imputed(LogisticRegression(max_iter=2000))),
}


def kind_of(made: Callable[[], BaseEstimator]) -> type[Kind]:
    class Own(Kind):
        def estimator(self, task: Task, seed: int) -> BaseEstimator:
            return made()

    return Own


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    ("schema", "name"),
    [*(("regression", n) for n in UNNAMED), *(("three classes", n) for n in CLASSIFIERS)],
)
def test_any_estimator_is_a_kind_and_is_exported_or_served_pickled_with_the_reason(
    schema: str, name: str, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = SCHEMAS[schema]
    made = (UNNAMED if schema == "regression" else CLASSIFIERS)[name]
    _, train = chosen(params, "ridge")
    rows = with_derived(valid_rows(known, 300, seed=1, missing=0.1), known)
    write_rows(tmp_path / "rows.parquet", rows)
    for path in ("TRAIN_ROWS", "TEST_ROWS"):
        monkeypatch.setattr(serving_engine, path, tmp_path / "rows.parquet")

    model = fit_model(build_model(kind_of(made)(), train, known), rows, known.target)
    published = serving_engine.publish_engine(tmp_path, model, known)

    if name in EXPORTED or name == "numbered classes":
        assert published["engine_reason"] is None
        engine = Exported.read(tmp_path, published["engine_files"])
        features = {c.name: [None] for c in known.features}
        assert np.isfinite(engine.predict_columns(features)).all()
    else:
        assert published["engine"] == "joblib"
        assert published["engine_reason"]
    assert np.isfinite(predict(model, rows, known.target)).all()
    assert json.dumps(published)


def test_a_kind_that_imports_nothing_of_its_library_is_checked_without_it(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`python -m mlops.params` and a search's parameters need no library."""
    real = builtins.__import__

    def refused(name: str, *given: Any, **named: Any) -> Any:
        assert name not in ("lightgbm", "xgboost")
        return real(name, *given, **named)

    monkeypatch.setattr(builtins, "__import__", refused)
    for kind in ("lightgbm", "xgboost"):
        KINDS[kind].model_validate(params.models[kind])
