"""The file of derived features of a project that has none yet."""

FEATURES_TEXT = '''\
"""Derived features: computed from the columns in schema.py, by one function each.

A feature defined here is used in training, in the API, in batch scoring and in monitoring. Its
function gets numpy arrays with one value per row, and returns one; each value must depend on its
own row alone. Where a needed value is missing, the feature is missing too. For example:

    from typing import Any

    def each(weight: Any, pieces: Any) -> Any:
        return weight / pieces

    FEATURES = (Derived("each", "Weight of a piece", float, "kg", ("weight", "pieces"), each),)

See docs/features.md for dates, texts and missing values.
"""

from mlops.columns import Derived

FEATURES: tuple[Derived, ...] = ()
'''
