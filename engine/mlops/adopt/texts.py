"""Convert values to texts, and recognize whole numbers."""

import numpy as np
import pandas as pd


def texts(values: pd.Series) -> pd.Series:
    """Convert values to texts; whole numbers without a decimal point."""
    if is_whole(values):
        values = values.astype("Int64")
    return values.map(str, na_action="ignore").astype("object")


def is_whole(values: pd.Series) -> bool:
    """Return whether all known values are whole numbers, not booleans."""
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return False
    present = values.dropna().to_numpy(dtype=np.float64)
    return bool(np.isfinite(present).all() and (present % 1 == 0).all())
