"""The gate: below, at and above each limit, in both directions, sure and unsure."""

import math
from dataclasses import replace

import pytest

from mlops.intervals import Spread
from mlops.params import Gate, Params, SliceFloors
from mlops.review.gate import (
    Check,
    check_floors,
    check_gate_is_kept,
    check_regressions,
    check_slices,
    detectable_regression,
    verdict,
)
from mlops.review.model_comparison import Comparison
from standard import PRICES

SURE = Spread(0.001, 1000.0)
Z = 2.5758293  # normal quantile of 99 %, two-sided


def comparison(regression: float | None, spread: Spread | None = SURE) -> Comparison:
    return Comparison("rmse", 100.0, 100.0, 100.0, 0.0, -1.0, 1.0, regression, spread)


@pytest.fixture
def limits(params: Params) -> Params:
    """Give a gate of one floor each way, and one limit to a regression, of a tenth."""
    gate = Gate(
        floors={"r2": 0.85, "mape": 0.13},
        slices=SliceFloors(min_rows=30, floors={"mape": 0.25, "r2": 0.5}),
        max_regression={"rmse": 0.1},
        confidence=0.99,
    )
    return params.model_copy(update={"gate": gate})


def check(params: Params, regression: float | None, spread: Spread | None = SURE) -> Check:
    (found,) = check_regressions([comparison(regression, spread)], params)
    return found


@pytest.mark.parametrize(
    ("metric", "value", "outcome"),
    [
        ("r2", 0.849, "block"),
        ("r2", 0.85, "pass"),
        ("r2", 0.851, "pass"),
        ("mape", 0.129, "pass"),
        ("mape", 0.13, "pass"),
        ("mape", 0.131, "block"),
    ],
)
def test_a_floor_is_reached_at_its_limit(
    limits: Params, metric: str, value: float, outcome: str
) -> None:
    fine = {"r2": 0.9, "mape": 0.1}

    found = {c.name: c for c in check_floors(fine | {metric: value}, limits, PRICES)}

    assert found[f"floor of {metric}"].outcome == outcome
    assert verdict(list(found.values())) == outcome


def test_a_floor_says_what_is_and_what_was_wanted(limits: Params) -> None:
    whys = [c.why for c in check_floors({"r2": 0.84, "mape": 0.12}, limits, PRICES)]

    assert whys == ["r2 is 0.84, wanted at least 0.85", "mape is 0.12, wanted at most 0.13"]


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, "0.9"])
def test_a_floor_of_a_metric_that_is_no_finite_number_blocks(limits: Params, value: object) -> None:
    found = {c.name: c for c in check_floors({"r2": value, "mape": 0.1}, limits, PRICES)}[
        "floor of r2"
    ]

    assert found.outcome == "block"
    assert found.value is None
    assert found.why == "r2 is missing or not a finite number"


def test_a_floor_of_a_metric_that_nobody_computed_blocks(limits: Params) -> None:
    assert verdict(check_floors({"mape": 0.1}, limits, PRICES)) == "block"


@pytest.mark.parametrize(
    ("regression", "outcome"), [(0.099, "warn"), (0.1, "warn"), (0.101, "block")]
)
def test_a_sure_regression_blocks_above_its_limit(
    limits: Params, regression: float, outcome: str
) -> None:
    assert check(limits, regression).outcome == outcome


@pytest.mark.parametrize(
    ("errors", "outcome"), [(Z - 0.01, "warn"), (Z, "warn"), (Z + 0.01, "block")]
)
def test_above_its_limit_a_regression_blocks_when_chance_does_not_explain_it(
    limits: Params, errors: float, outcome: str
) -> None:
    noise = Spread(0.2 / errors, 1000.0)

    assert check(limits, 0.2, noise).outcome == outcome


def test_the_degrees_of_freedom_do_not_hold_a_block_up(limits: Params) -> None:
    assert check(limits, 0.2, Spread(0.07, 3.0)).outcome == "block"


def test_more_confidence_asks_for_a_surer_regression(limits: Params) -> None:
    noise = Spread(0.2 / 3, 1000.0)
    stricter = limits.gate.model_copy(update={"confidence": 0.999})

    assert check(limits, 0.2, noise).outcome == "block"
    assert check(limits.model_copy(update={"gate": stricter}), 0.2, noise).outcome == "warn"


@pytest.mark.parametrize("regression", [-0.5, 0.0])
def test_better_or_unchanged_passes_however_unsure(limits: Params, regression: float) -> None:
    assert check(limits, regression, Spread(1.0, 10.0)).outcome == "pass"


@pytest.mark.parametrize(("errors", "outcome"), [(1.9, "pass"), (2.1, "warn")])
def test_within_its_limit_a_significant_regression_warns(
    limits: Params, errors: float, outcome: str
) -> None:
    noise = Spread(0.05 / errors, 1000.0)

    assert check(limits, 0.05, noise).outcome == outcome


