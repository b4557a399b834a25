"""Intervals: the textbook's where rows are alike, wider where few rows decide."""

import numpy as np
import pytest
from scipy import stats

from mlops.intervals import Spread, spread


def centred(values: object) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    return array - array.mean()


def test_the_standard_error_of_a_mean_is_the_textbooks() -> None:
    values = np.random.default_rng(0).normal(5, 2, 40)

    assert spread(centred(values)).error == pytest.approx(stats.sem(values))


def test_of_light_tails_the_degrees_of_freedom_are_the_rows_less_one() -> None:
    values = np.random.default_rng(0).uniform(0, 1, 40)

    known = spread(centred(values))

    low, high = stats.t.interval(0.95, 39, loc=0, scale=stats.sem(values))
    assert known.degrees == 39
    assert known.margin(0.95) == pytest.approx((high - low) / 2)


def test_a_row_that_decides_alone_leaves_few_degrees_of_freedom() -> None:
    values = np.zeros(100)
    values[0] = 1.0

    known = spread(centred(values))

    assert known.degrees == pytest.approx(2, abs=0.1)
    assert known.margin(0.95) > 2 * known.surprise(0.95)


def test_degrees_of_freedom_follow_the_kurtosis() -> None:
    values = np.random.default_rng(0).standard_t(5, 500)

    kurtosis = stats.kurtosis(values, fisher=False)

    assert spread(centred(values)).degrees == pytest.approx(2 * 500 / (kurtosis - 1))


def test_surprise_is_by_the_normal_quantile_of_both_sides() -> None:
    assert Spread(2.0, 5.0).surprise(0.99) == pytest.approx(2 * 2.5758293)


def test_where_no_row_has_influence_there_is_no_margin() -> None:
    known = spread(np.zeros(10))

    assert known.error == 0
    assert known.margin(0.95) == known.surprise(0.95) == 0


def test_one_row_does_not_tell_how_it_might_have_been() -> None:
    known = spread(np.zeros(1))

    assert np.isnan(known.error)
    assert np.isnan(known.margin(0.95))


def test_intervals_of_skewed_rows_cover_the_truth_as_often_as_they_say() -> None:
    rng, n_rows, draws = np.random.default_rng(0), 150, 1000
    covered = 0
    for values in np.exp(rng.normal(0, 0.7, (draws, n_rows))):
        covered += abs(values.mean() - np.exp(0.7**2 / 2)) <= spread(centred(values)).margin(0.95)

    assert 0.93 <= covered / draws <= 0.97


def test_rows_of_equal_influence_have_a_spread() -> None:
    # As those on a median have: rounding must not make their kurtosis less than it can be.
    for n in range(2, 300):
        assert spread(np.tile([0.1, -0.1], n)).degrees == 2 * n - 1
