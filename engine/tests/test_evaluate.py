"""Stages train, evaluate and export in one scratch folder, for both tasks."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.pipeline import make_pipeline

import classification
from mlops.bundle import load_model, read_manifest
from mlops.columns import Column, Schema
from mlops.frames import read_rows, write_rows
from mlops.inference.loaded_model import Served
from mlops.metrics import Predictions, rounded
from mlops.params import Params, load_params
from mlops.paths import (
    BUNDLE,
    EVALUATION,
    METRICS,
    PLOTS,
    PREDICTIONS,
    TEST_ROWS,
    TRAIN_ROWS,
    TRAINING,
)
from mlops.pipeline import evaluate, export, train
from mlops.pipeline.baseline import trivial_prediction
from mlops.pipeline.equivalence import columns_of
from mlops.pipeline.feature_frame import FeatureFrame
from mlops.pipeline.model import predict
from mlops.pipeline.page_content import EXAMPLES
from mlops.sampling import valid_rows
from paths import DEMO
from project.schema import SCHEMA
from standard import NAMES, PRICES, score

PNG_START = b"\x89PNG\r\n\x1a\n"


def run_stages(
    params: Params, schema: Schema, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    quick = params.model_copy(
        update={"models": {params.train.kind: {**params.models[params.train.kind], "max_iter": 20}}}
    )
    for module in (train, evaluate, export):
        monkeypatch.setattr(module, "load_project_params", lambda **given: quick)
    write_rows(TRAIN_ROWS, valid_rows(schema, 300, seed=1))
    write_rows(TEST_ROWS, valid_rows(schema, 200, seed=2))
    train.main()
    evaluate.main()
    export.main()


@pytest.fixture(scope="module")
def regression_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("regression")
    with pytest.MonkeyPatch.context() as patch:
        run_stages(load_params(DEMO / "params.yaml", SCHEMA), SCHEMA, folder, patch)
    return folder


@pytest.fixture(scope="module")
def choice_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classification")
    with pytest.MonkeyPatch.context() as patch:
        params = classification.use(patch, load_params(DEMO / "params.yaml", SCHEMA))
        run_stages(params, classification.SCHEMA, folder, patch)
    return folder


@pytest.fixture
def regression(regression_made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(regression_made)


@pytest.fixture
def choice(choice_made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(choice_made)


def test_metrics_are_those_of_the_stored_predictions(regression: None) -> None:
    metrics, rows = json.loads(METRICS.read_text()), read_rows(PREDICTIONS)

    again = score(Predictions("regression", rows["price"].to_numpy(), rows["predicted"].to_numpy()))

    assert metrics["rows"] == len(rows) == 200
    for name in NAMES["regression"]:
        assert metrics[name] == pytest.approx(again[name], rel=1e-7)


def test_the_trivial_baseline_stands_beside_the_metrics_and_is_worse(regression: None) -> None:
    metrics = json.loads(METRICS.read_text())

    assert set(metrics["baseline"]) == set(NAMES["regression"])
    assert metrics["baseline"]["rmse"] > metrics["rmse"]
    assert metrics["baseline"]["r2"] <= 0


def test_the_trivial_baseline_is_the_training_rows_median_or_shares() -> None:
    rows = valid_rows(SCHEMA, 9)
    rows["price"] = [1.0, 2, 3, 4, 5, 6, 7, 8, 1000]
    assert trivial_prediction(rows, 2, SCHEMA.target).tolist() == [5.0, 5.0]

    target = classification.SCHEMA.target
    few = valid_rows(classification.SCHEMA, 4).assign(outcome=["left", "grew", "grew", "grew"])
    assert trivial_prediction(few, 1, target).tolist() == [[0.25, 0, 0.75]]


def test_every_metric_has_an_interval_around_it(regression: None) -> None:
    evaluation = json.loads(EVALUATION.read_text())

    for metric in evaluation["metrics"].values():
        assert metric["low"] < metric["value"] < metric["high"]


def test_slices_cover_all_test_rows_of_each_column(regression: None) -> None:
    table = pd.DataFrame(json.loads(EVALUATION.read_text())["slices"])

    assert (table.groupby("column")["rows"].sum() == 200).all()
    assert set(table["column"]) == {"building_type", "neighborhood", "size"}
    assert "missing" in set(table["slice"])


@pytest.mark.parametrize("task", ["regression", "choice"])
def test_every_plot_is_a_table_for_dvc_and_a_picture(
    task: str, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(task)
    for name in ("predicted_actual", "residuals", "calibration", "slices", "importance"):
        assert len(pd.read_csv(PLOTS / f"{name}.csv")) > 1
        assert (PLOTS / f"{name}.png").read_bytes().startswith(PNG_START)


def test_the_same_evaluation_gives_the_same_bytes(
    regression_made: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_stages(params, SCHEMA, tmp_path, monkeypatch)

    assert contents(tmp_path / "artifacts") == contents(regression_made / "artifacts")


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_shuffling_a_feature_that_matters_costs_most(choice: None) -> None:
    table = pd.read_csv(PLOTS / "importance.csv")

    assert table["feature"].tolist() == ["age", "plan"]  # the made-up target follows age alone
    assert table["importance"][0] > 10 * abs(table["importance"][1])


def test_a_classification_is_scored_by_its_own_metrics(choice: None) -> None:
    metrics = json.loads(METRICS.read_text())

    assert set(metrics) == {*NAMES["three classes"], "rows", "baseline"}
    assert metrics["log_loss"] < metrics["baseline"]["log_loss"]
    columns = [f"probability_{name}" for name in ("left", "stayed", "grew")]
    np.testing.assert_allclose(read_rows(PREDICTIONS)[columns].sum(axis=1), 1)


def test_the_bundle_says_what_it_is_made_of(regression: None) -> None:
    manifest = read_manifest(BUNDLE)

    assert manifest["target"] == "price"
    assert manifest["data"]["train"]["rows"] == 300
    assert manifest["data"]["test"]["from"] <= manifest["data"]["test"]["to"]
    assert manifest["params"] == json.loads(TRAINING.read_text())["params"]
    assert manifest["evaluation"] == json.loads(EVALUATION.read_text())
    names = [column["name"] for column in manifest["columns"]]
    assert names == SCHEMA.names


@pytest.mark.parametrize("task", ["regression", "choice"])
def test_the_bundle_has_examples_that_its_model_predicts_as_they_say(
    task: str, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(task)
    schema = SCHEMA if task == "regression" else classification.SCHEMA
    served = Served.read(BUNDLE, schema)

    examples = served.manifest["page"]["examples"]

    assert len(examples) == EXAMPLES
    missing = dict.fromkeys(column.name for column in schema.inputs)
    rows = [missing | one["inputs"] for one in examples]
    answers = served.answers(served.values(served.engine.predict_columns(columns_of(rows))))
    wanted = [one["predicted"] for one in examples]
    assert answers == (pytest.approx(wanted, rel=1e-7) if task == "regression" else wanted)


def test_where_rows_must_not_be_seen_the_bundle_has_none_and_another_version(
    regression_made: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(regression_made, tmp_path / "again")
    monkeypatch.chdir(tmp_path / "again")
    before = read_manifest(BUNDLE)
    hidden = params.review.model_copy(update={"examples": False})
    changed = params.model_copy(update={"review": hidden})
    monkeypatch.setattr(export, "load_project_params", lambda: changed)

    export.main()

    after = read_manifest(BUNDLE)
    assert before["page"]["examples"]
    assert after["page"] == before["page"] | {"examples": []}
    assert after["model_version"] != before["model_version"]
    assert after["files"] == before["files"]


def test_a_bundle_of_data_without_dates_has_no_days(choice: None) -> None:
    assert set(read_manifest(BUNDLE)["data"]["test"]) == {"rows", "sha256"}


def test_the_bundles_model_predicts_what_the_evaluation_recorded(regression: None) -> None:
    predicted = predict(load_model(BUNDLE), read_rows(TEST_ROWS), SCHEMA.target)

    wanted = [rounded(value) for value in predicted]
    np.testing.assert_array_equal(wanted, read_rows(PREDICTIONS)["predicted"])


@pytest.mark.parametrize(("n_features", "calls"), [(2, 1 + 2 * 5), (300, 301), (400, 401)])
def test_importance_is_bounded_by_the_shape_of_the_table_and_shows_its_progress(
    n_features: int, calls: int, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setattr(evaluate, "IMPORTANCE_PREDICTIONS", 300)
    names = [f"f{n}" for n in range(n_features)]
    columns = [Column("key", "Key", int, role="key"), Column("y", "Target", low=1, role="target")]
    schema = Schema((*columns, *(Column(name, "Number") for name in names)))
    rows = valid_rows(schema, 20, seed=1)
    frame = FeatureFrame(dict.fromkeys(names, ()))
    model = make_pipeline(frame, DummyRegressor()).fit(rows, rows["y"])
    made = []
    monkeypatch.setattr(evaluate, "predict", lambda *given: made.append(1) or predict(*given))

    table = evaluate.importance(model, rows, schema, PRICES, 0)

    assert (len(table), len(made)) == (n_features, calls)
    shown = f"evaluate: importance, 250 of {calls} predictions"
    assert (shown in capfd.readouterr().err) == (calls > 250)
