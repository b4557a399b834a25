"""Which rows test the model, which are held out, which are kept of too many."""

import numpy as np
import pandas as pd

from mlops.columns import Schema
from mlops.errors import UserError
from mlops.params import Split


def key_shares(keys: pd.Series) -> np.ndarray:
    """Spread keys evenly over [0, 1) by a hash of each: shape (n_rows,), the same for ever.

    A key's share depends on nothing but the key, so rows that are added move no other row.
    """
    return pd.util.hash_array(keys.to_numpy(), categorize=False) / 2.0**64


def is_test(rows: pd.DataFrame, params: Split, schema: Schema) -> np.ndarray:
    """Tell which rows test the model, shape (n_rows,).

    Raises:
        UserError: one of the two sides would be empty.
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
            advice="Wanted rows on both sides.",
        )
    return test


def is_held_out(rows: pd.DataFrame, params: Split, schema: Schema) -> np.ndarray:
    """Tell which rows neither train nor test the model, for the review alone: shape (n_rows,)."""
    if params.held_out is None or schema.time is None:
        return np.zeros(len(rows), dtype=bool)
    first, last = map(pd.Timestamp, params.held_out)
    days = rows[schema.time.name]
    return ((days >= first) & (days < last + pd.Timedelta(days=1))).to_numpy()


def is_sampled(keys: pd.Series, most: int | None) -> np.ndarray:
    """Tell which rows to keep of more than `most`: shape (n_rows,), the same ones in any order.

    Those whose keys hash highest; the lowest are the test rows of a split by share.
    """
    if most is None or len(keys) <= most:
        return np.ones(len(keys), dtype=bool)
    shares = key_shares(keys)
    return shares >= np.partition(shares, -most)[-most]