def test_a_significant_regression_of_the_leading_metric_warns_without_a_limit_of_it(
    limits: Params,
) -> None:
    params = limits.model_copy(
        update={"gate": limits.gate.model_copy(update={"max_regression": {}})}
    )

    (warned,) = check_regressions([comparison(0.02, SURE)], params)

    assert (warned.outcome, warned.limit) == ("warn", None)
    assert warned.why == "rmse is 2.0% worse than the base's, statistically significant"
    assert check_regressions([comparison(0.02, Spread(0.02, 99.0))], params) == []
    assert check_regressions([comparison(-0.02, SURE)], params) == []


def test_a_limit_of_nought_blocks_any_sure_regression(limits: Params) -> None:
    strict = limits.gate.model_copy(update={"max_regression": {"rmse": 0.0}})
    params = limits.model_copy(update={"gate": strict})

    assert check(params, 0.0, Spread(0.0, 99.0)).outcome == "pass"
    assert check(params, 0.01).outcome == "block"
    assert check(params, 0.01, Spread(0.01, 99.0)).outcome == "warn"


@pytest.mark.parametrize("spread", [SURE, None])
def test_a_regression_that_can_not_be_computed_blocks(
    limits: Params, spread: Spread | None
) -> None:
    found = check(limits, None, spread)

    assert found.outcome == "block"
    assert found.value is None
    assert found.why == "rmse is missing or not a finite number"


def test_a_regression_above_the_limit_blocks_where_no_interval_is_known(limits: Params) -> None:
    found = check(limits, 0.2, None)

    assert (found.outcome, found.value) == ("block", None)
    assert found.why.endswith("these test rows don't tell whether that is chance")


ZEROS = "1 of 9 targets is 0"


@pytest.mark.parametrize(
    ("base", "candidate", "base_reason", "reason", "why"),
    [
        (None, None, ZEROS, ZEROS, f"is undefined: {ZEROS}"),
        (None, None, "all 9 targets are equal", ZEROS,
         f"is undefined: {ZEROS}; for the base, all 9 targets are equal"),
        (0.5, None, "", ZEROS, f"is undefined: {ZEROS}; the base's is 0.5"),
        (None, 0.25, ZEROS, "", f"is 0.25, and undefined for the base: {ZEROS}"),
        (0.0, 0.25, "", "", "is 0.25 and was 0 for the base, so the change has no percentage"),
    ],
)  # fmt: skip
def test_a_regression_of_an_undefined_metric_blocks_and_says_whose_it_is_and_why(
    limits: Params,
    base: float | None,
    candidate: float | None,
    base_reason: str,
    reason: str,
    why: str,
) -> None:
    found = replace(
        comparison(None, None),
        base=base, candidate=candidate, base_reason=base_reason, reason=reason,
    )  # fmt: skip

    (checked,) = check_regressions([found], limits)

    assert (checked.outcome, checked.value, checked.why) == ("block", None, f"rmse {why}")


def test_a_floor_of_an_undefined_metric_blocks_and_says_why(limits: Params) -> None:
    found = check_floors({"r2": 0.9, "mape": None}, limits, PRICES, {"mape": ZEROS})

    assert verdict(found) == "block"
    assert f"mape is undefined: {ZEROS}" in [one.why for one in found]


def test_without_an_interval_a_regression_within_the_limit_passes(limits: Params) -> None:
    assert check(limits, 0.05, None).outcome == "pass"


@pytest.mark.parametrize(
    ("regression", "spread", "why"),
    [
        (0.0, SURE, "rmse is unchanged, allowed are 10% worse"),
        (-0.034, SURE, "rmse is 3.4% better than the base's, allowed are 10% worse"),
        (
            0.034,
            SURE,
            "rmse is 3.4% worse than the base's, allowed are 10% worse; "
            "within the limit, but statistically significant at 95%",
        ),
        (
            0.2,
            SURE,
            "rmse is 20.0% worse than the base's, allowed are 10% worse; "
            "statistically significant at 99%",
        ),
        (
            0.2,
            Spread(0.1, 1e9),
            "rmse is 20.0% worse than the base's, allowed are 10% worse; "
            "not statistically significant at 99%",
        ),
        (
            -0.034,
            Spread(0.1, 1e9),
            "rmse is 3.4% better than the base's, allowed are 10% worse; "
            "these test rows can't rule out 16.2% worse",
        ),
    ],
)
def test_the_reason_says_how_much_and_how_sure(
    limits: Params, regression: float, spread: Spread, why: str
) -> None:
    assert check(limits, regression, spread).why == why


@pytest.mark.parametrize(("error", "said"), [(0.0509, False), (0.0511, True)])
def test_a_pass_says_what_it_can_not_rule_out_once_that_is_above_the_limit(
    limits: Params, error: float, said: bool
) -> None:
    assert ("can't rule out" in check(limits, 0.0, Spread(error, 1e9)).why) is said


