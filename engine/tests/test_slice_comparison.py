"""Slices against the base: a regression in one blocks, under one error rate for all of them."""

import numpy as np
import pandas as pd
import pytest

from mlops.columns import Column, Schema
from mlops.metrics import Predictions
from mlops.params import Params, SliceFloors
from mlops.review.gate import Check
from mlops.review.slice_comparison import (
    LISTED,
    chance_of_any,
    check_slices_against_base,
    compare_slices,
)
from standard import PRICES

CHOICES = tuple("abcdefghij")
SCHEMA = Schema(
    (
        Column("id", "", int, role="key"),
        Column("kind", "", str, choices=CHOICES, nullable=True),
        Column("price", "", float, role="target"),
    )
)
N = 2000


@pytest.fixture
def sliced(params: Params) -> Params:
    gate = params.gate.model_copy(
        update={
            "slices": SliceFloors(min_rows=30, floors={}),
            "max_regression": {"mape": 0.05, "rmse": 0.05},
        }
    )
    evaluate = params.evaluate.model_copy(update={"slices": ["kind"]})
    return params.model_copy(update={"gate": gate, "evaluate": evaluate})


def models(worse: str = "", seed: int = 0) -> tuple[Predictions, Predictions, pd.DataFrame]:
    """Give two models of the same errors, of which one is 10 % off in one slice."""
    rng = np.random.default_rng(seed)
    test = pd.DataFrame({"kind": rng.choice(np.array(CHOICES, dtype=object), N)})
    actual = np.exp(rng.normal(5, 0.3, N))
    base = actual * np.exp(rng.normal(0, 0.1, N))
    candidate = base * np.exp(rng.normal(0, 0.01, N))
    candidate[(test["kind"] == worse).to_numpy()] *= 1.15
    return (
        Predictions("regression", actual, base),
        Predictions("regression", actual, candidate),
        test,
    )


def judged(sliced: Params, worse: str = "", seed: int = 0) -> list[Check]:
    found = compare_slices(*models(worse, seed), sliced, SCHEMA, PRICES)
    return check_slices_against_base(found, sliced)


def test_a_slice_that_is_surely_worse_blocks_and_is_named(sliced: Params) -> None:
    blocked = [check for check in judged(sliced, "d") if check.outcome == "block"]

    assert {check.name for check in blocked} == {
        "regression of mape in kind: d",
        "regression of rmse in kind: d",
    }
    assert "worse on the" in blocked[0].why
    assert "statistically significant" in blocked[0].why


def test_models_that_differ_by_chance_pass_with_the_number_of_slices(sliced: Params) -> None:
    (check,) = judged(sliced)

    assert check.outcome == "pass"
    assert check.why == "no slice of 10 is worse than the base's beyond what is allowed"


def test_a_better_slice_does_not_block(sliced: Params) -> None:
    base, candidate, test = models("d")

    found = compare_slices(candidate, base, test, sliced, SCHEMA, PRICES)

    assert {check.outcome for check in check_slices_against_base(found, sliced)} == {"pass"}


def test_a_slice_of_fewer_rows_than_wanted_is_shown_and_not_judged(sliced: Params) -> None:
    slices = sliced.gate.slices.model_copy(update={"min_rows": N})
    gate = sliced.gate.model_copy(update={"slices": slices})
    params = sliced.model_copy(update={"gate": gate})

    found = compare_slices(*models("d"), params, SCHEMA, PRICES)

    assert len(found) == len(CHOICES)
    assert check_slices_against_base(found, params) == []


def limited(sliced: Params, limit: float) -> Params:
    slices = sliced.gate.slices.model_copy(update={"max_regression": {"mape": limit}})
    return sliced.model_copy(
        update={"gate": sliced.gate.model_copy(update={"slices": slices})}
    )  # fmt: skip


def test_a_slice_may_have_limits_of_its_own_and_is_a_warning_where_it_is_surely_worse_within(
    sliced: Params,
) -> None:
    (warned,) = judged(limited(sliced, 2.0), "d")
    (blocked,) = judged(limited(sliced, 0.05), "d")

    assert (warned.outcome, blocked.outcome) == ("warn", "block")
    assert warned.why.endswith("allowed are 200%; within the limit, but statistically significant")
    assert [check.outcome for check in judged(limited(sliced, 2.0))] == ["pass"]


def test_what_blocks_is_listed_before_what_warns(sliced: Params) -> None:
    rng = np.random.default_rng(0)
    base, candidate, test = models("d")
    error = np.log(base.predicted / base.actual)
    grown = base.actual * np.exp(error * (1.02 + rng.normal(0, 0.001, N)))  # each error by 2 %
    worse = np.where(test["kind"] == "d", candidate.predicted, grown)

    found = compare_slices(
        base, Predictions("regression", base.actual, worse), test, sliced, SCHEMA, PRICES
    )
    outcomes = [check.outcome for check in check_slices_against_base(found, sliced)]

    assert outcomes[:2] == ["block", "block"]
    assert set(outcomes[2:]) == {"warn"}


def test_the_same_model_twice_has_no_chance_to_block(sliced: Params) -> None:
    base, _, test = models()

    found = compare_slices(base, base, test, sliced, SCHEMA, PRICES)

    assert {part["chance"]["mape"] for part in found} == {1.0}
    assert {part["regression"]["rmse"] for part in found} == {0.0}


def test_worse_than_a_slice_without_any_error_blocks_though_it_is_no_share(sliced: Params) -> None:
    base, candidate, test = models("d")
    exact = np.where(test["kind"] == "d", base.actual, base.predicted)

    found = check_slices_against_base(
        compare_slices(
            Predictions("regression", base.actual, exact), candidate, test, sliced, SCHEMA, PRICES
        ),
        sliced,
    )

    assert any("was 0 for the base" in check.why and check.outcome == "block" for check in found)


def test_many_worse_slices_are_counted_and_not_all_listed(sliced: Params) -> None:
    base, candidate, test = models()
    worse = Predictions("regression", base.actual, candidate.predicted * 1.3)

    found = compare_slices(base, worse, test, sliced, SCHEMA, PRICES)
    checks = check_slices_against_base(found, sliced)

    assert len(checks) == LISTED + 1
    assert checks[-1].why == "10 more slices are worse than the base's beyond chance"


def test_the_more_slices_are_looked_at_the_surer_each_must_be() -> None:
    rng = np.random.default_rng(0)
    worse = rng.normal(0.25, 1.0, 200)
    rows = np.arange(200)
    others = [rng.normal(0, 1.0, 200) for _ in range(39)]

    (alone,) = chance_of_any([rows], [worse], 8000)
    among, *_ = chance_of_any([rows + 200 * k for k in range(40)], [worse, *others], 8000)

    assert alone < 0.01
    assert 10 * alone < among


def test_slices_of_the_same_rows_cost_no_more_than_one() -> None:
    worse = np.random.default_rng(0).normal(0.2, 1.0, 200)
    rows = np.arange(200)

    one = chance_of_any([rows], [worse], 200)
    same = chance_of_any([rows] * 40, [worse] * 40, 200)

    assert same[0] == pytest.approx(one[0], rel=0.5)


def test_chance_is_the_same_every_time(sliced: Params) -> None:
    first, second = (compare_slices(*models("d"), sliced, SCHEMA, PRICES) for _ in range(2))

    assert first == second
