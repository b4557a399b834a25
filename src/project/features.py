"""Derived features: made of the columns in schema.py, by one function each.

A feature here holds in training, in the API, in batch scoring and in monitoring alike. Its
function gets whole numpy arrays, a value a row, and gives one; each value must follow from its own
row alone. A row in which a needed value is missing has none of the feature either.
docs/features.md has the details: dates, texts, missing values.
"""

from typing import Any

import numpy as np

from mlops.columns import Derived

USUAL_QUALITY = 6
"""Grade of most houses: what counts where it is not known."""


def age(sold_on: Any, year_built: Any) -> Any:
    year_sold = sold_on.astype("datetime64[Y]").astype(int) + 1970
    return np.maximum(year_sold - year_built, 0)  # a house may be sold from the plan


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
        takes_missing=True,  # a request of size and rooms alone keeps what its size tells
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
