"""Derived features: made of the columns in schema.py, by one function each.

A feature here holds in training, in the API, in batch scoring and in monitoring alike. Its
function gets whole numpy arrays, a value a row, and gives one; each value must follow from its own
row alone. A row in which a needed value is missing has none of the feature either. For example:

    def age(sold_on, year_built):
        return sold_on.astype("datetime64[Y]").astype(int) + 1970 - year_built

    FEATURES = (
        Derived("age", "Age when sold", float, "years", ("sold_on", "year_built"), age),
    )

A request may then carry `sold_on`; without it, the present moment counts.
"""

from mlops.columns import Derived

FEATURES: tuple[Derived, ...] = ()
