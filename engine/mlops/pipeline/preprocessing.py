"""Preprocessing for estimators without support for missing values, categories or text classes."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder


def one_hot(*numeric: Any) -> ColumnTransformer:
    """Apply the transformers `numeric` to the numbers, and one-hot encode the categories."""
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(*numeric), make_column_selector(dtype_include="number")),
            (
                "categories",
                # Rare choices share a column with choices that are not in the training rows.
                OneHotEncoder(
                    min_frequency=10, handle_unknown="infrequent_if_exist", sparse_output=False
                ),
                make_column_selector(dtype_include="category"),
            ),
        ]
    )


class NumberedClasses(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # these have no types
    """Wrap a classifier that needs its classes as 0, 1, …, such as XGBoost's."""

    def __init__(self, classifier: Any) -> None:
        self.classifier = classifier

    def fit(self, X: Any, y: Any) -> Self:
        """Fit a copy of the classifier."""
        self.classes_, numbers = np.unique(y, return_inverse=True)
        self.classifier_ = clone(self.classifier).fit(X, numbers)
        return self

    def predict(self, X: Any) -> Any:
        """Return the most likely class of each row."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def predict_proba(self, X: Any) -> Any:
        """Return the probabilities of the classes."""
        return self.classifier_.predict_proba(X)
