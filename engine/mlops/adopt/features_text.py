"""The file of derived features of a project that has none yet."""

FEATURES_TEXT = '''\
"""Derived features: made of the columns in schema.py, by one function each.

A feature here holds in training, in the API, in batch scoring and in monitoring alike. Its
function gets whole numpy arrays, a value a row, and gives one; each value must follow from its own
row alone. A row in which a needed value is missing has none of the feature either. For example:

    def each(weight, pieces):
        return weight / pieces

    FEATURES = (Derived("each", "Weight of a piece", float, "kg", ("weight", "pieces"), each),)

docs/features.md has the details: dates, texts, missing values.
"""

from mlops.columns import Derived

FEATURES: tuple[Derived, ...] = ()
'''
