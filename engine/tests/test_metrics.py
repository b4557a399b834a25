"""Metrics are scikit-learn's; the influence of a row is the metric's slope in that row's weight."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from mlops.metrics import Floats, Predictions, Task, rounded
from standard import NAMES, estimates, metrics_of, score

SIZES = [2, 7, 50, 51]


def prices(n_rows: int, seed: int, ties: bool = False) -> Predictions:
    rng = np.random.default_rng(seed)
    actual = np.exp(rng.normal(12, 0.4, n_rows))
    predicted = actual * np.exp(rng.normal(0, 0.1, n_rows))
    if ties:
        actual, predicted = np.full(n_rows, 4.0), rng.integers(3, 6, n_rows).astype(float)
        actual[0] = 5.0
    return Predictions("regression", actual, predicted)


def choices(n_rows: int, n_classes: int, seed: int, ties: bool = False) -> Predictions:
    """Make predictions in which every class happens at least once."""
    rng = np.random.default_rng(seed)
    actual = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n_rows - n_classes)])
    proba = rng.dirichlet(np.ones(n_classes), n_rows)
    if ties:
        proba = np.eye(n_classes)[rng.integers(0, n_classes, n_rows)] * 0.4 + 0.6 / n_classes
    return Predictions("classification", actual.astype(float), proba)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n_rows", SIZES)
def test_the_metrics_of_a_regression_are_those_of_scikit_learn(n_rows: int, ties: bool) -> None:
    given_rows = prices(n_rows, seed=n_rows, ties=ties)
    actual, predicted = given_rows.actual, given_rows.predicted

    found = score(given_rows)

    assert found == pytest.approx(
        {
            "rmse": sklearn_metrics.root_mean_squared_error(actual, predicted),
            "mae": sklearn_metrics.mean_absolute_error(actual, predicted),
            "mape": sklearn_metrics.mean_absolute_percentage_error(actual, predicted),
            "median_ape": np.median(np.abs(predicted / actual - 1)),
            "r2": sklearn_metrics.r2_score(actual, predicted),
        }
    )


def of_two_classes(rows: Predictions) -> dict[str, float]:
    claimed, chosen = rows.predicted[:, 1], rows.decided
    return {
        "average_precision": sklearn_metrics.average_precision_score(rows.actual, claimed),
        "precision": sklearn_metrics.precision_score(rows.actual, chosen),
        "recall": sklearn_metrics.recall_score(rows.actual, chosen),
    }


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_the_metrics_of_a_classification_are_those_of_scikit_learn(
    n_classes: int, ties: bool
) -> None:
    rows = choices(80, n_classes, seed=n_classes, ties=ties)
    actual, proba, chosen = rows.actual, rows.predicted, rows.predicted.argmax(axis=1)
    labels = list(range(n_classes))

    found = score(rows)

    del found["calibration_error"]  # scikit-learn has none
    assert found == pytest.approx(
        {
            "log_loss": sklearn_metrics.log_loss(actual, proba, labels=labels),
            "brier": sklearn_metrics.brier_score_loss(
                actual, proba, labels=labels, scale_by_half=False
            ),
            "roc_auc": sklearn_metrics.roc_auc_score(
                actual,
                proba[:, 1] if n_classes == 2 else proba,
                average="weighted" if n_classes > 2 else "macro",
                multi_class="ovr",
            ),
            "f1_macro": sklearn_metrics.f1_score(actual, chosen, average="macro"),
            "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(actual, chosen),
        }
        | (of_two_classes(rows) if n_classes == 2 else {})
    )


def test_the_calibration_error_is_the_mean_gap_between_claim_and_truth_by_tenths() -> None:
    actual = np.array([1.0, 1, 0, 1, 0])
    proba = np.array([[0.05, 0.95], [0.1, 0.9], [0.1, 0.9], [0.3, 0.7], [0.6, 0.4]])

    # Above 0.9: 2 of 3 right, claimed 2.75; at 0.7: 1 of 1, claimed 0.7; at 0.6: 1 of 1, 0.6.
    wanted = (abs(2 - 2.75) + 0.3 + 0.4) / 5
    found = score(Predictions("classification", actual, proba))
    assert found["calibration_error"] == pytest.approx(wanted)


def test_a_probability_of_nought_for_what_happened_costs_much_but_not_everything() -> None:
    sure = Predictions("classification", np.array([0.0, 1.0]), np.array([[1.0, 0.0], [1.0, 0.0]]))

    assert score(sure)["log_loss"] == pytest.approx(-np.log(1e-15) / 2)


def repeated(predictions: Predictions, counts: Floats) -> Predictions:
    rows = np.repeat(np.arange(len(counts)), counts.astype(int))
    return Predictions(predictions.task, predictions.actual[rows], predictions.predicted[rows])


@pytest.mark.parametrize("rows", [prices(60, 1), choices(60, 2, 1), choices(60, 4, 1)])
def test_a_rows_influence_is_the_slope_of_the_metric_in_its_weight(rows: Predictions) -> None:
    times, n_rows = 200, len(rows.actual)
    before = estimates(rows)

    for place in (0, 7, 59):
        counts = np.full(n_rows, float(times))
        counts[place] += 1
        after = score(repeated(rows, counts))
        for name, (value, influence, _) in before.items():
            if name == "median_ape":  # it has steps, and no slope
                continue
            slope = (after[name] - value) * counts.sum()
            assert slope == pytest.approx(influence[place], rel=0.02, abs=0.002), name


@pytest.mark.parametrize("rows", [prices(400, 2), choices(400, 2, 2), choices(400, 3, 2)])
def test_the_spread_of_influences_is_the_standard_error_of_a_bootstrap(rows: Predictions) -> None:
    rng, n_rows = np.random.default_rng(0), len(rows.actual)
    draws = [
        score(repeated(rows, np.bincount(rng.integers(0, n_rows, n_rows), minlength=n_rows)))
        for _ in range(500)
    ]

    for name, estimate in estimates(rows).items():
        if name == "calibration_error":  # the kinks at its zeros make draws larger than itself
            continue
        wanted = np.std([drawn[name] for drawn in draws])
        error = np.sqrt(np.mean(estimate.influence**2) / n_rows)
        assert error == pytest.approx(wanted, rel=0.15), name


@given(seed=st.integers(0, 2**32 - 1), n_rows=st.integers(5, 40), times=st.integers(2, 4))
@settings(deadline=None, max_examples=40)
def test_repeating_all_rows_changes_neither_metric_nor_influence(
    seed: int, n_rows: int, times: int
) -> None:
    for rows in (prices(n_rows, seed), choices(n_rows, 2, seed), choices(n_rows, 3, seed)):
        once, often = estimates(rows), estimates(repeated(rows, np.full(n_rows, times)))

        for name in once:
            assert once[name].value == pytest.approx(often[name].value, nan_ok=True), name
            if name != "median_ape":  # its density is that of √n neighbours
                again = np.repeat(once[name].influence, times)
                np.testing.assert_allclose(often[name].influence, again, atol=1e-6, rtol=1e-6)


@given(seed=st.integers(0, 2**32 - 1), n_rows=st.integers(5, 40))
@settings(deadline=None, max_examples=40)
def test_influences_have_mean_nought_and_do_not_hang_on_the_order_of_rows(
    seed: int, n_rows: int
) -> None:
    order = np.random.default_rng(seed).permutation(n_rows)
    for rows in (prices(n_rows, seed), choices(n_rows, 3, seed)):
        turned = estimates(Predictions(rows.task, rows.actual[order], rows.predicted[order]))

        for name, (value, influence, _) in estimates(rows).items():
            scale = np.abs(influence).max() + 1e-6
            assert influence.mean() == pytest.approx(0, abs=1e-9 * scale), name
            assert turned[name].value == pytest.approx(value), name
            np.testing.assert_allclose(turned[name].influence, influence[order], atol=1e-6 * scale)


def test_every_metric_of_the_tables_is_computed_and_no_other() -> None:
    for task, rows in (
        ("regression", prices(9, 0)),
        ("two classes", choices(9, 2, 0)),
        ("three classes", choices(9, 3, 0)),
    ):
        assert list(estimates(rows)) == NAMES[task]


@pytest.mark.parametrize("rows", [prices(300, 3), choices(300, 3, 3)])
def test_no_error_is_below_nought_and_no_goodness_above_one(rows: Predictions) -> None:
    for name, higher in metrics_of(rows).higher_is_better.items():
        assert (score(rows)[name] <= 1) if higher else (score(rows)[name] >= 0)


def test_of_one_row_r2_is_not_defined_and_the_other_metrics_are() -> None:
    found = score(Predictions("regression", np.array([2.0]), np.array([3.0])))

    assert not np.isfinite(found.pop("r2"))
    assert found == {"rmse": 1.0, "mae": 1.0, "mape": 0.5, "median_ape": 0.5}


@pytest.mark.parametrize("n_classes", [2, 3])
def test_of_one_class_alone_the_area_under_the_curve_is_not_defined(n_classes: int) -> None:
    proba = np.full((4, n_classes), 1 / n_classes)

    found = score(Predictions("classification", np.zeros(4), proba))

    assert np.isnan(found.pop("roc_auc"))
    if n_classes == 2:
        assert np.isnan([found.pop(name) for name in NAMES["two classes"][-3:]]).all()
    assert np.isfinite(list(found.values())).all()


def test_a_class_that_neither_happens_nor_is_claimed_counts_for_nothing() -> None:
    rows = choices(50, 2, seed=5)
    padded = np.column_stack([rows.predicted, np.zeros(50)])

    found = score(Predictions("classification", rows.actual, padded))

    for name in ("f1_macro", "balanced_accuracy", "log_loss", "brier"):
        assert found[name] == pytest.approx(score(rows)[name])


def test_the_area_under_the_curve_leaves_out_a_class_that_never_happens() -> None:
    rows = choices(50, 3, seed=5)
    without = rows.take(rows.actual != 2)
    actual, proba = without.actual, without.predicted

    wanted = sum(
        np.mean(actual == c) * sklearn_metrics.roc_auc_score(actual == c, proba[:, c])
        for c in (0, 1)
    )
    assert score(without)["roc_auc"] == pytest.approx(wanted)


def test_a_share_of_an_actual_nought_is_infinite_and_not_a_number_in_json() -> None:
    found = score(Predictions("regression", np.array([0.0, 1.0]), np.array([1.0, 1.0])))

    assert found["mape"] == np.inf
    assert rounded(found["mape"]) is None


def test_predictions_without_any_error_have_no_influence() -> None:
    exact = np.array([1.0, 2.0, 4.0])

    value, influence, _ = estimates(Predictions("regression", exact, exact))["rmse"]

    assert value == 0
    assert influence.tolist() == [0, 0, 0]


@pytest.mark.parametrize(("n_actual", "n_predicted"), [(2, 3), (0, 0)])
def test_predictions_need_rows_and_as_many_of_each(n_actual: int, n_predicted: int) -> None:
    with pytest.raises(ValueError, match=f"{n_actual} actual, {n_predicted} predicted values"):
        Predictions("regression", np.ones(n_actual), np.ones(n_predicted))


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_taking_rows_keeps_those_that_are_marked(task: Task) -> None:
    rows = prices(5, 0) if task == "regression" else choices(5, 3, 0)
    marked = np.array([True, False, True, False, False])

    kept = rows.take(marked)

    assert kept.task == task
    np.testing.assert_array_equal(kept.actual, rows.actual[[0, 2]])
    np.testing.assert_array_equal(kept.predicted, rows.predicted[[0, 2]])


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (0.123456789, 0.12345679),
        (123456789.0, 123456790.0),
        (-0.0, 0.0),
        (float("nan"), None),
        (float("inf"), None),
        (float("-inf"), None),
    ],
)
def test_rounding_keeps_eight_digits_of_what_is_defined(value: float, wanted: float | None) -> None:
    assert rounded(value) == wanted
