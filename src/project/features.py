"""Derived features: made of the columns in schema.py, by one function each.

A feature here holds in training, in the API, in batch scoring and in monitoring alike. Its
function gets whole numpy arrays, a value a row, and gives one; each value must follow from its own
row alone. A row in which a needed value is missing has none of the feature either.
docs/features.md has the details: dates, texts, missing values.
"""

from typing import Any

import numpy as np

from mlops.columns import Derived


def age(sold_on: Any, year_built: Any) -> Any:
    year_sold = sold_on.astype("datetime64[Y]").astype(int) + 1970
    return np.maximum(year_sold - year_built, 0)  # a house may be sold from the plan


def quality_area(size: Any, basement_size: Any, quality: Any) -> Any:
    return (size + basement_size) * quality


FEATURES: tuple[Derived, ...] = (
    Derived("age", "Age of the house when sold", int, "years", ("sold_on", "year_built"), age),
    Derived(
        "quality_area",
        "Living area and basement, times the grade of quality",
        float,
        "square feet",
        ("size", "basement_size", "quality"),
        quality_area,
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
