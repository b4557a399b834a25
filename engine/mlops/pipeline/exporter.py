"""Export a fitted pipeline as plain tables and trees, which `mlops.inference.engine` reads."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline

from mlops.columns import Schema
from mlops.inference.engine import LEAVES_FILE, MASKS_FILE, TREES_FILE
from mlops.metrics import Floats
from mlops.pipeline.export_encoding import NotExportable, find_encoding
from mlops.pipeline.leaf_masks import leaf_masks
from mlops.pipeline.preprocessing import NumberedClasses
from mlops.pipeline.treelite_forest import Forest, as_forest

_BOOSTED = (HistGradientBoostingRegressor, HistGradientBoostingClassifier)
_FORESTS = (RandomForestRegressor, RandomForestClassifier)
_OF_CATEGORIES = ("lightgbm", "xgboost")  # libraries whose trees accept pandas' categories


@dataclass(frozen=True)
class Form:
    """An exported model.

    Attributes:
        content: plain values, documented in `inference.engine.Exported`.
        files: further files that the engine reads, by name.
        thresholds: feature -> the values at which trees split it, in ascending order.
        texts: open feature -> the texts that the model knows.
    """

    content: dict[str, Any]
    files: dict[str, bytes]
    thresholds: dict[str, Floats]
    texts: dict[str, list[str]]


def export_form(model: Pipeline, schema: Schema) -> Form:
    """Export a pipeline of `mlops.pipeline.model`.

    Raises:
        NotExportable: a part of it can't be written as tables.
    """
    frame, inner = model.steps[0][1], model.steps[-1][1]
    inverse, preprocessor = None, None
    if isinstance(inner, TransformedTargetRegressor):
        if inner.inverse_func is not np.exp:
            raise NotExportable(f"the target's inverse function {inner.inverse_func}")
        inner, inverse = inner.regressor_, "exp"
    classes = getattr(inner, "classes_", ())
    if isinstance(inner, NumberedClasses):
        inner = inner.classifier_
    if isinstance(inner, _BOOSTED):
        preprocessor, estimator = inner._preprocessor, inner
    elif isinstance(inner, Pipeline) and _is_tabular(inner):
        preprocessor, estimator = inner.steps[0][1], inner.steps[1][1]
    elif _library(inner) in _OF_CATEGORIES:
        estimator = inner
    else:
        raise NotExportable(f"estimator {type(inner).__name__}")
    encoding = find_encoding(frame, preprocessor, schema)
    choices = schema.target.choices
    content = {
        "encoding": encoding.as_json(),
        "inverse": inverse,
        "n_choices": len(choices),
        "classes": [choices.index(choice) for choice in classes],
    }
    more, files, thresholds = _learned(estimator, len(classes))
    named = {n.name: thresholds[n.at] for n in encoding.numbers if n.at in thresholds}
    return Form({**content, **more}, files, named, frame.known_)


def _is_tabular(pipeline: Pipeline) -> bool:
    return len(pipeline.steps) == 2 and isinstance(pipeline.steps[0][1], ColumnTransformer)


def _library(estimator: Any) -> str:
    return type(estimator).__module__.partition(".")[0]


_Learned = tuple[dict[str, Any], dict[str, bytes], dict[int, Floats]]
"""Content and files of a form, and the thresholds of each column of the matrix."""


def _learned(estimator: Any, n_classes: int) -> _Learned:
    """Return an estimator's learned parameters."""
    link = {0: "identity", 2: "sigmoid"}.get(n_classes, "softmax")
    if isinstance(estimator, Ridge | LogisticRegression):
        coef, intercept = np.atleast_2d(estimator.coef_), np.atleast_1d(estimator.intercept_)
        weights = {"coef": coef.tolist(), "intercept": intercept.tolist()}
        return {"link": link, **weights}, {}, {}
    if isinstance(estimator, _BOOSTED) and (masks := leaf_masks(estimator)):
        listed = {"thresholds": masks.thresholds, "baseline": masks.baseline}
        files = {MASKS_FILE: _npy(masks.masks), LEAVES_FILE: _npy(masks.leaves)}
        thresholds = {column: np.array(values) for column, values in masks.thresholds}
        return {"link": link, "masks": listed}, files, thresholds
    if isinstance(estimator, _FORESTS):
        return _of_forest(as_forest(estimator, "sklearn"), "identity", max(1, n_classes))
    if (library := _library(estimator)) in _OF_CATEGORIES or isinstance(estimator, _BOOSTED):
        return _of_forest(as_forest(estimator, library), link, 1 if n_classes <= 2 else n_classes)
    raise NotExportable(f"estimator {type(estimator).__name__}")


def _of_forest(forest: Forest, link: str, n_outputs: int) -> _Learned:
    content = {
        "link": link,
        "n_outputs": n_outputs,
        "single_precision": forest.single_precision,
        "start": forest.start,
    }
    return content, {TREES_FILE: forest.trees}, forest.thresholds


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
