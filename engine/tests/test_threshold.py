"""The decision threshold: one rule wherever a class is named, given or chosen, refused in words."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

import fitted
from mlops.columns import Schema
from mlops.decision_rule import decided, decided_choices
from mlops.errors import UserError
from mlops.inference.loaded_model import Served
from mlops.metric_registry import Metrics
from mlops.metrics import Predictions
from mlops.monitoring import decision
from mlops.monitoring.logged_rows import ACTUAL, PREDICTED
from mlops.params import BestMetric, ErrorCosts, Params, load_params
from mlops.pipeline import search
from mlops.pipeline.equivalence import as_requests
from mlops.pipeline.model import actual_values, predict
from mlops.pipeline.threshold import (
    best_threshold,
    keep_threshold,
    resolve_threshold,
    threshold_of,
)
from mlops.profile import prediction_profile
from mlops.sampling import valid_rows
from mlops.score import rows as scoring
from mlops.serving.app import create_app
from mlops.serving.model_card import model_card
from mlops.serving.prometheus import Metrics as Counters
from mlops.serving.service import Service
from mlops.serving.settings import Settings
from paths import DEMO
from served import make_bundle

SCHEMA = fitted.SCHEMAS["two classes"]
STAYED, LEFT = SCHEMA.target.choices
METRICS = Metrics("classification", SCHEMA.target.choices)
ROWS = valid_rows(SCHEMA, 40, seed=9, missing=0.1)

Decisions = dict[str, list[str]]


class Everywhere:
    """A bundle with a threshold, and what each place that has it decides for the same rows."""

    def __init__(self, folder: Path, threshold: float | None, kind: str = "random_forest") -> None:
        self.model = keep_threshold(fitted.fit("two classes", kind), threshold)
        make_bundle(folder, self.model, "joblib", SCHEMA, threshold=threshold)
        self.folder, self.threshold = folder, threshold

    def decisions(self) -> Decisions:
        proba = predict(self.model, ROWS, SCHEMA.target)
        actual = actual_values(ROWS, SCHEMA.target)
        tested = Predictions("classification", actual, proba, threshold_of(self.model))
        evaluated = [SCHEMA.target.choices[place] for place in tested.decided]
        served = Served.read(self.folder, SCHEMA)
        table = pa.Table.from_pandas(ROWS, preserve_index=False)
        scored = scoring.score_rows(table, served)[served.key].to_pylist()
        log = pd.DataFrame({PREDICTED: served.values(proba)})
        watched = decision._said(log, served.manifest["threshold"]).tolist()
        labelled = pd.DataFrame({PREDICTED: log[PREDICTED], ACTUAL: ROWS["outcome"]})
        judged = decision._predictions(labelled, SCHEMA, PARAMS, served.manifest["threshold"])
        found = {"evaluated": evaluated, "scored": scored, "watched": watched}
        found["judged"] = [SCHEMA.target.choices[place] for place in judged.decided]
        found["reference"] = _listed(prediction_profile(tested, SCHEMA)["choices"], evaluated)
        return found | self._served()

    def _served(self) -> Decisions:
        settings = Settings(
            prediction_log_url="none", access_log=False, bundle=self.folder, reload_seconds=0
        )  # type: ignore[call-arg]
        counters = Counters(SCHEMA)
        requests = as_requests(ROWS, SCHEMA)
        with TestClient(create_app(Service(settings, SCHEMA, counters))) as client:
            many = client.post("/predict", json={"rows": requests}).json()["predictions"]
            one = [
                client.get("/predict", params={k: v for k, v in row.items() if v is not None})
                for row in requests
            ]
            text = counters.text().decode()
        counted = {
            choice: int(float(line.rsplit(" ", 1)[1])) // 2
            for line in text.splitlines()
            for choice in SCHEMA.target.choices
            if line.startswith(f'prediction_choice_total{{choice="{choice}"}}')
        }
        single = [answer.json()["predicted_outcome"] for answer in one]
        return {"many": many, "single": single, "counted": _listed(counted, many)}


def _listed(counts: dict[str, int], like: list[str]) -> list[str]:
    """Give the decisions themselves if they are counted right, else one list that is not theirs."""
    wanted = {choice: like.count(choice) for choice in like}
    return like if {k: n for k, n in counts.items() if n} == wanted else [str(counts)]


PARAMS = load_params(DEMO / "params.yaml", fitted.SCHEMA)
PARAMS = PARAMS.model_copy(update={"task": "classification"})


def agree(found: Decisions) -> bool:
    return all(one == found["evaluated"] for one in found.values())


@pytest.mark.parametrize("threshold", [None, 0.001, 0.3, 0.5, 0.999])
def test_api_scoring_evaluation_and_monitor_decide_the_same(
    threshold: float | None, tmp_path: Path
) -> None:
    found = Everywhere(tmp_path / "bundle", threshold).decisions()

    assert agree(found), found


def test_a_probability_that_is_the_threshold_itself_is_decided_the_same(tmp_path: Path) -> None:
    model = fitted.fit("two classes", "random_forest")
    exact = float(np.median(predict(model, ROWS, SCHEMA.target)[:, 1]))

    assert agree(Everywhere(tmp_path / "bundle", exact).decisions())


def likeliest(proba: Any, threshold: float | None) -> Any:
    return proba.argmax(axis=1)


MISTAKES: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "the server forgets it": lambda m: m.setattr(Served, "threshold", None),
    "scoring takes the likeliest": lambda m: m.setattr(scoring, "decided", likeliest),
    "the monitor takes the likeliest": lambda m: m.setattr(
        decision, "decided_choices", lambda shares, threshold: decided_choices(shares, None)
    ),
    "evaluation takes the likeliest": lambda m: m.setattr(
        Predictions, "decided", property(lambda self: self.predicted.argmax(axis=1))
    ),
    "the model loses it": lambda m: m.setattr(
        sys.modules[__name__], "threshold_of", lambda model: None
    ),
    "the server is strict where others are not": lambda m: m.setattr(
        Served,
        "answers",
        lambda self, values: [LEFT if v[LEFT] > self.threshold + 0.1 else STAYED for v in values],
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_place_that_decides_otherwise_is_found(
    mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fitted.fit("two classes", "random_forest")
    low = float(np.quantile(predict(model, ROWS, SCHEMA.target)[:, 1], 0.1))
    everywhere = Everywhere(tmp_path / "bundle", min(low, 0.3))
    MISTAKES[mistake](monkeypatch)

    assert not agree(everywhere.decisions())


@given(
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=30),
    threshold=st.none() | st.floats(0.001, 0.999),
    order=st.permutations([0, 1]),
)
@settings(deadline=None, max_examples=200)
def test_rows_of_arrays_and_of_answers_are_decided_by_one_rule(
    shares: list[float], threshold: float | None, order: list[int]
) -> None:
    choices = [("no", "yes")[place] for place in order]
    proba = np.column_stack([1 - np.array(shares), shares])
    written = [dict(zip(choices, row, strict=True)) for row in proba.tolist()]

    found = decided_choices(written, threshold)

    assert found == [choices[place] for place in decided(proba, threshold)]


def test_sums_in_another_order_do_not_move_a_row_over_the_threshold() -> None:
    exact, summed = 0.3, 0.1 + 0.2 - 1e-16
    proba = np.array([[1 - p, p] for p in (exact, summed, np.nextafter(exact, 0))])

    assert decided(proba, 0.3).tolist() == [1, 1, 1]
    assert decided(np.array([[0.71, 0.29]]), 0.3).tolist() == [0]


def test_without_a_threshold_the_most_likely_class_is_decided_for_and_the_first_of_equals() -> None:
    assert decided(np.array([[0.5, 0.5], [0.2, 0.8]]), None).tolist() == [0, 1]
    assert decided(np.array([[0.2, 0.5, 0.3]]), None).tolist() == [1]


def test_a_bundle_and_parameters_of_before_decide_for_the_most_likely_class(
    tmp_path: Path, params: Params
) -> None:
    model = fitted.fit("two classes", "random_forest")
    make_bundle(tmp_path / "bundle", model, "joblib", SCHEMA)

    served = Served.read(tmp_path / "bundle", SCHEMA)

    assert served.threshold is None
    assert served.answers([{STAYED: 0.4, LEFT: 0.6}]) == [LEFT]
    assert params.train.threshold is None
    assert threshold_of(model) is None


def test_the_page_says_which_probability_decides(tmp_path: Path) -> None:
    Everywhere(tmp_path / "bundle", 0.3)
    manifest = Served.read(tmp_path / "bundle", SCHEMA).manifest

    assert "from a probability of 0.3 on" in model_card(manifest)
    assert "probability of" not in model_card({**manifest, "threshold": None})


def train_rows(n_rows: int = 300) -> pd.DataFrame:
    """Rows in which age tells, not surely, who left."""
    rows = valid_rows(SCHEMA, n_rows, seed=2)
    chance = np.random.default_rng(0).random(n_rows)
    gone = chance < (rows["age"] - 18) / 81
    return rows.assign(outcome=np.where(gone, LEFT, STAYED))


def chosen(params: Params, wanted: Any, **more: Any) -> float | None:
    kind, train = fitted.chosen(params, "ridge", threshold=wanted, **more)
    return resolve_threshold(train_rows(), kind, train, SCHEMA, METRICS)


def test_what_errors_cost_moves_the_threshold(params: Params) -> None:
    missed = chosen(params, ErrorCosts(false_positive=1, false_negative=9))
    alarm = chosen(params, ErrorCosts(false_positive=9, false_negative=1))

    assert missed is not None
    assert alarm is not None
    assert missed < 0.3 < 0.7 < alarm  # of a calibrated model, 1 / 10 and 9 / 10 are the best


def test_only_the_ratio_of_the_costs_counts(params: Params) -> None:
    small = chosen(params, ErrorCosts(false_positive=1, false_negative=5))

    assert small == chosen(params, ErrorCosts(false_positive=20, false_negative=100))


def test_a_metric_may_choose_the_threshold(params: Params) -> None:
    assert 0.2 < (chosen(params, BestMetric(metric="balanced_accuracy")) or 0) < 0.8


def test_no_row_that_chooses_the_threshold_has_trained_the_model_that_predicts_it(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[set[str]] = []
    held: list[set[str]] = []
    fit, predicting = search.fit_model, search.predict
    monkeypatch.setattr(
        search, "fit_model", lambda m, rows, t: fits.append(set(rows["id"])) or fit(m, rows, t)
    )
    monkeypatch.setattr(
        search, "predict", lambda m, rows, t: held.append(set(rows["id"])) or predicting(m, rows, t)
    )

    chosen(params, ErrorCosts(false_positive=1, false_negative=2))

    assert len(fits) == len(held) == params.train.search.folds
    assert all(not fit & out for fit, out in zip(fits, held, strict=True))
    assert set.union(*held) == set(train_rows()["id"])


def test_the_least_costs_are_found_and_ties_lie_between_probabilities() -> None:
    claimed = np.array([0.1, 0.2, 0.3, 0.6, 0.7, 0.9])
    actual = np.array([0.0, 1, 0, 0, 1, 1])
    held_out = Predictions("classification", actual, np.column_stack([1 - claimed, claimed]))

    for costs, low, high in (((1, 1), 0.6, 0.7), ((1, 9), 0.1, 0.2), ((9, 1), 0.6, 0.7)):
        wanted = ErrorCosts(false_positive=costs[0], false_negative=costs[1])
        assert low < best_threshold(held_out, wanted, METRICS) < high


def test_a_metric_that_no_threshold_defines_is_refused_in_words() -> None:
    rows = Predictions("classification", np.zeros(4), np.full((4, 2), 0.5))

    with pytest.raises(UserError, match="recall is undefined on the 4 training rows"):
        best_threshold(rows, BestMetric(metric="recall"), METRICS)


def with_threshold(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    given = (DEMO / "params.yaml").read_text(encoding="utf-8")
    assert "  threshold: null" in given
    given = given.replace("  threshold: null", f"  threshold: {text}")
    given = given.replace("task: regression", "task: classification")
    for gone in ("r2: 0.85", "mape: 0.13", "mape: 0.25", "rmse: 0.05", "mape: 0.05"):
        given = given.replace(gone, "log_loss: 9.0", 1)
    given = given.replace("    median_ape: 0.25\n    rmse: 0.5", "    log_loss: 0.5")
    given = given.replace("    log_loss: 9.0\n    log_loss: 9.0", "    log_loss: 9.0")
    given = given.replace("[building_type, neighborhood, size]", "[plan]")
    path.write_text(
        given.replace('test_from: "2009-01-01"', "test_from: null").replace(
            "test_share: null", "test_share: 0.2"
        ),
        encoding="utf-8",
    )
    return path


FIVE = ErrorCosts(false_positive=1, false_negative=5)


def two_classes(choices: tuple[str, ...]) -> Schema:
    return fitted.outcome(*choices)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("null", None),
        ("0.3", 0.3),
        (
            "{false_positive: 1.0, false_negative: 5.0}",
            ErrorCosts(false_positive=1, false_negative=5),
        ),
        ("{false_positive: 1, false_negative: 5}", ErrorCosts(false_positive=1, false_negative=5)),
        ("{metric: recall}", BestMetric(metric="recall")),
    ],
)
def test_a_threshold_is_a_number_or_what_it_is_chosen_by(
    text: str, wanted: Any, tmp_path: Path
) -> None:
    found = load_params(with_threshold(tmp_path, text), SCHEMA)

    assert found.train.threshold == wanted


@pytest.mark.parametrize(
    ("text", "choices", "problem"),
    [
        ("0", ("a", "b"), "train.threshold: found 0, wanted null, a number between 0 and 1"),
        ("1.5", ("a", "b"), "train.threshold: found 1.5, wanted null"),
        (".nan", ("a", "b"), "train.threshold: found nan, wanted null"),
        ("true", ("a", "b"), "train.threshold: found True, wanted null"),
        ("high", ("a", "b"), "train.threshold: found 'high', wanted null"),
        ("{false_positive: 1}", ("a", "b"), "train.threshold: found {'false_positive': 1}"),
        ("{false_positive: 0, false_negative: 1}", ("a", "b"), "train.threshold: found {"),
        ("{metric: gini}", ("a", "b"), "train.threshold.metric: 'gini': wanted metrics: log_loss"),
        ("0.3", ("a", "b", "c"), "has 3 choices, and the most likely one is predicted: set null"),
        ("{metric: recall}", ("a", "b", "c"), "train.threshold.metric: 'recall': wanted metrics"),
    ],
)
def test_a_threshold_that_can_not_be_is_refused_in_words(
    text: str, choices: tuple[str, ...], problem: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as error:
        load_params(with_threshold(tmp_path, text), two_classes(choices))

    assert problem in str(error.value)


def test_a_threshold_of_a_regression_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    text = (DEMO / "params.yaml").read_text(encoding="utf-8")
    path.write_text(text.replace("  threshold: null", "  threshold: 0.3"), encoding="utf-8")

    with pytest.raises(UserError, match="price is a number, so there is no decision: set null"):
        load_params(path, fitted.SCHEMA)
