"""A table with an open text feature, of few or thousands of texts that matter to the target."""

from typing import Any

import numpy as np
import pandas as pd

from mlops.columns import Column, Derived, Schema


def schema(*choices: str) -> Schema:
    """Give the columns; the target is a number, or one of `choices`."""
    target = Column("price", "Price", str, choices=choices, role="target")
    if not choices:
        target = Column("price", "Price", float, "EUR", low=0.1, role="target")
    return Schema(
        (
            Column("id", "Number", int, role="key"),
            Column("weight", "Weight", float, "kg", 0, 10, nullable=True),
            Column("brand", "Brand", str, open=True, nullable=True),
            target,
        ),
        derived=(Derived("maker", "Maker", str, "", ("brand",), maker, open=True),),
    )


def maker(brand: Any) -> Any:
    return [text.split(" ")[0] for text in brand]


def rows(n_rows: int, n_brands: int, seed: int = 0, *choices: str) -> pd.DataFrame:
    """Make up rows in which some brands are frequent, most are rare, and some are missing."""
    effects = np.random.default_rng(1).normal(0, 0.8, n_brands)
    shares = np.random.default_rng(2).dirichlet(np.full(n_brands, 0.7))
    rng = np.random.default_rng(seed)
    brand = rng.choice(n_brands, n_rows, p=shares)
    weight = rng.uniform(0, 10, n_rows)
    level = 5 + 0.2 * weight + effects[brand] + rng.normal(0, 0.2, n_rows)
    names = pd.Series([f"m{n % 7} brand {n}" for n in brand], dtype="str")
    made = pd.DataFrame(
        {
            "id": np.arange(1, n_rows + 1),
            "weight": np.where(rng.random(n_rows) < 0.1, np.nan, weight),
            "brand": names.mask(rng.random(n_rows) < 0.05),
            "price": np.exp(level),
        }
    )
    if choices:
        made["price"] = pd.qcut(level, len(choices), labels=list(choices)).astype("str")
    return made
