"""Preprocessing for estimators that take neither missing values nor categories."""

from typing import Any

from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder


def one_hot(*numeric: Any) -> ColumnTransformer:
    """Send the numbers through the transformers `numeric`, and one-hot encode the categories."""
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(*numeric), make_column_selector(dtype_include="number")),
            (
                "categories",
                # Rare choices share a column; so does any choice that training never saw.
                OneHotEncoder(
                    min_frequency=10, handle_unknown="infrequent_if_exist", sparse_output=False
                ),
                make_column_selector(dtype_include="category"),
            ),
        ]
    )
