"""Values as texts, and numbers that are whole."""

import numpy as np
import pandas as pd


def texts(values: pd.Series) -> pd.Series:
    """Write values as text; whole numbers without a point."""
    if is_whole(values):
        values = values.astype("Int64")
    return values.map(str, na_action="ignore").astype("object")


def is_whole(values: pd.Series) -> bool:
    """Tell whether all that is known are whole numbers, and no truth values."""
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return False
    present = values.dropna().to_numpy(dtype=np.float64)
    return bool(np.isfinite(present).all() and (present % 1 == 0).all())
