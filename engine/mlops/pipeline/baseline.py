"""The trivial prediction (guess) that every model has to beat."""

import numpy as np
import pandas as pd

from mlops.columns import Column
from mlops.metrics import Floats
from mlops.pipeline.model import actual_values


def trivial_prediction(train: pd.DataFrame, n_rows: int, target: Column) -> Floats:
    """Predict without features: the training rows' median, or the share of each choice."""
    values = actual_values(train, target)
    if not target.choices:
        return np.full(n_rows, np.median(values))
    shares = np.bincount(values.astype(int), minlength=len(target.choices)) / len(values)
    return np.tile(shares, (n_rows, 1))
