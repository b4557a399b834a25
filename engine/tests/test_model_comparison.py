"""The comparison of two models on the same rows."""

import numpy as np
import pytest

from mlops.metrics import Predictions
from mlops.params import Params
from mlops.review.model_comparison import Comparison, compare
from standard import NAMES, PRICES


def regression(predicted: list[float]) -> Predictions:
    return Predictions("regression", np.array([1.0, 2.0, 3.0, 4.0]), np.array(predicted))


def compared(base: Predictions, candidate: Predictions, params: Params) -> dict[str, Comparison]:
    return {c.metric: c for c in compare(base, candidate, {"rmse": 7.0}, params, PRICES)}


BASE = regression([1.5, 2.5, 2.5, 4.5])
WORSE = regression([2.0, 3.0, 2.0, 5.5])


def test_every_metric_is_compared_in_order_beside_what_the_base_recorded(params: Params) -> None:
    found = compare(BASE, WORSE, {"rmse": 7.0}, params, PRICES)

    assert [c.metric for c in found] == NAMES["regression"]
    assert found[0].base_recorded == 7.0
    assert found[1].base_recorded is None


def test_a_regression_is_a_share_of_the_bases_value(params: Params) -> None:
    mae = compared(BASE, WORSE, params)["mae"]

    assert (mae.base, mae.candidate, mae.delta, mae.regression) == (0.5, 1.125, 0.625, 1.25)


def test_more_of_a_metric_that_should_be_high_is_better(params: Params) -> None:
    r2 = compared(WORSE, BASE, params)["r2"]

    assert r2.delta is not None
    assert r2.regression is not None
    assert r2.delta > 0 > r2.regression


def test_the_interval_is_that_of_the_rows_differences_and_not_of_either_model(
    params: Params,
) -> None:
    # Every row's error grows by the same: the models differ surely, however much rows vary.
    base, worse = regression([1.5, 2.1, 3.9, 4.01]), regression([1.6, 2.2, 4.0, 4.11])

    mae = compared(base, worse, params)["mae"]

    assert mae.delta == pytest.approx(0.1)
    assert mae.ci_low == pytest.approx(0.1)
    assert mae.ci_high == pytest.approx(0.1)


def test_the_spread_is_relative_to_the_base_as_the_regression_is(params: Params) -> None:
    mae = compared(BASE, WORSE, params)["mae"]

    assert mae.spread is not None
    assert mae.ci_high is not None
    assert mae.delta is not None
    half = mae.spread.margin(params.evaluate.confidence) * 0.5
    assert mae.ci_high - mae.delta == pytest.approx(half)


def test_the_same_model_differs_by_nothing_for_sure(params: Params) -> None:
    for c in compared(BASE, BASE, params).values():
        assert c.delta == c.ci_low == c.ci_high == c.regression == 0
        assert c.spread is not None
        assert c.spread.error == 0


def test_two_models_without_error_are_unchanged_and_not_missing(params: Params) -> None:
    exact = regression([1.0, 2.0, 3.0, 4.0])

    rmse = compared(exact, exact, params)["rmse"]

    assert (rmse.base, rmse.candidate, rmse.regression) == (0.0, 0.0, 0.0)


def test_worse_than_a_base_without_error_is_no_finite_share(params: Params) -> None:
    rmse = compared(regression([1.0, 2.0, 3.0, 4.0]), WORSE, params)["rmse"]

    assert rmse.delta is not None
    assert rmse.delta > 0
    assert rmse.regression is None
    assert rmse.spread is None


def test_one_row_is_compared_without_an_interval(params: Params) -> None:
    base, worse = (
        Predictions("regression", np.array([2.0]), np.array([value])) for value in (2.5, 3.0)
    )

    found = compared(base, worse, params)

    assert found["rmse"].regression == 1.0
    assert found["rmse"].ci_low is None
    assert found["rmse"].spread is None
    assert found["r2"].regression is None
