"""The exported form: every kind of model predicts as its pipeline does, or is not exported."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.svm import SVR

from fitted import SCHEMAS, fit
from mlops.columns import Schema
from mlops.files import write_json
from mlops.inference.derived_engine import with_features
from mlops.inference.encoding import Encoding, Number
from mlops.inference.engine import FEW, FORM_FILE, Engine, Exported
from mlops.inference.quickscorer import FewRows, Masks
from mlops.pipeline import equivalence, serving_engine
from mlops.pipeline.equivalence import (
    LIMITS,
    as_columns,
    as_requests,
    columns_of,
    edge_rows,
    largest_error,
)
from mlops.pipeline.export_encoding import NotExportable
from mlops.pipeline.exporter import Form, export_form
from paths import PYTHONPATH
from project.models import KINDS
from project.schema import SCHEMA


def engine_of(form: Form, schema: Schema = SCHEMAS["regression"]) -> Engine:
    content = json.loads(json.dumps(form.content, allow_nan=False))
    return with_features(Exported(content, form.files), schema)


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_and_task_agrees_on_edge_rows(kind: str, schema: str) -> None:
    known = SCHEMAS[schema]
    model = fit(schema, kind)
    form = export_form(model, known)

    error = largest_error(
        engine_of(form, known), model, edge_rows(form.thresholds, known, 2_000), known
    )

    assert error <= LIMITS[known.task]
    files = {"ridge": [], "hist_gradient_boosting": ["masks.npy", "leaves.npy"]}
    assert list(form.files) == files.get(kind, ["trees.bin"])
    assert (sum(len(values) for values in form.thresholds.values()) > 10) == (kind != "ridge")


def test_a_target_that_is_not_logarithmic_agrees() -> None:
    model = fit("regression", "hist_gradient_boosting", log_target=False)
    form = export_form(model, SCHEMA)

    assert form.content["inverse"] is None
    assert largest_error(engine_of(form), model, edge_rows({}, SCHEMA, 500), SCHEMA) <= 1e-9


def test_a_schema_without_categories_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = tuple(c for c in SCHEMA.columns if not c.is_categorical)
    monkeypatch.setitem(SCHEMAS, "numbers", type(SCHEMA)(numbers))
    known = SCHEMAS["numbers"]
    for kind in KINDS:
        model = fit("numbers", kind)
        form = export_form(model, known)
        rows = edge_rows(form.thresholds, known, 500)
        error = largest_error(engine_of(form), model, rows, known)
        assert error <= 1e-9


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_row_is_predicted_bit_for_bit_the_same_whatever_rows_are_beside_it(
    kind: str, schema: str
) -> None:
    known = SCHEMAS[schema]
    form = export_form(fit(schema, kind), known)
    engine, rows = engine_of(form, known), edge_rows(form.thresholds, known, 500)
    requests = as_requests(rows, known)

    wanted = engine.predict_columns(as_columns(rows, known))

    for size in (1, 3, FEW, FEW + 1, len(requests)):
        parts = [requests[at : at + size] for at in range(0, len(requests), size)]
        found = np.concatenate([engine.predict_columns(columns_of(part)) for part in parts])
        np.testing.assert_array_equal(found, wanted)


def test_a_whole_number_that_no_float_can_hold_is_rounded_for_one_row_as_for_many() -> None:
    split, leaves = float(2**53), np.array([[1.0, 2.0]])
    masks = np.array([[0b11], [0b10], [0b11]], dtype=np.uint8)
    trees = Masks([(0, [split])], masks, leaves, [0.0])
    few = FewRows(trees, Encoding(1, [Number("count", 0)], []))

    for count in (2**53 - 1, 2**53, 2**53 + 1, 2**53 + 2):
        np.testing.assert_array_equal(
            few.raw({"count": [count]}), trees.raw(np.array([[count]], dtype=np.float64))
        )


def test_edge_rows_hold_gaps_unknown_choices_bounds_and_thresholds() -> None:
    rows = edge_rows({"size": np.array([1234.5])}, SCHEMA, 5_000)

    for column in SCHEMA.features:
        found = set(rows[column.name].dropna())
        assert rows[column.name].isna().any()
        assert ("no such choice" if column.is_categorical else column.low) in found
    beside = {1234.5, np.nextafter(1234.5, np.inf), np.nextafter(1234.5, -np.inf)}
    assert beside <= set(rows["size"])


@pytest.mark.parametrize(("leaves", "files"), [(12, 2), (30, 2), (64, 2), (65, 1)])
def test_trees_of_up_to_64_leaves_have_masks_and_larger_ones_go_to_treelite(
    leaves: int, files: int
) -> None:
    changes = {"max_leaf_nodes": leaves, "min_samples_leaf": 1}
    model = fit("regression", "hist_gradient_boosting", **changes)
    form = export_form(model, SCHEMA)

    assert len(form.files) == files
    assert largest_error(engine_of(form), model, edge_rows(form.thresholds, SCHEMA), SCHEMA) <= 1e-9


@pytest.mark.parametrize("part", ["intercept", "fill", "threshold"])
def test_a_wrong_number_anywhere_is_noticed(part: str) -> None:
    kind = "ridge" if part == "intercept" else "random_forest"
    model = fit("regression", kind)
    form = export_form(model, SCHEMA)
    if part == "intercept":
        form.content["intercept"][0] += 1e-8
    elif part == "fill":
        form.content["encoding"]["numbers"][2]["fill"] += 500.0
    else:
        form.content["single_precision"] = False

    engine = engine_of(form)

    assert largest_error(engine, model, edge_rows(form.thresholds, SCHEMA), SCHEMA) > 1e-9


def test_what_has_no_tables_is_served_by_the_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fit("regression", "ridge")
    model.steps[-1][1].regressor_.steps[-1] = ("svr", SVR())

    with pytest.raises(NotExportable, match="SVR"):
        export_form(model, SCHEMA)
    published = serving_engine.publish_engine(tmp_path, model, SCHEMA)

    assert (published["engine"], published["engine_reason"]) == ("joblib", "estimator SVR")
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_disagrees_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fit("regression", "hist_gradient_boosting")

    def wrong(*given: Any) -> Form:
        form = export_form(*given)
        form.content["inverse"] = None
        return form

    monkeypatch.setattr(serving_engine, "export_form", wrong)
    monkeypatch.setattr(
        serving_engine, "read_groups", lambda path: [equivalence.edge_rows({}, SCHEMA, 50)]
    )
    published = serving_engine.publish_engine(tmp_path, model, SCHEMA)

    assert published["engine"] == "joblib"
    assert published["engine_reason"].startswith("the exported model differs by 1, limit 1e-09")
    assert list(tmp_path.iterdir()) == []


_WRITE = """
import sys, joblib
from pathlib import Path
from mlops.files import write_json
from mlops.pipeline.exporter import export_form
from project.schema import SCHEMA
form = export_form(joblib.load(sys.argv[1]), SCHEMA)
write_json(Path(sys.argv[2]) / "form.json", form.content)
for name, content in form.files.items():
    (Path(sys.argv[2]) / name).write_bytes(content)
