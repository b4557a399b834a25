"""Select the test rows, the held-out rows, and a sample of too many training rows."""

import numpy as np
import pandas as pd

from mlops.columns import Schema
from mlops.errors import UserError
from mlops.params import Split


def key_shares(keys: pd.Series) -> np.ndarray:
    """Map keys evenly to [0, 1) by a hash of each: shape (n_rows,), the same in every run.

    A key's share depends only on the key, so added rows do not move other rows.
    """
    return pd.util.hash_array(keys.to_numpy(), categorize=False) / 2.0**64


def is_test(rows: pd.DataFrame, params: Split, schema: Schema) -> np.ndarray:
    """Return which rows test the model, shape (n_rows,).

    Raises:
        UserError: there would be no training rows or no test rows.
    """
    if params.test_from is not None:
        assert schema.time is not None, "params.py lets no split by time pass without one"
        test = (rows[schema.time.name] >= pd.Timestamp(params.test_from)).to_numpy()
        how = f"split.test_from {params.test_from}"
    else:
        test = key_shares(rows[schema.key.name]) < params.test_share
        how = f"split.test_share {params.test_share}"
    if (test | is_held_out(rows, params, schema)).all() or not test.any():
        raise UserError(
            f"{how}: {int((~test).sum())} training and {int(test.sum())} test rows of {len(rows)}",
            advice="Wanted rows in both sets.",
        )
    return test


def is_held_out(rows: pd.DataFrame, params: Split, schema: Schema) -> np.ndarray:
    """Return which rows are only for the review, not for training or test: shape (n_rows,)."""
    if params.held_out is None or schema.time is None:
        return np.zeros(len(rows), dtype=bool)
    first, last = map(pd.Timestamp, params.held_out)
    days = rows[schema.time.name]
    return ((days >= first) & (days < last + pd.Timedelta(days=1))).to_numpy()


def is_sampled(keys: pd.Series, most: int | None) -> np.ndarray:
    """Return which rows to keep of more than `most`, whatever their order: shape (n_rows,).

    These are the rows with the highest hashes; the lowest are test rows in a split by share.
    """
    if most is None or len(keys) <= most:
        return np.ones(len(keys), dtype=bool)
    shares = key_shares(keys)
    return shares >= np.partition(shares, -most)[-most]
