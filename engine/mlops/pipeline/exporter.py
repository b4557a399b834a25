"""A fitted pipeline as plain tables and trees: what `mlops.serving.engine` reads."""

import copy
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline

from mlops.columns import Schema
from mlops.metrics import Floats
from mlops.pipeline.leaf_masks import leaf_masks
from mlops.serving.encoding import Category, Encoding, Number
from mlops.serving.engine import LEAVES_FILE, MASKS_FILE, TREES_FILE

_BOOSTED = (HistGradientBoostingRegressor, HistGradientBoostingClassifier)
_FORESTS = (RandomForestRegressor, RandomForestClassifier)


class NotExportable(Exception):
    """The pipeline has a part that there are no tables for; the message names it."""


@dataclass(frozen=True)
class Form:
    """An exported model.

    Attributes:
        content: what `serving.engine.Exported` documents, as plain values.
        files: what else the engine reads, by name.
        thresholds: feature -> the values at which trees split it, in ascending order.
    """

    content: dict[str, Any]
    files: dict[str, bytes]
    thresholds: dict[str, Floats]


def export_form(model: Pipeline, schema: Schema) -> Form:
    """Take a pipeline of `mlops.pipeline.model` apart.

    Raises:
        NotExportable: it is built in a way that there are no tables for.
    """
    inner, inverse = model.steps[-1][1], None
    categories = [column for column in schema.features if column.choices]
    names = [column.name for column in schema.features if not column.choices]
    if isinstance(inner, TransformedTargetRegressor):
        if inner.inverse_func is not np.exp:
            raise NotExportable(f"the target's inverse function {inner.inverse_func}")
        inner, inverse = inner.regressor_, "exp"
    if isinstance(inner, _BOOSTED):
        preprocessor, estimator = inner._preprocessor, inner
        numbers = _as_they_are(names, 0 if preprocessor is None else len(categories))
    elif isinstance(inner, Pipeline) and isinstance(inner.steps[0][1], ColumnTransformer):
        preprocessor, estimator = inner.steps[0][1], inner.steps[-1][1]
        numbers = _imputed(names, preprocessor)
    else:
        raise NotExportable(f"estimator {type(inner).__name__}")
    if preprocessor is None:
        encoding = Encoding(len(numbers), numbers, [])
    else:
        encoding = _encoding(make_pipeline(model.steps[0][1], preprocessor), numbers, schema)
    choices, classes = schema.target.choices, getattr(estimator, "classes_", ())
    content = {
        "encoding": encoding.as_json(),
        "inverse": inverse,
        "n_choices": len(choices),
        "classes": [choices.index(choice) for choice in classes],
    }
    if isinstance(estimator, (*_BOOSTED, *_FORESTS)):
        return _trees(estimator, content, encoding)
    return _linear(estimator, content)


def _linear(estimator: Any, content: dict[str, Any]) -> Form:
    if not isinstance(estimator, Ridge | LogisticRegression):
        raise NotExportable(f"estimator {type(estimator).__name__}")
    links = {0: "identity", 2: "sigmoid"}
    weights = {
        "link": links.get(len(content["classes"]), "softmax"),
        "coef": np.atleast_2d(estimator.coef_).tolist(),
        "intercept": np.atleast_1d(estimator.intercept_).tolist(),
    }
    return Form({**content, **weights}, {}, {})


