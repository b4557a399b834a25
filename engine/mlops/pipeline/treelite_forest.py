"""Convert fitted trees of scikit-learn, LightGBM and XGBoost to treelite's serialized form."""

import copy
import json
from typing import Any, NamedTuple

import numpy as np

from mlops.metrics import Floats
from mlops.pipeline.export_encoding import NotExportable


class Forest(NamedTuple):
    """The arguments of `mlops.inference.trees.Trees`.

    Attributes:
        thresholds: column of the matrix -> the values at which trees split it, ascending.
        single_precision: rows are compared in single precision.
        start: initial values of sums in single precision; None for other sums.
    """

    trees: bytes
    thresholds: dict[int, Floats]
    single_precision: bool
    start: list[float] | None


def as_forest(estimator: Any, library: str) -> Forest:
    """Return an estimator's trees.

    Raises:
        NotExportable: treelite does not support them.
    """
    import treelite

    try:
        return _taken(estimator, library)
    except (treelite.TreeliteError, KeyError) as error:
        raise NotExportable(f"{type(estimator).__name__}: {error}") from error


def _taken(estimator: Any, library: str) -> Forest:
    import treelite

    start, boosted = None, hasattr(estimator, "_preprocessor")
    if library == "lightgbm":
        model = treelite.frontend.from_lightgbm(estimator.booster_)
    elif library == "xgboost":
        content = _of_xgboost(estimator)
        model = treelite.frontend.from_xgboost_json(json.dumps(content))
        start = _start(content["learner"])
    else:
        if boosted:  # the encoding replaces it; treelite accepts no text categories
            estimator = copy.copy(estimator)
            estimator._preprocessor = None
        model = treelite.sklearn.import_model(estimator)
    single = library == "xgboost" or (library == "sklearn" and not boosted)
    return Forest(model.serialize_bytes(), _thresholds(model), single, start)


def _of_xgboost(estimator: Any) -> dict[str, Any]:
    """Return the model without the names of categories, because rows have their codes."""
    content: dict[str, Any] = json.loads(estimator.get_booster().save_raw("json"))
    model = content["learner"]["gradient_booster"]["model"]
    model["cats"] = {key: [] for key in model["cats"]}
    return content


def _start(learner: dict[str, Any]) -> list[float]:
    """Return the initial values of XGBoost's sums, before the link function."""
    given = np.float32(json.loads(learner["learner_model_param"]["base_score"].replace("E", "e")))
    if learner["objective"]["name"] == "binary:logistic":
        given = -np.log(np.float32(1) / given - np.float32(1))
    return np.atleast_1d(given).astype(np.float64).tolist()


def _thresholds(model: Any) -> dict[int, Floats]:
    pairs = [
        (tree.get_field("split_index"), tree.get_field("threshold"))
        for tree in map(model.get_tree_accessor, range(model.num_tree))
    ]
    columns = np.concatenate([column for column, _ in pairs])
    values = np.concatenate([value for _, value in pairs]).astype(np.float64)
    used = (columns >= 0) & np.isfinite(values)
    columns, values = columns[used], values[used]
    return {int(column): np.unique(values[columns == column]) for column in np.unique(columns)}
