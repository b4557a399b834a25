"""Metrics of the project's own: one line each, and as good as the engine's wherever one counts."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fitted
from mlops.errors import UserError
from mlops.intervals import spread
from mlops.metric_registry import Metrics
from mlops.metrics import Metric, Predictions
from mlops.monitoring.performance import performance
from mlops.monitoring.retrain import is_better
from mlops.params import BestMetric, Params, load_params
from mlops.pipeline.evaluate import slice_table, with_intervals
from mlops.pipeline.fingerprint import project_parts
from mlops.pipeline.search import search
from mlops.review.gate import check_definitions, check_floors, check_slices
from mlops.review.model_comparison import compare, redefined
from mlops.sampling import valid_rows
from mlops.undefined import Undefined
from paths import DEMO
from project.schema import SCHEMA
from standard import PRICES


def cost(actual: Any, predicted: Any) -> Any:
    error = predicted - actual
    return np.where(error < 0, -3 * error, error)


def within_a_tenth(actual: Any, predicted: Any) -> Any:
    return np.abs(predicted / actual - 1) <= 0.1


def root(actual: Any, predicted: Any) -> Any:
    return np.sqrt(np.mean((predicted - actual) ** 2))


COST = Metric("cost", "What a wrong price costs", "US dollars", cost)
NEAR = Metric("near", "Share within a tenth", "", within_a_tenth, higher_is_better=True)
ROOT = Metric("root", "Root of the mean square", "US dollars", root)
OWN = Metrics("regression", own=(COST, NEAR, ROOT))
OUTCOMES = ("no", "yes")


def prices(n_rows: int, seed: int = 0, off: float = 0.1) -> Predictions:
    rng = np.random.default_rng(seed)
    actual = np.exp(rng.normal(12, 0.4, n_rows))
    return Predictions("regression", actual, actual * np.exp(rng.normal(0, off, n_rows)))


def of(compute: Any, **more: Any) -> Metrics:
    return Metrics("regression", own=(Metric("mine", "Mine", "", compute, **more),))


def outcomes(compute: Any, **more: Any) -> Metrics:
    return Metrics("classification", OUTCOMES, (Metric("mine", "Mine", "", compute, **more),))


CLAIMED = Predictions(
    "classification", np.array([0.0, 1, 1]), np.array([[0.6, 0.4], [0.7, 0.3], [0.1, 0.9]]), 0.35
)


def test_a_metric_of_rows_is_their_mean_and_one_of_all_rows_is_its_number() -> None:
    rows = prices(50)

    found = OWN.score(rows)

    assert found["cost"] == pytest.approx(cost(rows.actual, rows.predicted).mean())
    assert found["near"] == pytest.approx(within_a_tenth(rows.actual, rows.predicted).mean())
    assert found["root"] == pytest.approx(found["rmse"])
    assert list(found) == [*PRICES.higher_is_better, "cost", "near", "root"]


@pytest.mark.parametrize("n_rows", [30, 300])
def test_the_interval_of_a_number_by_resampling_is_that_of_the_influences(n_rows: int) -> None:
    found = OWN.estimates(prices(n_rows))

    drawn, known = (spread(found[name].influence) for name in ("root", "rmse"))

    assert drawn.error == pytest.approx(known.error, rel=0.25)


def test_resampling_covers_the_truth_about_as_often_as_it_says() -> None:
    truth = OWN.score(prices(200_000, seed=1))["root"]
    hits = []
    for seed in range(150):
        value, drawn, _ = OWN.estimates(prices(100, seed=seed + 10))["root"]
        hits.append(abs(value - truth) <= spread(drawn).margin(0.9))

    assert 0.82 < np.mean(hits) < 0.97


def test_two_models_on_the_same_rows_are_compared_in_pairs(params: Params) -> None:
    base = prices(400)
    worse = Predictions("regression", base.actual, base.predicted * 1.01)

    found = {c.metric: c for c in compare(base, worse, {}, params, OWN)}

    for own, engine in (("root", "rmse"), ("cost", "mae")):
        assert found[own].spread is not None
        assert found[own].spread.error < 0.2 * spread(OWN.estimates(base)[own].influence).error
        assert found[engine].spread is not None
    assert found["root"].spread.error == pytest.approx(found["rmse"].spread.error, rel=0.3)


def test_the_same_rows_give_the_same_interval_twice() -> None:
    first, again = (with_intervals(prices(60), OWN, 0.95) for _ in range(2))

    assert first == again
    assert first["root"]["low"] < first["root"]["value"] < first["root"]["high"]


def test_a_classification_is_judged_by_what_was_decided_at_the_threshold() -> None:
    seen: list[list[str]] = []

    def missed(actual: Any, predicted: Any) -> Any:
        seen.append([*actual, *predicted])
        return (actual == "yes") & (predicted == "no")

    assert outcomes(missed).score(CLAIMED)["mine"] == pytest.approx(1 / 3)
    assert seen == [["no", "yes", "yes", "yes", "no", "yes"]]


def test_a_classification_is_judged_by_its_probabilities_if_they_are_asked_for() -> None:
    found = outcomes(lambda actual, proba: proba[:, 1], takes="probabilities")

    assert found.score(CLAIMED)["mine"] == pytest.approx((0.4 + 0.3 + 0.9) / 3)


def refuse(actual: Any, predicted: Any) -> Any:
    raise Undefined("no house above a million")


@pytest.mark.parametrize(
    ("compute", "reason"),
    [
        (refuse, "no house above a million"),
        (lambda a, p: np.where(a > np.median(a), np.nan, 1.0), "4 of 9 rows have no finite value"),
        (lambda a, p: np.float64(np.inf), "no finite number"),
    ],
)
def test_rows_that_do_not_define_a_metric_are_told_in_words(
    compute: Any, reason: str, params: Params
) -> None:
    rows, mine = prices(9), of(compute)

    assert with_intervals(rows, mine, 0.95)["mine"]["reason"] == reason
    (found,) = [c for c in compare(rows, rows, {}, params, mine) if c.metric == "mine"]
    assert (found.candidate, found.reason, found.base_reason) == (None, reason, reason)
    gate = params.gate.model_copy(update={"floors": {"mine": 1.0}})
    (check,) = check_floors(
        {"mine": None}, params.model_copy(update={"gate": gate}), mine, {"mine": reason}
    )
    assert (check.outcome, check.why) == ("block", f"mine is undefined: {reason}")


def test_a_model_that_predicts_no_number_leaves_every_own_metric_undefined() -> None:
    rows = Predictions("regression", np.ones(2), np.array([np.inf, 1.0]))

    assert OWN.estimates(rows)["cost"].reason == "a prediction is not finite"


def test_resamples_that_leave_a_metric_undefined_give_no_interval_if_they_are_many() -> None:
    def of_the_greatest(actual: Any, predicted: Any) -> Any:
        if actual.max() < GREATEST:
            raise Undefined("the greatest is not there")
        return actual.mean()

    rows = prices(20)
    GREATEST = rows.actual.max()

    found = with_intervals(rows, of(of_the_greatest), 0.95)["mine"]

    assert found["value"] is not None
    assert (found["low"], found["high"]) == (None, None)


@pytest.mark.parametrize(
    ("compute", "problem"),
    [
        (lambda a, p: 1 / 0, "metric 'mine': its function fails: ZeroDivisionError"),
        (lambda a: a, "metric 'mine': its function fails: TypeError"),
        (lambda a, p: a[:3], r"found float64 of shape \(3,\), wanted a number, or one per row"),
        (lambda a, p: "much", "wanted a number, or one per row"),
        (lambda a, p: None, "wanted a number, or one per row"),
        (lambda a, p: a.sort(), "its function fails: ValueError"),
    ],
)
def test_a_function_that_gives_something_else_is_refused_in_words(
    compute: Any, problem: str
) -> None:
    with pytest.raises(UserError, match=problem) as error:
        of(compute).score(prices(9))

    assert str(error.value).startswith("src/project/metrics.py: ")


def test_all_that_is_wrong_with_the_names_is_said_at_once() -> None:
    twice = Metric("twice", "Twice", "", cost)
    odd = [Metric("rmse", "", "", cost), twice, twice, Metric("a b", "", "", cost)]
    proba = Metric("sure", "", "", cost, takes="probabilities")

    with pytest.raises(ValueError, match=r"src/project/metrics\.py: ") as error:
        Metrics("regression", own=(*odd, Metric("rows", "", "", cost), proba))

    for said in (
        "'rmse': is a metric of the engine",
        "'twice': is duplicated",
        "'a b': wanted a name of letters",
        "'rows': is a key of metrics.json",
        "'sure': needs probabilities, which a regression doesn't have",
    ):
        assert said in str(error.value)


def named(folder: Path, name: str) -> Path:
    text = (DEMO / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("    mape: 0.13", f"    mape: 0.13\n    {name}: 9000.0")
    text = text.replace("    metric: null", f"    metric: {name}")
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    return folder / "params.yaml"


def test_params_take_a_metric_of_the_projects_and_refuse_one_that_is_not_there(
    tmp_path: Path,
) -> None:
    found = load_params(named(tmp_path, "cost"), SCHEMA, None, OWN)

    assert found.gate.floors["cost"] == 9000.0
    assert found.train.search.metric == "cost"
    with pytest.raises(UserError) as error:
        load_params(named(tmp_path, "cots"), SCHEMA, None, OWN)
    for place in ("gate.floors: 'cots'", "train.search.metric: 'cots'"):
        assert f"{place}: wanted metrics: rmse, mae, mape, median_ape, r2, cost, near" in str(
            error.value
        )


def test_a_gate_holds_an_own_metric_in_its_direction_and_in_slices(params: Params) -> None:
    floors = {"cost": 10.0, "near": 0.5}
    slices = params.gate.slices.model_copy(update={"floors": {"near": 0.5}, "min_rows": 1})
    gate = params.gate.model_copy(update={"floors": floors, "slices": slices})
    given = params.model_copy(update={"gate": gate})

    low = {c.name: c.outcome for c in check_floors({"cost": 11.0, "near": 0.4}, given, OWN)}
    high = {c.name: c.outcome for c in check_floors({"cost": 9.0, "near": 0.6}, given, OWN)}

    assert set(low.values()) == {"block"}
    assert set(high.values()) == {"pass"}
    rows = valid_rows(SCHEMA, 400, seed=1)
    actual = rows["price"].to_numpy()
    wrong = Predictions("regression", actual, actual * 2)
    table = slice_table(wrong, rows, params.evaluate, SCHEMA, OWN)
    assert {c.outcome for c in check_slices(table, given, OWN)} == {"block"}


def test_the_monitor_holds_an_own_metric_against_the_review(params: Params) -> None:
    monitor = params.monitor.model_copy(update={"max_worse": {"near": 0.2}})
    given = params.model_copy(update={"monitor": monitor})
    rows = valid_rows(SCHEMA, 400, seed=1)
    actual = rows["price"].to_numpy()
    half = Predictions("regression", actual, np.where(np.arange(400) % 2, actual, 2 * actual))

    (found, *_) = performance(
        rows, half, {"metrics": {"near": {"value": 0.9, "error": 0.01}}}, SCHEMA, given, OWN
    )

    assert (found.metric, found.value) == ("near", 0.5)
    assert found.surely_worse is not None
    assert found.surely_worse > 0


def test_a_retraining_is_better_by_an_own_metric_in_its_direction(params: Params) -> None:
    gate = params.gate.model_copy(update={"max_regression": {"near": 0.05}})
    given = params.model_copy(update={"gate": gate})

    rows = prices(200)
    near = Predictions("regression", rows.actual, rows.actual * 1.01)
    assert is_better(compare(rows, near, {}, given, OWN), given)
    assert not is_better(compare(near, rows, {}, given, OWN), given)


def test_a_search_goes_by_the_metric_that_is_named(params: Params) -> None:
    kind, train = fitted.chosen(params, "hist_gradient_boosting", max_iter=3)
    wanted = {"candidates": 2, "folds": 2, "space": {"max_iter": [1, 40]}, "metric": "near"}
    train = train.model_copy(update={"search": train.search.model_copy(update=wanted)})

    best, tried = search(valid_rows(SCHEMA, 200, seed=7), kind, train, SCHEMA, OWN)

    assert all("near" in one and "rmse" not in one for one in tried)
    goodness = [one["near"] for one in tried]
    assert best.max_iter == tried[int(np.argmax(goodness))].get("max_iter", 3)


def test_training_depends_on_an_own_metric_only_where_it_chooses_by_it(params: Params) -> None:
    metrics = Metrics("regression", own=(COST,), code="0123")

    def parts(**changes: Any) -> dict[str, Any]:
        train = params.train.model_copy(update=changes)
        return project_parts(SCHEMA, metrics, train)

    by_cost = params.train.search.model_copy(update={"metric": "cost"})
    by_rmse = params.train.search.model_copy(update={"metric": "rmse"})
    assert parts()["metrics"] == "0123"
    assert parts()["chosen_by"] == parts(search=by_rmse)["chosen_by"] == ""
    assert parts(search=by_cost)["chosen_by"] == "0123"
    assert parts(threshold=BestMetric(metric="cost"))["chosen_by"] == "0123"


def side(sha256: str) -> Any:
    return SimpleNamespace(manifest={"data": {"test": {"sha256": sha256}}})


def test_a_metric_that_a_change_defines_otherwise_is_named(params: Params) -> None:
    rows = prices(50)
    now = OWN.score(rows)
    compared = compare(rows, rows, now | {"cost": now["cost"] * 2}, params, OWN)

    found = redefined(side("a"), side("a"), compared)

    assert found == ["cost"]
    (check,) = check_definitions(found)
    assert check.outcome == "warn"
    assert "redefines cost: both models are scored by the new definition" in check.why
    assert redefined(side("a"), side("b"), compared) == []  # other rows have other values
    assert check_definitions([]) == []


def test_words_and_units_of_own_metrics_are_told() -> None:
    assert OWN.described["cost"] == "What a wrong price costs, in US dollars"
    assert OWN.described["near"] == "Share within a tenth"
    assert json.dumps(OWN.described)
