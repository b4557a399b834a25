"""Causes in the values of one column: a unit, labels, a category, missing values."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency, ks_2samp

from mlops.columns import Column, Schema
from mlops.review.rescaling import CLOSE, EXACT, factor_between, rescaling_of
from mlops.review.units import unit_of

_FEW, _SHARE = 5, 0.01  # minimum changed rows, and minimum share of all rows, for a cause
_NEW = 30  # minimum new rows to judge a distribution
_ALIKE = 0.9  # share of the changed values that one explanation has to fit
_SURE = 1e-6
_MISSING = "missing"


@dataclass(frozen=True)
class Cause:
    """Something that may have moved the model.

    Attributes:
        kind: one of the kinds in verdict.json.
        what: a short description.
        evidence: the finding, in a sentence.
        strength: rank; causes are listed by descending strength.
    """

    kind: str
    what: str
    evidence: str
    strength: float


def changed_values(
    column: Column, before: pd.DataFrame, after: pd.DataFrame, n_rows: int, schema: Schema
) -> list[Cause]:
    """Explain values that changed between rows with the same key."""
    old, new = before[column.name], after[column.name]
    differs = ((old != new) & ~(old.isna() & new.isna())).to_numpy()
    n = int(differs.sum())
    if n < max(_FEW, _SHARE * n_rows):
        return []
    old, new, share = old[differs], new[differs], n / n_rows
    if (lost := (new.isna() & old.notna()).mean()) >= _ALIKE:
        text = f"{n:,} values of {column.name} are missing now ({share:.0%} of the rows)"
        return [Cause("column", f"{column.name} emptied", text, 0.9 + share * lost)]
    if column.role == "target":
        how = _scale(old, new) if not column.choices else _moved(old, new)
        text = f"{column.name} was changed in {n:,} rows ({share:.0%}){how and ': ' + how}"
        return [Cause("labels", "changed labels", text, 0.95 + share)]
    if column.type is str:
        return list(_renamed(column, old, new, before[column.name], n_rows))
    if column.dtype == "float64" and (how := _scale(old, new)):
        text = f"{n:,} values of {column.name} ({share:.0%}): {how}"
        return [Cause("unit", f"unit of {column.name}", text, 0.95 + share)]
    text = f"{n:,} values of {column.name} ({share:.0%} of the rows) changed"
    return [Cause("values", f"changed values of {column.name}", text, 0.5 + share)]


def _scale(old: pd.Series, new: pd.Series) -> str:
    """Describe the change of scale of the values; empty if there is none."""
    x, y = (values.to_numpy("float64") for values in (old, new))
    found = rescaling_of(x, y, EXACT) or rescaling_of(x, y, CLOSE)
    return f"each {found.words}" if found else ""


def _moved(old: pd.Series, new: pd.Series) -> str:
    ((was, now), n), *_ = Counter(zip(old, new, strict=True)).most_common(1)
    return f"{was} became {now} in {n:,} of {len(old):,}"


def _renamed(
    column: Column, old: pd.Series, new: pd.Series, before: pd.Series, n_rows: int
) -> Iterator[Cause]:
    """Yield categories whose rows nearly all changed to one other category, then other changes."""
    pairs = Counter(zip(old.fillna(_MISSING), new.fillna(_MISSING), strict=True))
    unexplained = len(old)
    for (was, now), n in pairs.most_common():
        if n < _FEW or n < _ALIKE * int((before == was).sum()):
            continue
        unexplained -= n
        text = f"{was} became {now} in {n:,} rows of {column.name}"
        yield Cause("category", f"category {was} of {column.name}", text, 0.95 + n / n_rows)
    if unexplained >= max(_FEW, _SHARE * n_rows):
        text = f"{unexplained:,} other values of {column.name} changed"
        what = f"changed values of {column.name}"
        yield Cause("values", what, text, 0.5 + unexplained / n_rows)


def new_values(
    column: Column, base: pd.DataFrame, added: pd.DataFrame, schema: Schema
) -> list[Cause]:
    """Explain how values of new rows differ from those of the base's rows."""
    old, new = base[column.name].dropna(), added[column.name].dropna()
    if len(added) < _NEW or len(old) < _NEW:
        return []
    where = f"in the {len(added):,} new rows"
    gaps = [float(side[column.name].isna().mean()) for side in (base, added)]
    if gaps[1] - gaps[0] > 0.5:
        text = f"{column.name} is missing in {gaps[1]:.0%} of the new rows, before in {gaps[0]:.0%}"
        return [Cause("column", f"{column.name} emptied", text, 0.9)]
    if len(new) < _NEW:
        return []
    if column.type is str:
        return list(_new_categories(column, old, new, where))
    if column.dtype != "float64":  # a time
        return []
    if column.role == "target":
        factor = float(new.median() / old.median()) if old.median() else np.nan
        sure = ks_2samp(old, new).pvalue < _SURE
        if sure and np.isfinite(factor) and not 0.8 <= factor <= 1.25:
            text = f"the median of {column.name} {where} is {factor:.3g} times that before"
            return [Cause("labels", "shifted labels", text, 0.9)]
        return []
    times = factor_between(old.to_numpy("float64"), new.to_numpy("float64"))
    if times is None:
        return []
    text = f"values of {column.name} {where} are about {times:,.4g} times those before"
    return [Cause("unit", f"unit of {column.name}", text + unit_of(times), 0.9)]


def _new_categories(column: Column, old: pd.Series, new: pd.Series, where: str) -> Iterator[Cause]:
    """Yield categories that another one replaced; for the target, classes with other shares."""
    shares = [side.value_counts(normalize=True) for side in (old, new)]
    came = shares[1].index.difference(shares[0].index)
    expected = shares[0][~shares[0].index.isin(shares[1].index)] * len(new)
    gone = expected[expected >= 2 * _FEW].index
    if column.role != "target":
        for now in came:
            if not len(gone):
                break
            was = min(gone, key=lambda name: abs(shares[0][name] - shares[1][now]))
            gone = gone.drop(was)
            text = f"{where}, {now} of {column.name} is new and {was} is gone"
            yield Cause("category", f"category {was} of {column.name}", text, 0.9)
        return
    counts = pd.concat([side.value_counts() for side in (old, new)], axis=1).fillna(0)
    far = float((shares[1].reindex(counts.index, fill_value=0) - shares[0]).abs().max())
    if len(counts) > 1 and far > 0.1 and chi2_contingency(counts).pvalue < _SURE:
        text = f"the share of a class of {column.name} {where} differs by {100 * far:.0f} points"
        yield Cause("labels", "shifted labels", text, 0.9)