@pytest.mark.parametrize(
    ("outcomes", "worst"),
    [
        ([], "pass"),
        (["pass"], "pass"),
        (["pass", "warn"], "warn"),
        (["warn", "block", "pass"], "block"),
    ],
)
def test_the_verdict_is_the_worst_outcome(outcomes: list[str], worst: str) -> None:
    checks = [Check("c", None, None, outcome, "") for outcome in outcomes]  # type: ignore[arg-type]

    assert verdict(checks) == worst


@pytest.mark.parametrize(("outcome", "passed"), [("pass", True), ("warn", True), ("block", False)])
def test_a_check_is_written_as_the_contract_says(outcome: str, passed: bool) -> None:
    written = Check("n", 0.1, 0.2, outcome, "because").as_json()  # type: ignore[arg-type]

    assert written == {
        "name": "n", "outcome": outcome, "value": 0.1, "limit": 0.2, "passed": passed,
        "why": "because",
    }  # fmt: skip


def test_what_is_detectable_is_the_limit_where_nothing_is_left_to_chance() -> None:
    assert detectable_regression(comparison(0.0, Spread(0.0, 99.0)), 0.1, 0.99) == 0.1


def test_what_is_detectable_lies_above_limit_and_chance_by_half_an_interval() -> None:
    few, many = Spread(0.1, 1e9), Spread(0.01, 1e9)

    assert detectable_regression(comparison(0.0, few), 0.1, 0.99) == pytest.approx(
        0.1 * (Z + 1.6448536)
    )
    assert detectable_regression(comparison(0.0, many), 0.1, 0.99) == pytest.approx(
        0.1 + 0.01 * 1.6448536
    )


def test_fewer_degrees_of_freedom_detect_less() -> None:
    sure, unsure = (comparison(0.0, Spread(0.05, degrees)) for degrees in (100.0, 5.0))

    # Student's t with 100 and 5 degrees: 2.626 and 4.032 at 99 %, 1.660 and 2.015 at 90 %.
    least, more = (detectable_regression(c, 0.1, 0.99) for c in (sure, unsure))
    assert least == pytest.approx(0.05 * (2.62589 + 1.66023), rel=1e-5)
    assert more == pytest.approx(0.05 * (4.03214 + 2.01505), rel=1e-5)


def test_without_an_interval_nothing_is_said_to_be_detectable() -> None:
    assert detectable_regression(replace(comparison(0.1), spread=None), 0.1, 0.99) is None


def part(rows: int = 30, **values: tuple[float | None, float | None, float | None]) -> dict:  # type: ignore[type-arg]
    fine = {"mape": (0.1, 0.05, 0.15), "r2": (0.9, 0.85, 0.95)}
    metrics = {
        metric: {"value": value, "low": low, "high": high}
        for metric, (value, low, high) in (fine | values).items()
    }
    return {"column": "size", "slice": "> 9", "rows": rows, "metrics": metrics}


@pytest.mark.parametrize(
    ("metric", "found", "outcome"),
    [
        ("mape", (0.25, 0.2, 0.3), "pass"),
        ("mape", (0.26, 0.25, 0.3), "warn"),
        ("mape", (0.26, 0.251, 0.3), "block"),
        ("mape", (0.26, None, None), "block"),
        ("mape", (None, None, None), "block"),
        ("r2", (0.5, 0.4, 0.6), "pass"),
        ("r2", (0.49, 0.4, 0.5), "warn"),
        ("r2", (0.49, 0.4, 0.499), "block"),
    ],
)
def test_a_slice_blocks_where_its_whole_interval_is_beyond_the_floor(
    limits: Params, metric: str, found: tuple[float, float, float], outcome: str
) -> None:
    assert verdict(check_slices([part(), part(**{metric: found})], limits, PRICES)) == outcome


@pytest.mark.parametrize(("rows", "outcome"), [(29, "pass"), (30, "block"), (31, "block")])
def test_a_slice_of_few_rows_is_left_alone(limits: Params, rows: int, outcome: str) -> None:
    assert verdict(check_slices([part(rows, mape=(0.9, 0.8, 1.0))], limits, PRICES)) == outcome


def test_a_slice_beyond_its_floor_is_named_and_one_line_is_enough_for_the_others(
    limits: Params,
) -> None:
    fine = check_slices([part(), part()], limits, PRICES)
    (short, _) = check_slices([part(), part(mape=(0.3, 0.2, 0.4))], limits, PRICES)

    assert [check.why for check in fine] == [
        "mape is at most 0.25 in each of 2 parts of the rows",
        "r2 is at least 0.5 in each of 2 parts of the rows",
    ]
    assert short.why == (
        "mape is 0.3 on the 30 rows of size: > 9, wanted at most 0.25; "
        "not statistically significant"
    )


def test_a_change_of_the_gate_itself_is_a_warning() -> None:
    (found,) = check_gate_is_kept(["models.ridge.alpha", "gate.floors.r2"])

    assert found.outcome == "warn"
    assert found.why == "this change edits the gate's own limits: gate.floors.r2"
    assert check_gate_is_kept(["train.gate.x"]) == []
