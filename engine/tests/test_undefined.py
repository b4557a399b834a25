"""A metric that the rows don't define: named with its reason wherever it would stand."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import classification
from mlops.bundle import REFERENCE_FILE, read_manifest
from mlops.columns import Schema
from mlops.errors import UserError
from mlops.frames import write_rows
from mlops.metrics import Predictions
from mlops.monitoring.log_reader import Window
from mlops.monitoring.performance import overall, performance
from mlops.monitoring.reasons import find_reasons
from mlops.params import Params, load_params
from mlops.paths import BUNDLE, EVALUATION, METRICS, TEST_ROWS, TRAIN_ROWS
from mlops.pipeline import evaluate, export, train
from mlops.release.labels import Contents
from mlops.release.note import release_note
from mlops.review.comparison_plot import draw_changes
from mlops.review.gate import check_floors, check_slices
from mlops.review.model_comparison import compare
from mlops.review.report import Review
from mlops.review.review_files import VERDICT, write
from mlops.review.sections import slices_section
from mlops.review.slice_comparison import compare_slices
from mlops.sampling import valid_rows
from mlops.serving.model_card import model_card
from paths import DEMO
from project.schema import SCHEMA
from standard import NAMES, PRICES, estimates, metrics_of


def prices(actual: list[float], off: float = 1.0) -> Predictions:
    values = np.array(actual, dtype=np.float64)
    return Predictions("regression", values, values + off)


def claimed(actual: list[int], *proba: list[float]) -> Predictions:
    shares = np.array(proba) if len(proba) == len(actual) else np.array([proba[0]] * len(actual))
    return Predictions("classification", np.array(actual, dtype=np.float64), shares)


def reasons(predictions: Predictions) -> dict[str, str]:
    return {name: one.reason for name, one in estimates(predictions).items() if one.reason}


SHARES, HUGE = ("mape", "median_ape"), "the errors are too large for a number"
EVERY = set(NAMES["regression"])


@pytest.mark.parametrize(
    ("predictions", "wanted"),
    [
        (prices([0, *range(1, 9)]), {"mape": "1 of 9 targets is 0"}),
        (prices([0, 0, 1, 2, 3]), {"mape": "2 of 5 targets are 0"}),
        (prices([0, 0, 0, 2, 3], 0.0), dict.fromkeys(SHARES, "3 of 5 targets are 0")),
        (prices([7.0] * 4), {"r2": "all 4 targets are equal"}),
        (prices([0.1] * 3), {"r2": "all 3 targets are equal"}),
        (prices([3.0]), {"r2": "there is only one row"}),
        (prices([1e300, 2e300], 1e299), dict.fromkeys(("rmse", "r2"), HUGE)),
        (prices([1.0, 2.0], math.inf), dict.fromkeys(EVERY, "2 of 2 predictions are not finite")),
        (claimed([0] * 3, [0.8, 0.2]), dict.fromkeys(
            ("roc_auc", "average_precision", "recall"), "no positive among the 3 rows")
            | {"precision": "none of the 3 rows is predicted positive"}),
        (claimed([0], [0.2, 0.8]), {"roc_auc": "there is only one row"} | dict.fromkeys(
            ("average_precision", "recall"), "no positive among the 1 rows")),
        (claimed([1] * 3, [0.2, 0.8]), {"roc_auc": "no negative among the 3 rows"}),
        (claimed([2] * 3, [0.2, 0.2, 0.6]), {"roc_auc": "all 3 rows are of one class"}),
        (claimed([0, 1], [math.nan, 0.5], [0.5, 0.5]), dict.fromkeys(
            NAMES["two classes"], "1 of 2 predictions is not finite")),
        (prices([1, 2, 3]), {}),
        (claimed([0, 1], [0.2, 0.8]), {}),
    ],
)  # fmt: skip
def test_why_rows_do_not_define_a_metric_is_said(
    predictions: Predictions, wanted: dict[str, str]
) -> None:
    assert reasons(predictions) == wanted


def test_whether_a_share_of_noughts_is_defined_is_a_matter_of_the_rows_not_of_the_model() -> None:
    exact, off = (prices([0.0, 1.0, 2.0], error) for error in (0.0, 1.0))

    assert reasons(exact) == reasons(off) == {"mape": "1 of 3 targets is 0"}


def test_an_undefined_metric_has_no_end_of_an_interval_either() -> None:
    for rows in (prices([0.0, 1, 2]), prices([7.0] * 3), claimed([0] * 3, [0.8, 0.2])):
        for metric in evaluate.with_intervals(rows, metrics_of(rows), 0.95).values():
            if metric["value"] is None:
                assert (metric["low"], metric["high"]) == (None, None)
                assert metric["reason"]
            else:
                assert "reason" not in metric


def run_stages(
    params: Params, schema: Schema, rows: dict[Path, pd.DataFrame], patch: pytest.MonkeyPatch
) -> None:
    models = {params.train.kind: {**params.models[params.train.kind], "max_iter": 5}}
    for module in (train, evaluate, export):
        patch.setattr(
            module,
            "load_project_params",
            lambda **given: params.model_copy(update={"models": models}),
        )
    for path, table in rows.items():
        write_rows(path, table)
    train.main()
    evaluate.main()
    export.main()


@pytest.fixture
def params() -> Params:
    given = load_params(DEMO / "params.yaml", SCHEMA)
    return given.model_copy(update={"train": given.train.model_copy(update={"log_target": False})})


@pytest.fixture
def with_zero(params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> str:
    """Evaluate on nine rows with one target of nought and one slice; give what was printed."""
    monkeypatch.chdir(tmp_path)
    test = valid_rows(SCHEMA, 9, seed=2)
    test.loc[0, "price"] = 0.0
    rows = {TRAIN_ROWS: valid_rows(SCHEMA, 200, seed=1), TEST_ROWS: test}
    run_stages(params, SCHEMA, rows, monkeypatch)
    return str(capsys.readouterr().out)


def test_one_nought_among_the_targets_goes_through_every_stage_and_is_named(with_zero: str) -> None:
    assert "mape undefined (1 of 9 targets is 0)" in with_zero
    plain = json.loads(METRICS.read_text())
    assert plain["mape"] is None
    assert plain["reasons"] == {"mape": "1 of 9 targets is 0"}
    assert plain["baseline"]["mape"] is None
    evaluation = json.loads(EVALUATION.read_text())
    assert evaluation["metrics"]["mape"]["reason"] == "1 of 9 targets is 0"
    reference = json.loads((BUNDLE / REFERENCE_FILE).read_text())
    assert reference["metrics"]["mape"]["reason"] == "1 of 9 targets is 0"
    for path in (METRICS, EVALUATION, BUNDLE / REFERENCE_FILE):
        assert "NaN" not in path.read_text()
        assert "Infinity" not in path.read_text()


def test_the_model_card_and_the_release_note_say_undefined_and_why(with_zero: str) -> None:
    manifest = read_manifest(BUNDLE)

    card = model_card(manifest)
    note = release_note("image", Contents.of_bundle(manifest, "0" * 40), None)

    assert "<td>mape</td><td>undefined</td><td>1 of 9 targets is 0</td><td>undefined</td>" in card
    assert "| mape | undefined (1 of 9 targets is 0) |" in note


def test_a_slice_that_lacks_a_metric_blocks_in_words(with_zero: str, params: Params) -> None:
    gate = params.gate.model_copy(
        update={"slices": params.gate.slices.model_copy(update={"min_rows": 1})}
    )
    slices = json.loads(EVALUATION.read_text())["slices"]

    checks = check_slices(slices, params.model_copy(update={"gate": gate}), PRICES)

    lines = [check.why for check in checks if check.outcome == "block"]
    assert any("mape is undefined on the" in line and "is 0" in line for line in lines)


@pytest.mark.parametrize("equal", [True, False])
def test_test_rows_of_one_target_or_one_row_are_evaluated(
    equal: bool, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    test = valid_rows(SCHEMA, 8 if equal else 1, seed=2).assign(price=100.0)

    run_stages(
        params, SCHEMA, {TRAIN_ROWS: valid_rows(SCHEMA, 200, seed=1), TEST_ROWS: test}, monkeypatch
    )

    said = "all 8 targets are equal" if equal else "there is only one row"
    assert f"r2 undefined ({said})" in capsys.readouterr().out


def test_test_rows_of_one_class_are_evaluated(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = classification.use(monkeypatch, params)
    test = valid_rows(classification.SCHEMA, 9, seed=2).assign(outcome="grew")
    rows = {TRAIN_ROWS: valid_rows(classification.SCHEMA, 200, seed=1), TEST_ROWS: test}

    run_stages(chosen, classification.SCHEMA, rows, monkeypatch)

    assert "roc_auc undefined (all 9 rows are of one class)" in capsys.readouterr().out


def test_constant_features_and_targets_train_and_evaluate(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one = valid_rows(SCHEMA, 1, seed=3)
    many = pd.concat([one] * 60, ignore_index=True)
    many["sale_id"] = np.arange(60)

    run_stages(params, SCHEMA, {TRAIN_ROWS: many, TEST_ROWS: many[:20]}, monkeypatch)

    assert json.loads(METRICS.read_text())["r2"] is None


def test_a_model_that_predicts_infinity_is_refused_in_words() -> None:
    with pytest.raises(UserError, match="no finite number for 2 of 3 test rows"):
        evaluate.refuse_infinite(
            Predictions("regression", np.ones(3), np.array([math.inf, 1.0, math.nan]))
        )


def test_a_comparison_says_on_which_side_a_metric_is_undefined(params: Params) -> None:
    base = prices([1.0, 2.0, 3.0])
    found = {c.metric: c for c in compare(base, prices([1.0, 2, 3], math.inf), {}, params, PRICES)}

    assert found["rmse"].base_reason == ""
    assert found["rmse"].reason == "3 of 3 predictions are not finite"
    whys = [
        c.why for c in check_floors({"mape": None}, params, PRICES, {"mape": found["mape"].reason})
    ]
    assert "mape is undefined: 3 of 3 predictions are not finite" in whys


def test_verdict_json_stays_strict_and_carries_the_reason(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = prices([0.0, 1.0, 2.0])

    write(Review("b", "h", "block", [], compare(rows, rows, {}, params, PRICES)), params)

    metrics = json.loads(VERDICT.read_text(), parse_constant=pytest.fail)["metrics"]
    assert metrics["mape"]["candidate"] is None
    assert metrics["mape"]["reason"] == "1 of 3 targets is 0"
    assert metrics["rmse"]["reason"] is None


def test_changes_are_drawn_where_the_base_is_perfect_or_a_metric_undefined(
    params: Params, tmp_path: Path
) -> None:
    exact = prices([0.0, 1.0, 2.0], 0.0)

    draw_changes(tmp_path / "a.png", compare(exact, exact, {}, params, PRICES), params)
    draw_changes(
        tmp_path / "b.png", compare(exact, prices([0.0, 1, 2]), {}, params, PRICES), params
    )

    assert (tmp_path / "b.png").stat().st_size > 1000


def test_slices_of_the_report_give_the_reason(params: Params) -> None:
    test = pd.DataFrame({"size": [1.0, 1, 9, 9]})
    schema = Schema(tuple(c for c in SCHEMA.columns if c.role != "feature" or c.name == "size"))
    rows = prices([0.0, 1.0, 2.0, 3.0])
    evaluate = params.evaluate.model_copy(update={"slices": ["size"]})
    sliced = params.model_copy(update={"evaluate": evaluate})

    text = slices_section(compare_slices(rows, rows, test, sliced, schema, PRICES), "mape")

    assert "undefined: 1 of 2 targets is 0" in text


def reference(**values: float | None) -> dict[str, Any]:
    metrics = {name: {"value": value, "error": 0.01} for name, value in values.items()}
    return {"metrics": metrics}


@pytest.mark.parametrize(
    ("actual", "then", "told"),
    [
        ([0.0] * 30 + [1.0] * 10, 0.1, "is not judged on 40 labelled rows: it is undefined: "
         "30 of 40 targets are 0"),
        ([1.0, 2.0] * 20, None, "it is 0.75, and undefined at the review: no finite number"),
        ([1.0, 2.0] * 20, 0.0, "it is 0.75, and 0 at the review, so the change has no percentage"),
    ],
)  # fmt: skip
def test_a_metric_that_can_not_be_judged_in_production_is_named_and_watched(
    params: Params, actual: list[float], then: float | None, told: str
) -> None:
    params = params.model_copy(
        update={
            "monitor": params.monitor.model_copy(update={"max_worse": {"median_ape": 0.25}}),
            "evaluate": params.evaluate.model_copy(update={"slices": []}),
        }
    )
    rows = pd.DataFrame({"size": np.ones(len(actual))})

    kept = performance(rows, prices(actual), reference(median_ape=then), SCHEMA, params, PRICES)

    (reason,) = find_reasons(Window(rows[:0], 0, rows), [], overall(kept), SCHEMA, params)
    assert (reason.verdict, reason.cause) == ("watch", "notice")
    assert told in reason.text


def test_influences_of_undefined_metrics_never_raise() -> None:
    for rows in (prices([0.0] * 3), prices([7.0]), claimed([0], [1.0, 0.0])):
        assert estimates(rows).keys() == metrics_of(rows).higher_is_better.keys()
