"""Causes in the rows: changes of values, labels, categories and the number of rows.

Rows with equal content count as the same row, whatever their keys and order, because a table whose
key is the row number may have been sorted again.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from mlops.columns import Schema
from mlops.review.value_causes import Cause, changed_values, new_values

_FEW = 5
_SHARE = 0.01  # of the rows; fewer are reported by the data diff, but not as a cause


class Rows(NamedTuple):
    """The rows that differ between two sides.

    Attributes:
        before, after: old and new version of rows with the same key, in pairs.
        removed, added: rows whose content and key only one side has.
        kept: number of rows that are equal on both sides.
    """

    before: pd.DataFrame
    after: pd.DataFrame
    removed: pd.DataFrame
    added: pd.DataFrame
    kept: int


def differing(base: pd.DataFrame, candidate: pd.DataFrame, key: str) -> Rows:
    """Drop rows that are equal on both sides, then pair the rest by key."""
    names = [name for name in candidate.columns if name in base.columns and name != key]
    old, new = (_numbered(side, names) for side in (base, candidate))
    mine, theirs = old[~old.isin(new)].index, new[~new.isin(old)].index
    left, right = base.loc[mine], candidate.loc[theirs]
    left_keys, right_keys = (side.drop_duplicates(key).set_index(key) for side in (left, right))
    both = right_keys.index.intersection(left_keys.index)
    return Rows(
        left_keys.loc[both].reset_index(),
        right_keys.loc[both].reset_index(),
        left[~left[key].isin(both)],
        right[~right[key].isin(both)],
        len(base) - len(left),
    )


def _numbered(rows: pd.DataFrame, names: list[str]) -> pd.Series:
    """Hash each row's content and its number among rows of equal content."""
    content = pd.util.hash_pandas_object(rows[names], index=False)
    number = content.groupby(content).cumcount()
    pairs = pd.DataFrame({"content": content.to_numpy(), "number": number.to_numpy()})
    return pd.util.hash_pandas_object(pairs, index=False).set_axis(rows.index)


def row_causes(base: pd.DataFrame, candidate: pd.DataFrame, schema: Schema) -> list[Cause]:
    """List changes of the rows that can change a model.

    Args:
        base, candidate: valid rows, with any index; the schema is the candidate's.
    """
    base, candidate = (side.reset_index(drop=True) for side in (base, candidate))
    key = schema.key.name
    if key not in base.columns or not len(base) or not len(candidate):
        return []
    rows = differing(base, candidate, key)
    found = [*_numbers(base, candidate, rows, key)]
    for column in schema.columns:
        if column.role == "key" or column.name not in base.columns:
            continue
        if column.role == "ignore" or column.name not in candidate.columns:
            continue
        changed = changed_values(column, rows.before, rows.after, len(base), schema)
        new = [] if changed else new_values(column, base, rows.added, schema)
        found += [*changed, *new]
    return found


def _numbers(base: pd.DataFrame, candidate: pd.DataFrame, rows: Rows, key: str) -> Iterator[Cause]:
    """Yield causes for duplicated, removed and added rows."""
    names = [name for name in candidate.columns if name in base.columns and name != key]
    copies = [int(side.duplicated(names).sum()) for side in (base, candidate)]
    more = copies[1] - copies[0]
    if more >= max(_FEW, _SHARE * len(base)):
        share = more / len(candidate)
        yield Cause(
            "duplicates",
            "duplicated rows",
            f"{more:,} more rows than before repeat another row in all but the key ({share:.0%})",
            0.9 + share,
        )
    gone, new = len(rows.removed), len(rows.added) - max(0, more)
    if gone >= max(_FEW, _SHARE * len(base)):
        share = gone / len(base)
        text = f"{gone:,} of {len(base):,} rows are gone ({share:.0%})"
        if len(candidate) < len(base):
            yield Cause("rows", "fewer rows", text, 0.6 + share)
        else:
            yield Cause("rows", "other rows", f"{text}, and {new:,} are new", 0.5 + share)
    elif new >= max(_FEW, _SHARE * len(base)):
        share = new / len(base)
        said = f"{new:,} rows are new ({share:.0%} of those before)"
        yield Cause("rows", "more rows", said, 0.3 + np.minimum(share, 0.3))
