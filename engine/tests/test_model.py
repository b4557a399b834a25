"""The estimators: each kind learns, takes raw rows, and is saved alike on any number of threads."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

import classification
from clones import copy, edit_params, run
from fitted import SMALL, chosen
from mlops.columns import Schema
from mlops.inference.engine import Exported
from mlops.metrics import Predictions
from mlops.params import Params
from mlops.pipeline.equivalence import edge_rows, largest_error
from mlops.pipeline.exporter import export_form
from mlops.pipeline.feature_frame import FeatureFrame
from mlops.pipeline.model import (
    actual_values,
    build_model,
    fit_model,
    predict,
    rescale_to_recent_level,
)
from mlops.sampling import valid_rows
from paths import DEMO, PYTHONPATH, ROOT, SOURCES
from project.models import KINDS
from project.schema import SCHEMA
from served import running
from standard import score

ROWS = 600
FEATURES = {column.name: column.choices for column in SCHEMA.features}


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return valid_rows(SCHEMA, ROWS, seed=5)


def fitted(
    params: Params, kind: str, rows: pd.DataFrame, schema: Schema = SCHEMA, **changes: object
) -> Pipeline:
    own, train = chosen(params, kind, **{"max_iter": 50, **changes})
    return fit_model(build_model(own, train, schema), rows, schema.target)


IMPORTS = {"extra_trees": "from sklearn.ensemble import ExtraTreesRegressor"}
VALUES = {"n_estimators": 50}


def documented_kinds() -> dict[str, str]:
    """Read the classes that docs/adopt.md shows, by the kind's name."""
    text = (ROOT / "docs/adopt.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    shown = [part.strip() + "\n" for part in re.split(r"(?=^class )", block, flags=re.M)[1:]]
    return dict(zip(IMPORTS, shown, strict=True))


@pytest.mark.parametrize("kind", IMPORTS)
def test_another_kind_is_one_entry_in_one_file(kind: str, quick: Path, tmp_path: Path) -> None:
    folder = copy(quick, tmp_path / "repository")
    file, shown = folder / "src/project/models.py", documented_kinds()[kind]
    text = file.read_text(encoding="utf-8").replace("\nKINDS:", f"\n{shown}\n\nKINDS:")
    name = re.findall(r"class (\w+)", shown)[0]
    text = text.replace("\n}\n", f'\n    "{kind}": {name},\n}}\n')
    docstring, rest = text.split("\n\nfrom ", 1)
    file.write_text(f"{docstring}\n\n{IMPORTS[kind]}\nfrom {rest}", encoding="utf-8")
    section = {name: value for name, value in VALUES.items() if f"{name}:" in shown}
    edit_params(folder, {"train.kind": kind, "models": {kind: section}})

    told = run(folder, "dvc repro", PYTHONPATH=SOURCES, OMP_NUM_THREADS="1")

    assert f"train: {kind} on 1941 rows" in told
    manifest = json.loads((folder / "artifacts/bundle/manifest.json").read_text())
    assert manifest["engine"] == "joblib"
    assert IMPORTS[kind].split()[-1] in manifest["engine_reason"]
    with running(folder / "artifacts/bundle", PYTHONPATH=f"{folder}/engine:{folder}/src") as server:
        assert server.ask("GET", "/predict?size=1500&rooms=6")[1]["predicted_price"] > 100_000


@pytest.mark.parametrize("log_target", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_a_regression(
    kind: str, log_target: bool, params: Params, rows: pd.DataFrame
) -> None:
    model = fitted(params, kind, rows, log_target=log_target)

    test = valid_rows(SCHEMA, 300, seed=6)
    values = predict(model, test, SCHEMA.target)

    assert values.shape == (300,)
    actual = actual_values(test, SCHEMA.target)
    assert score(Predictions("regression", actual, values))["r2"] > 0.25


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_a_classification(kind: str, params: Params) -> None:
    schema = classification.SCHEMA
    rows = valid_rows(classification.SCHEMA, ROWS)

    proba = predict(fitted(params, kind, rows, schema), rows, schema.target)

    assert proba.shape == (ROWS, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    actual = actual_values(rows, schema.target)
    assert score(Predictions("classification", actual, proba))["roc_auc"] > 0.8


def test_a_class_that_training_never_saw_gets_no_probability(params: Params) -> None:
    schema = classification.SCHEMA
    rows = valid_rows(classification.SCHEMA, ROWS)
    two = rows[rows["outcome"] != "stayed"]

    proba = predict(fitted(params, "ridge", two, schema), rows, schema.target)

    assert (proba[:, 1] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_choices_and_missing_values_are_predicted(
    kind: str, params: Params, rows: pd.DataFrame
) -> None:
    model = fitted(params, kind, rows)
    odd = rows.head(3).copy()
    odd["neighborhood"] = ["Atlantis", None, "NAmes"]
    odd.loc[:, ["lot_size", "bedrooms", "year_built"]] = np.nan

    assert np.isfinite(predict(model, odd, SCHEMA.target)).all()


def test_features_come_in_the_order_of_the_table_whatever_the_order_of_the_rows_columns(
    rows: pd.DataFrame,
) -> None:
    frame = FeatureFrame(FEATURES)
    features = frame.fit_transform(rows[rows.columns[::-1]], None)

    assert list(features) == [column.name for column in SCHEMA.features]
    pd.testing.assert_frame_equal(features, frame.transform(rows))
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
        predict(loaded, rows, SCHEMA.target), predict(model, rows, SCHEMA.target)
    )


_FIT = """
import sys
import joblib
from fitted import SMALL, chosen
from mlops.pipeline.feature_frame import FeatureFrame
from mlops.pipeline.model import build_model, fit_model
from mlops.project import load_project_params
from mlops.sampling import valid_rows
from mlops.inference.engine import Exported
from project.schema import SCHEMA
kind, out = sys.argv[1:]
own, train = chosen(load_project_params(), kind, max_iter=20, n_estimators=20)
model = build_model(own, train, SCHEMA)
joblib.dump(fit_model(model, valid_rows(SCHEMA, 2000), SCHEMA.target), out)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_number_of_threads_changes_no_byte_of_a_model(kind: str, tmp_path: Path) -> None:
    found = []
    for threads in ("1", "2", "3"):
        out = tmp_path / f"{threads}.joblib"
        limits = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        subprocess.run(
            [sys.executable, "-c", _FIT, kind, str(out)],
            env=os.environ | limits | {"PYTHONPATH": f"{PYTHONPATH}:{Path(__file__).parent}"},
            cwd=DEMO,
            check=True,
            timeout=120,
        )
        found.append(out.read_bytes())

    assert found[0] == found[1] == found[2]


def test_older_targets_are_brought_to_the_level_of_the_newest_days(params: Params) -> None:
    rows = valid_rows(SCHEMA, 600, seed=3).sort_values("sold_on", ignore_index=True)
    own, train = chosen(params, "hist_gradient_boosting", max_iter=40)
    fallen = rows.assign(price=rows["price"].where(rows.index < 500, rows["price"] * 0.7))
    model = fit_model(build_model(own, train, SCHEMA), fallen[:500], SCHEMA.target)
    days = (rows["sold_on"].max() - rows["sold_on"][500]).days + 1

    levelled = rescale_to_recent_level(fallen, model, days, SCHEMA)

    assert (levelled["price"][500:] == fallen["price"][500:]).all()
    assert levelled["price"][0] / fallen["price"][0] == pytest.approx(0.7, abs=0.04)


@pytest.mark.parametrize("kind", ["ridge", "random_forest", "hist_gradient_boosting"])
@pytest.mark.parametrize("name", ["lot_size", "neighborhood"])
def test_a_column_without_a_value_in_any_training_row_is_fitted_and_exported(
    kind: str, name: str, params: Params
) -> None:
    rows = valid_rows(SCHEMA, 300)
    own, train = chosen(params, kind, **SMALL)
    empty = rows.assign(**{name: pd.Series(None, rows.index, dtype=SCHEMA[name].dtype)})
    model = fit_model(build_model(own, train, SCHEMA), empty, SCHEMA.target)

    found = predict(model, rows, SCHEMA.target)

    assert np.isfinite(found).all()
    form = export_form(model, SCHEMA)
    served = Exported(form.content, form.files)
    assert largest_error(served, model, edge_rows(form.thresholds, SCHEMA, 500), SCHEMA) < 1e-9
    if name == "lot_size":
        other = predict(model, rows.assign(lot_size=500.0), SCHEMA.target)
        assert np.array_equal(found, other)
