"""Derived features: made of the columns in schema.py by one function each.

A feature here holds in training, in the API, in batch scoring and in monitoring alike. Its
function gets whole numpy arrays, a value a row, and gives one; each value must follow from its own
row alone. A row in which a needed value is missing has none of the feature either.
"""

from typing import Any

from mlops.columns import Derived


def age(sold_on: Any, year_built: Any) -> Any:
    return sold_on.astype("datetime64[Y]").astype(int) + 1970 - year_built


def total_size(size: Any, basement_size: Any) -> Any:
    return size + basement_size


def size_per_room(size: Any, rooms: Any) -> Any:
    return size / rooms


FEATURES: tuple[Derived, ...] = (
    Derived(
        "age", "Age when it was sold", float, "years", needs=("sold_on", "year_built"), make=age
    ),
    Derived(
        "total_size",
        "Living area and basement",
        float,
        "square feet",
        needs=("size", "basement_size"),
        make=total_size,
    ),
    Derived(
        "size_per_room",
        "Living area for each room",
        float,
        "square feet",
        needs=("size", "rooms"),
        make=size_per_room,
    ),
)