"""


def test_the_bytes_do_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    import joblib

    joblib.dump(fit("regression", "hist_gradient_boosting"), tmp_path / "model.joblib")
    written = []
    for threads in ("1", "2"):
        folder = tmp_path / threads
        folder.mkdir()
        subprocess.run(
            [sys.executable, "-c", _WRITE, tmp_path / "model.joblib", folder],
            env=os.environ | {"PYTHONPATH": PYTHONPATH, "OMP_NUM_THREADS": threads},
            check=True,
            timeout=60,
        )
        written.append({path.name: path.read_bytes() for path in sorted(folder.iterdir())})

    assert written[0] == written[1]


def test_the_engine_imports_nothing_that_trained_the_model(tmp_path: Path) -> None:
    form = export_form(fit("regression", "hist_gradient_boosting"), SCHEMA)
    write_json(tmp_path / FORM_FILE, form.content)
    for name, content in form.files.items():
        (tmp_path / name).write_bytes(content)
    code = (
        "import sys; from pathlib import Path; from mlops.inference.engine import Exported\n"
        f"engine = Exported.read(Path({str(tmp_path)!r}), {list(form.files)})\n"
        f"engine.predict_columns({ {c.name: [None] for c in SCHEMA.features} })\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    unwanted = {"sklearn", "scipy", "pandas", "pandera", "joblib", "dvc", "treelite", "pyarrow"}
    assert unwanted.isdisjoint(run.stdout.split())
