"""Stage split: valid rows -> training rows and test rows."""

import numpy as np
import pandas as pd

from mlops.columns import Schema
from mlops.errors import UserError, run_command
from mlops.frames import read_rows, write_rows
from mlops.params import Split
from mlops.paths import HELD_OUT_ROWS, TEST_ROWS, TRAIN_ROWS, VALID_ROWS
from mlops.project import load_project_params, load_schema


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


def check_classes(train: pd.DataFrame, params: Split, schema: Schema) -> None:
    """Refuse training rows of one class: no model can tell it from others.

    Raises:
        UserError: they are.
    """
    target = schema.target
    found = train[target.name].unique()
    if target.choices and len(found) < 2:
        how = "test_share" if params.test_from is None else "test_from"
        raise UserError(
            f"split.{how} {getattr(params, how)}: all {len(train)} training rows have the "
            f"{target.name} {found[0]!r}",
            advice=f"Wanted two or more of {', '.join(target.choices)} among them: move "
            f"split.{how}, or bring in more rows.",
        )


def is_sampled(keys: pd.Series, most: int | None) -> np.ndarray:
    """Tell which rows to keep of more than `most`: shape (n_rows,), the same ones in any order.

    Those whose keys hash highest; the lowest are the test rows of a split by share.
    """
    if most is None or len(keys) <= most:
        return np.ones(len(keys), dtype=bool)
    shares = key_shares(keys)
    return shares >= np.partition(shares, -most)[-most]


def main() -> None:
    params, schema, rows = load_project_params().split, load_schema(), read_rows(VALID_ROWS)
    test = is_test(rows, params, schema)
    held_out = is_held_out(rows, params, schema)
    train = rows[~test & ~held_out]
    kept = is_sampled(train[schema.key.name], params.max_train_rows)
    train = train if kept.all() else train[kept]
    check_classes(train, params, schema)
    write_rows(TRAIN_ROWS, train)
    write_rows(TEST_ROWS, rows[test])
    write_rows(HELD_OUT_ROWS, rows[held_out])
    cut = "" if kept.all() else f", a sample of {len(kept)}"
    print(f"split: {int(kept.sum())} training rows{cut}, {int(test.sum())} test rows")


if __name__ == "__main__":
    run_command(main)
