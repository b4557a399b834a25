"""Tests of properties that the model must have, whatever its metrics are."""

import numpy as np
import pandas as pd
import pytest

from mlops.project import load_schema
from mlops.testing import predict, recorded_metrics

SCHEMA = load_schema()  # with the derived features


def ratio(rows: pd.DataFrame, **changes: object) -> np.ndarray:
    """Predict rows before and after a change; return after / before, shape (n_rows,)."""
    return predict(rows.assign(**changes), SCHEMA) / predict(rows, SCHEMA)


@pytest.mark.parametrize(
    ("column", "more"),
    [("size", 300), ("quality", 1), ("garage_size", 200)],
)
def test_a_better_house_of_the_same_kind_is_hardly_ever_cheaper(
    rows: pd.DataFrame, column: str, more: float
) -> None:
    within = rows[rows[column] + more <= SCHEMA[column].high]

    change = ratio(within, **{column: within[column] + more})

    assert (change < 0.97).mean() < 0.02
    assert np.median(change) >= 1


def test_an_unknown_neighborhood_changes_a_price_little(rows: pd.DataFrame) -> None:
    change = ratio(rows, neighborhood=None)

    assert 0.9 < np.median(change) < 1.1
    assert ((change > 0.6) & (change < 1.6)).mean() > 0.95


def test_prices_are_possible(rows: pd.DataFrame) -> None:
    prices = predict(rows, SCHEMA)

    assert (prices > 10_000).all()
    assert (prices < 2_000_000).all()


def test_the_model_beats_a_guess_by_far() -> None:
    metrics = recorded_metrics()

    assert metrics["rmse"] < 0.6 * metrics["baseline"]["rmse"]