def _trees(estimator: Any, content: dict[str, Any], encoding: Encoding) -> Form:
    boosted, n_classes = isinstance(estimator, _BOOSTED), len(content["classes"])
    thresholds = _thresholds(estimator, encoding)
    if boosted:
        content = {**content, "link": {0: "identity", 2: "sigmoid"}.get(n_classes, "softmax")}
        if masks := leaf_masks(estimator):
            listed = {"thresholds": masks.thresholds, "baseline": masks.baseline}
            files = {MASKS_FILE: _npy(masks.masks), LEAVES_FILE: _npy(masks.leaves)}
            return Form({**content, "masks": listed}, files, thresholds)
        # The encoding does what its preprocessor did, and treelite takes no categories of text.
        estimator = copy.copy(estimator)
        estimator._preprocessor = None
        n_outputs = 1 if n_classes <= 2 else n_classes
    else:
        content = {**content, "link": "identity"}
        n_outputs = max(1, n_classes)
    import treelite

    trees = treelite.sklearn.import_model(estimator).serialize_bytes()
    content = {**content, "n_outputs": n_outputs, "single_precision": not boosted}
    return Form(content, {TREES_FILE: trees}, thresholds)


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _thresholds(estimator: Any, encoding: Encoding) -> dict[str, Floats]:
    if isinstance(estimator, _BOOSTED):
        trees = [tree.nodes for step in estimator._predictors for tree in step]
        inner = [tree[(tree["is_leaf"] == 0) & (tree["is_categorical"] == 0)] for tree in trees]
        pairs = [(tree["feature_idx"], tree["num_threshold"]) for tree in inner]
    else:
        pairs = [(tree.tree_.feature, tree.tree_.threshold) for tree in estimator.estimators_]
    features = np.concatenate([feature for feature, _ in pairs])
    values = np.concatenate([value for _, value in pairs])
    features, values = features[np.isfinite(values)], values[np.isfinite(values)]
    return {n.name: np.unique(values[features == n.at]) for n in encoding.numbers}


def _as_they_are(names: list[str], first: int) -> list[Number]:
    """Numbers that a model takes unchanged; they come after the categories."""
    return [Number(name, first + place) for place, name in enumerate(names)]


def _imputed(names: list[str], preprocessor: ColumnTransformer) -> list[Number]:
    """Numbers filled with the median, scaled if a scaler is there, and indicators of gaps."""
    steps = dict(preprocessor.named_transformers_["numbers"].named_steps)
    imputer, scaler = steps.pop("simpleimputer"), steps.pop("standardscaler", None)
    if steps or np.isnan(imputer.statistics_).any():
        raise NotExportable(f"numbers: steps {list(steps)}, or a feature without any value")
    marked = [] if imputer.indicator_ is None else imputer.indicator_.features_.tolist()
    width = len(names) + len(marked)
    mean = np.zeros(width) if scaler is None else scaler.mean_
    scale = np.ones(width) if scaler is None else scaler.scale_
    found = []
    for i, name in enumerate(names):
        indicator = None
        if i in marked:
            at = len(names) + marked.index(i)
            known, gap = ((value - mean[at]) / scale[at] for value in (0.0, 1.0))
            indicator = (at, float(known), float(gap))
        fill = float(imputer.statistics_[i])
        found.append(Number(name, i, fill, float(mean[i]), float(scale[i]), indicator))
    return found


def _encoding(preprocessor: Pipeline, numbers: list[Number], schema: Schema) -> Encoding:
    """Find what each choice is encoded as by asking the preprocessor itself, a choice at a time."""
    features = [column for column in schema.features if column.choices]
    probes: list[dict[str, Any]] = [{}]
    probes += [{column.name: choice} for column in features for choice in column.choices]
    known = [column.name for column in schema.features]
    frame = pd.DataFrame(probes, columns=known, dtype=object)
    matrix = np.asarray(preprocessor.transform(frame), dtype=np.float64)
    taken = {number.at for number in numbers} | {n.indicator[0] for n in numbers if n.indicator}
    categories, start = [], 1
    for column in features:
        lines = [*range(start, start + len(column.choices)), 0]
        start += len(column.choices)
        own = matrix[lines]
        varies = ~((own == own[0]) | (np.isnan(own) & np.isnan(own[0]))).all(axis=0)
        at = [int(place) for place in np.flatnonzero(varies)]
        taken.update(at)
        table = [[None if np.isnan(v) else float(v) for v in line] for line in own[:, at]]
        categories.append(Category(column.name, at, list(column.choices), table))
    if rest := set(range(matrix.shape[1])) - taken:
        # A column that no choice moves still has its value.
        constant = sorted(rest)
        line: list[float | None] = [float(value) for value in matrix[0, constant]]
        categories.append(Category(known[0], constant, [], [line]))
    return Encoding(matrix.shape[1], numbers, categories)
