"""Convert a pipeline's preprocessing to the tables by which serving encodes a request."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer

from mlops.columns import Schema
from mlops.inference.encoding import Category, Encoding, Number
from mlops.metrics import Floats
from mlops.pipeline.feature_frame import OTHER, FeatureFrame


class NotExportable(Exception):
    """A part of the pipeline can't be written as tables; the message names it."""


def find_encoding(frame: FeatureFrame, preprocessor: Any, schema: Schema) -> Encoding:
    """Return the encoding tables of a fitted pipeline.

    Args:
        preprocessor: that of `one_hot`, or boosting's own, which puts the categories first; None:
            the estimator takes the frame itself, with categories as codes.

    Raises:
        NotExportable: the preprocessor can't be written as tables.
    """
    texts = {feature.name: feature.choices for feature in schema.features if feature.choices}
    asked = {**texts, **{name: (*known, OTHER) for name, known in frame.known_.items()}}
    given = frame.transform(_probes(asked, schema))
    numeric = [str(name) for name in given if given[name].dtype == np.float64]
    if preprocessor is None:
        numbers = [Number(name, list(given).index(name)) for name in numeric]
        matrix = _codes(given)
    else:
        known = set(preprocessor.named_transformers_) - {"remainder"}
        if known == {"encoder", "numerical"}:
            first = given.shape[1] - len(numeric)
            numbers = [Number(name, first + place) for place, name in enumerate(numeric)]
        elif known == {"numbers", "categories"}:
            numbers = _imputed(numeric, preprocessor)
        else:
            raise NotExportable(f"a preprocessor of {', '.join(sorted(known))}")
        matrix = np.asarray(preprocessor.transform(given), dtype=np.float64)
    own = [feature.name for feature in schema.features if not feature.is_categorical]
    return _tables(matrix, [n for n in numbers if n.name in own], asked, frame)


def _probes(asked: dict[str, tuple[str, ...]], schema: Schema) -> pd.DataFrame:
    """Return a row of gaps, and one row per text."""
    probes = [{}, *({name: text} for name, texts in asked.items() for text in texts)]
    return pd.DataFrame(probes, columns=[f.name for f in schema.features], dtype=object)


def _codes(frame: pd.DataFrame) -> Floats:
    """Encode categories by their position in the list, as LightGBM and XGBoost do."""
    columns = [
        values.cat.codes.where(values.cat.codes >= 0) if values.dtype == "category" else values
        for _, values in frame.items()
    ]
    return np.column_stack(columns).astype(np.float64)


def _imputed(names: list[str], preprocessor: ColumnTransformer) -> list[Number]:
    """Return the numbers' medians for gaps, scaling if there is a scaler, and gap indicators."""
    steps = dict(preprocessor.named_transformers_["numbers"].named_steps)
    imputer, scaler = steps.pop("simpleimputer", None), steps.pop("standardscaler", None)
    if imputer is None or steps or np.isnan(imputer.statistics_).any():
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


def _tables(
    matrix: Floats,
    numbers: list[Number],
    asked: dict[str, tuple[str, ...]],
    frame: FeatureFrame,
) -> Encoding:
    """Read each text's encoding from the probes' rows, of which the first is all gaps."""
    taken = {number.at for number in numbers} | {n.indicator[0] for n in numbers if n.indicator}
    categories, start = [], 1
    for name, texts in asked.items():
        lines = list(range(start, start + len(texts)))
        start += len(texts)
        # Among choices, any other text counts as a gap; an open feature distinguishes the two.
        known: list[str | None] = list(frame.known_.get(name, texts))
        if name in frame.known_:
            known, other = [*known, None], lines.pop()
            lines += [0, other]
        else:
            lines.append(0)
        own = matrix[lines]
        varies = ~((own == own[0]) | (np.isnan(own) & np.isnan(own[0]))).all(axis=0)
        at = [int(place) for place in np.flatnonzero(varies)]
        taken.update(at)
        categories.append(Category(name, at, known, _plain(own[:, at])))
    if rest := sorted(set(range(matrix.shape[1])) - taken):
        # A column that depends on no text still has a value.
        categories.append(Category(next(iter(asked)), rest, [], _plain(matrix[:1, rest])))
    return Encoding(matrix.shape[1], numbers, categories)


def _plain(table: Floats) -> list[list[float | None]]:
    return [[None if np.isnan(value) else float(value) for value in line] for line in table]
