"""The estimators: each kind learns, takes raw rows, and is saved alike on any number of threads."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import classification
import joblib
import numpy as np
import pandas as pd
import pytest
from clones import ROOT, copy, edit_params, run
from served import running

from mlops.errors import BadInput
from mlops.metrics import Predictions, score
from mlops.params import Params, load_params
from mlops.pipeline.model import (
    KINDS,
    actual_values,
    as_features,
    at_recent_level,
    build_model,
    fit_model,
    predict,
)
from mlops.sampling import valid_rows
from mlops.schema import SCHEMA

ROWS = 600


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return valid_rows(SCHEMA, ROWS, seed=5)


def fitted(params: Params, kind: str, rows: pd.DataFrame, **changes: object):
    train = params.train.model_copy(update={"kind": kind, "max_iter": 50, **changes})
    return fit_model(build_model(train, params.task), rows)


IMPORTS = {
    "extra_trees": "from sklearn.ensemble import ExtraTreesRegressor",
    "lightgbm": "from lightgbm import LGBMRegressor",
    "xgboost": "from xgboost import XGBRegressor",
}


def documented_entries() -> dict[str, str]:
    """Read the entries that docs/adopt.md shows, by name."""
    text = (ROOT / "docs/adopt.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    entries = re.split(r'^(?=    ")', block, flags=re.MULTILINE)[1:]
    return {entry.split('"')[1]: entry for entry in entries}


@pytest.mark.parametrize(
    "kind",
    [
        "extra_trees",
        pytest.param("lightgbm", marks=pytest.mark.slow),
        pytest.param("xgboost", marks=pytest.mark.slow),
    ],
)
def test_another_kind_is_one_entry_in_one_file(kind: str, quick: Path, tmp_path: Path) -> None:
    folder = copy(quick, tmp_path / "repository")
    file = folder / "src/mlops/pipeline/model.py"
    text = file.read_text(encoding="utf-8")
    assert text.endswith("_boosting,\n}\n")
    text = text.replace("\nimport numpy", f"\n{IMPORTS[kind]}\nimport numpy", 1)
    file.write_text(text.removesuffix("}\n") + documented_entries()[kind] + "}\n", encoding="utf-8")
    edit_params(folder, {"train.kind": kind})

    told = run(folder, "dvc repro", PYTHONPATH="src", OMP_NUM_THREADS="1")

    assert f"train: {kind} on 1941 rows" in told
    manifest = json.loads((folder / "artifacts/bundle/manifest.json").read_text())
    assert manifest["engine"] == "joblib"
    assert IMPORTS[kind].split()[-1] in manifest["engine_reason"]
    with running(folder / "artifacts/bundle", PYTHONPATH=str(folder / "src")) as server:
        assert server.ask("GET", "/predict?size=1500&rooms=6")[1]["predicted_price"] > 100_000


def test_every_documented_kind_is_tried() -> None:
    assert documented_entries().keys() == IMPORTS.keys()


def test_a_kind_that_there_is_not_is_told_with_those_that_there_are() -> None:
    train = load_params().train.model_copy(update={"kind": "extra_trees"})
    with pytest.raises(BadInput, match="'extra_trees': wanted one of ridge, random_forest, hist"):
        build_model(train, "regression")


@pytest.mark.parametrize("log_target", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_a_regression(
    kind: str, log_target: bool, params: Params, rows: pd.DataFrame
) -> None:
    model = fitted(params, kind, rows, log_target=log_target)

    test = valid_rows(SCHEMA, 300, seed=6)
    values = predict(model, test, "regression")

    assert values.shape == (300,)
    assert score(Predictions("regression", actual_values(test, "regression"), values))["r2"] > 0.25


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_a_classification(
    kind: str, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = classification.use(monkeypatch, params)
    rows = valid_rows(classification.SCHEMA, ROWS)

    proba = predict(fitted(params, kind, rows), rows, "classification")

    assert proba.shape == (ROWS, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    actual = actual_values(rows, "classification")
    assert score(Predictions("classification", actual, proba))["roc_auc"] > 0.8


def test_a_class_that_training_never_saw_gets_no_probability(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = classification.use(monkeypatch, params)
    rows = valid_rows(classification.SCHEMA, ROWS)
    two = rows[rows["outcome"] != "stayed"]

    proba = predict(fitted(params, "ridge", two), rows, "classification")

    assert (proba[:, 1] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_choices_and_missing_values_are_predicted(
    kind: str, params: Params, rows: pd.DataFrame
) -> None:
    model = fitted(params, kind, rows)
    odd = rows.head(3).copy()
    odd["neighborhood"] = ["Atlantis", None, "NAmes"]
    odd.loc[:, ["lot_size", "bedrooms", "year_built"]] = np.nan

    assert np.isfinite(predict(model, odd, "regression")).all()


def test_features_come_in_the_order_of_the_table_whatever_the_order_of_the_rows_columns(
    rows: pd.DataFrame,
) -> None:
    features = as_features(rows[rows.columns[::-1]])

    assert list(features) == [column.name for column in SCHEMA.features]
    pd.testing.assert_frame_equal(features, as_features(rows))
    assert features["neighborhood"].dtype == pd.CategoricalDtype(
        list(SCHEMA["neighborhood"].choices)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_predicts_the_same(
    kind: str, params: Params, rows: pd.DataFrame, tmp_path: Path
) -> None:
    model = fitted(params, kind, rows)
    joblib.dump(model, tmp_path / "model.joblib")

    loaded = joblib.load(tmp_path / "model.joblib")

    np.testing.assert_array_equal(
        predict(loaded, rows, "regression"), predict(model, rows, "regression")
    )


_FIT = """
import sys
import joblib
from mlops.params import load_params
from mlops.pipeline.model import build_model, fit_model
from mlops.sampling import valid_rows
from mlops.schema import SCHEMA
kind, out = sys.argv[1:]
changes = {"kind": kind, "max_iter": 20, "n_estimators": 20}
train = load_params().train.model_copy(update=changes)
joblib.dump(fit_model(build_model(train, "regression"), valid_rows(SCHEMA, 2000)), out)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_number_of_threads_changes_no_byte_of_a_model(kind: str, tmp_path: Path) -> None:
    root = Path(__file__).parent.parent
    found = []
    for threads in ("1", "2", "3"):
        out = tmp_path / f"{threads}.joblib"
        limits = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        subprocess.run(
            [sys.executable, "-c", _FIT, kind, str(out)],
            env=os.environ | limits | {"PYTHONPATH": str(root / "src")},
            cwd=root,
            check=True,
            timeout=120,
        )
        found.append(out.read_bytes())

    assert found[0] == found[1] == found[2]


def test_older_targets_are_brought_to_the_level_of_the_newest_days(params: Params) -> None:
    rows = valid_rows(SCHEMA, 600, seed=3).sort_values("sold_on", ignore_index=True)
    train = params.train.model_copy(update={"max_iter": 40})
    fallen = rows.assign(price=rows["price"].where(rows.index < 500, rows["price"] * 0.7))
    model = fit_model(build_model(train, "regression"), fallen[:500])
    days = (rows["sold_on"].max() - rows["sold_on"][500]).days + 1

    levelled = at_recent_level(fallen, model, days)

    assert (levelled["price"][500:] == fallen["price"][500:]).all()
    assert levelled["price"][0] / fallen["price"][0] == pytest.approx(0.7, abs=0.04)
