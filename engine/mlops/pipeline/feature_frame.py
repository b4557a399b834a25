"""Build the frame of features that an estimator is fitted with: numbers and categories."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import KFold
from sklearn.preprocessing import TargetEncoder

from mlops.metrics import Floats

RARE = 2
"""A text of an open feature in fewer training rows than this is treated as unseen."""

MOST_CATEGORIES = 30
"""An open feature with more texts becomes numbers: forests can't learn from so many columns."""

OTHER = ""
"""The category of rare and unseen texts; no row has an empty text."""

Codes = NDArray[np.integer[Any]]


class FeatureFrame(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # these have no types
    """Select the features in their order, as float64 or pandas' category.

    A choice that the schema doesn't list becomes a missing value. The categories of an open feature
    are the texts of the training rows; rare and unseen texts become OTHER. If there are many, each
    text is replaced by its target mean, shrunk toward the mean of all rows, the more the fewer
    rows have it; a training row gets the mean of other rows (Micci-Barreca, SIGKDD Explorations 3,
    2001).

    A number that is missing in all training rows is set to 0 in all rows: nothing can be learned
    from it, and some estimators reject a column without values.

    Args:
        choices: name -> choices, none for a number and for an open feature.
        open_names: the open features.
        log_target: average the target's logarithm.
        seed: seed of the folds for the target means of training rows.
    """

    def __init__(
        self,
        choices: dict[str, tuple[str, ...]],
        open_names: tuple[str, ...] = (),
        log_target: bool = False,
        seed: int = 0,
    ) -> None:
        self.choices, self.open_names = choices, open_names
        self.log_target, self.seed = log_target, seed

    def fit(self, rows: pd.DataFrame, targets: Any) -> Self:
        """Learn the categories of open features."""
        self.fit_transform(rows, targets)
        return self

    def fit_transform(self, rows: pd.DataFrame, targets: Any) -> pd.DataFrame:
        """Learn the categories, and return the training rows' features."""
        numbers = {name for name, listed in self.choices.items() if not listed}
        valueless = {name for name in numbers if rows[name].isna().all()}
        self.valueless_ = sorted(valueless.difference(self.open_names))
        self.known_ = {name: _frequent(rows[name]) for name in self.open_names}
        folds = KFold(5, shuffle=True, random_state=self.seed)
        # Whole numbers of a regression would be taken for classes.
        kind = "continuous" if np.asarray(targets).dtype.kind == "f" else "auto"
        self.encoders_ = {
            name: TargetEncoder(target_type=kind, cv=folds)
            for name, known in self.known_.items()
            if len(known) > MOST_CATEGORIES
        }
        averaged = np.log(targets) if self.log_target else targets
        return self._frame(
            rows, lambda name, codes: self.encoders_[name].fit_transform(codes, averaged)
        )

    def transform(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the features of any rows."""
        return self._frame(rows, lambda name, codes: self.encoders_[name].transform(codes))

    def _frame(self, rows: pd.DataFrame, encode: Callable[[str, Codes], Floats]) -> pd.DataFrame:
        columns: dict[str, Any] = {}
        for name, choices in self.choices.items():
            values = rows[name]
            if name in self.encoders_:
                means = encode(name, _codes(values, self.known_[name])[:, None])
                several = means.shape[1] > 1  # if the target has three classes or more
                columns |= {f"{name}.{i}" if several else name: m for i, m in enumerate(means.T)}
            elif name in self.known_:
                known = self.known_[name]
                dtype = pd.CategoricalDtype([*known, OTHER])
                columns[name] = pd.Categorical.from_codes(_codes(values, known), dtype=dtype)
            elif choices:
                listed = list(choices)
                known_only = values.where(values.isin(listed))
                columns[name] = known_only.astype(pd.CategoricalDtype(listed))
            elif name in self.valueless_:
                columns[name] = np.zeros(len(rows))
            else:
                columns[name] = values.astype("float64")
        return pd.DataFrame(columns, index=rows.index)


def _frequent(values: pd.Series) -> list[str]:
    counts = values.value_counts()
    return sorted(counts.index[counts >= RARE])


def _codes(values: pd.Series, known: list[str]) -> Codes:
    """Return each text's index in `known`, len(known) for any other text, -1 for a gap."""
    places = pd.Index(known, dtype=object).get_indexer(pd.Index(values, dtype=object))
    places[places < 0] = len(known)
    places[values.isna().to_numpy()] = -1
    return places
