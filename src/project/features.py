"""Derived features: computed from the columns in schema.py, by one function each.

A feature defined here is used in training, in the API, in batch scoring and in monitoring. Its
function gets numpy arrays with one value per row, and returns one; each value must depend on its
own row alone. Where a needed value is missing, the feature is missing too. See docs/features.md for
dates, texts and missing values.
"""

from typing import Any

import numpy as np

from mlops.columns import Derived

USUAL_QUALITY = 6
"""Grade of most houses, used where the grade is missing."""


def age(sold_on: Any, year_built: Any) -> Any:
    year_sold = sold_on.astype("datetime64[Y]").astype(int) + 1970
    return np.maximum(year_sold - year_built, 0)  # a house may be sold before it is built


def quality_size(size: Any, quality: Any) -> Any:
    return size * np.where(np.isnan(quality), USUAL_QUALITY, quality)


FEATURES: tuple[Derived, ...] = (
    Derived("age", "Age of the house when sold", int, "years", ("sold_on", "year_built"), age),
    Derived(
        "quality_size",
        "Living area times the grade of quality",
        float,
        "square feet",
        ("size", "quality"),
        quality_size,
        takes_missing=True,  # a request with only size and rooms still has this feature
    ),
    Derived(
        "bathrooms_per_bedroom",
        "Bathrooms for each bedroom",
        float,
        "",
        ("bathrooms", "bedrooms"),
        lambda bathrooms, bedrooms: bathrooms / bedrooms,
    ),
)
