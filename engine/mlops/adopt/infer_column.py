"""Infer a column's line in the schema from its values."""

import re
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import skew

from mlops.adopt.names import unit
from mlops.adopt.texts import is_whole, texts
from mlops.columns import LONGEST, Column
from mlops.pipeline.feature_frame import MOST_CATEGORIES

MOST_LISTED = 200
"""Choices of a target, or of a column of texts too long for an open one."""

_HEAD_ROOM = 0.25  # share of the observed range, on either side
_DAY = re.compile(r"\d{4}-\d\d?-\d\d?|\d\d?[/.]\d\d?[/.]\d{2,4}")
_OFTEN = 0.9
_HIGH_SKEW = 1.0
_SHOWN = 60  # characters of a text
_FEW = 5  # distinct texts: up to this many are categories, even if each occurs once


class Unusable(Exception):
    """A column that can't be a feature, or shouldn't; the message says why."""


_DATE = "a date; pass it as --time, and derive numbers from it: docs/features.md"


def describe(values: pd.Series, name: str, description: str) -> tuple[Column, pd.Series]:
    """Describe a feature; return it with its values as the partition stores them.

    Raises:
        Unusable: the column can't be a feature.
    """
    present = values.dropna()
    if present.nunique() < 2:
        raise Unusable("empty" if present.empty else f"always {present.iloc[0]}")
    nullable = len(present) < len(values)
    measure = unit(values.name)
    if pd.api.types.is_bool_dtype(present.infer_objects()):
        return Column(name, description, bool, nullable=nullable), texts(values)
    if pd.api.types.is_numeric_dtype(values):
        if is_row_number(values):
            raise Unusable("numbers the rows")
        kind = int if is_whole(values) else float
        low, high = _bounds(present, kind)
        return Column(name, description, kind, measure, low, high, nullable=nullable), values
    if pd.api.types.is_datetime64_any_dtype(values):
        raise Unusable(_DATE)
    return _text(texts(values), name, description, nullable)


def _text(
    values: pd.Series, name: str, description: str, nullable: bool
) -> tuple[Column, pd.Series]:
    present = values.dropna()
    choices = sorted(present.unique())
    if present.str.match(_DAY).mean() > _OFTEN:
        raise Unusable(_DATE)
    if present.str.contains("[\r\n]").any():
        raise Unusable("texts with line breaks")
    numbers = pd.to_numeric(present, errors="coerce")
    if _OFTEN < numbers.notna().mean() < 1:
        odd = present[numbers.isna()].iloc[0]
        raise Unusable(f"numbers, and {odd!r}; if that means missing, pass --missing {odd!r}")
    if len(choices) > max(_OFTEN * len(present), _FEW):
        shown = f"{choices[0][:_SHOWN]!r}{'…' * (len(choices[0]) > _SHOWN)}"
        raise Unusable(f"a different text in nearly every row, such as {shown}")
    long = present.str.len().max() > LONGEST
    if long and len(choices) > MOST_LISTED:
        raise Unusable(f"texts of more than {LONGEST} characters")
    # Boosted trees overfit to more choices, and the next file may have others.
    if not long and len(choices) > MOST_CATEGORIES:
        return Column(name, description, str, nullable=nullable, open=True), values
    return Column(name, description, str, choices=tuple(choices), nullable=nullable), values


def is_row_number(values: pd.Series) -> bool:
    """Return whether values number the rows, or are unique ids by their name."""
    if values.isna().any() or values.duplicated().any() or len(values) < 2:
        return False
    if is_whole(values):
        counts = values.max() - values.min() == len(values) - 1
        return bool(counts or _is_id(values.name))
    return not pd.api.types.is_numeric_dtype(values) and _is_id(values.name)


def _is_id(header: Any) -> bool:
    return bool(re.search(r"(^|[^a-z])(id|key|uuid|nr)([^a-z]|$)|[a-z]Id$", str(header), re.I))


def _bounds(present: pd.Series, kind: type) -> tuple[float, float]:
    """Return round bounds with headroom around the values, on the same side of 0."""
    least, most = float(present.min()), float(present.max())
    if not np.isfinite([least, most]).all():
        raise Unusable("infinite values; leave such fields empty")
    if least >= 0 and most <= 1:
        return 0, 1
    room = _HEAD_ROOM * (most - least)
    digit = int(np.floor(np.log10(most - least))) - 1  # the range's second significant digit
    low = round(float(np.floor((least - room) / 10.0**digit) * 10.0**digit), max(0, -digit))
    high = round(float(np.ceil((most + room) / 10.0**digit) * 10.0**digit), max(0, -digit))
    low, high = (max(0.0, low) if least >= 0 else low), (min(0.0, high) if most <= 0 else high)
    return (int(low), int(high)) if kind is int else (low, high)


def follows_ratios(values: pd.Series) -> bool:
    """Return whether a target is positive and highly skewed, and its logarithm less so.

    Source: Bulmer, Principles of Statistics, 1979, chapter 4: a skewness above 1 is high.
    """
    own = skew(values)
    return bool(values.min() > 0 and own > _HIGH_SKEW and abs(skew(np.log(values))) < own)
