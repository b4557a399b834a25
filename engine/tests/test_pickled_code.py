"""A pickled model of classes of one's own is served only with the code that it was made with."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from fitted import fit
from mlops.bundle import load_model
from mlops.errors import UserError
from mlops.inference.loaded_model import Served
from mlops.pickled_code import changed_code, needed_code
from project.schema import SCHEMA
from served import make_bundle

MODELS = """from sklearn.base import BaseEstimator, RegressorMixin
from .scales import scale


class Rule(RegressorMixin, BaseEstimator):
    def fit(self, rows, target):
        return self

    def predict(self, rows):
        return scale(rows["size"].astype(float).to_numpy())


def doubled(rows):
    return rows * 2
"""
SCALES = "def scale(sizes):\n    return sizes * 100.0\n"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make a package of its own, whose classes a model has."""
    folder = tmp_path / "src/own_project"
    folder.mkdir(parents=True)
    for name, text in (("__init__", ""), ("models", MODELS), ("scales", SCALES)):
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(folder.parent)
    importlib.invalidate_caches()
    yield folder
    for name in [name for name in sys.modules if name.startswith("own_project")]:
        del sys.modules[name]


def of(name: str) -> Any:
    return getattr(importlib.import_module("own_project.models"), name)


def test_only_modules_of_the_project_are_needed(own: Path) -> None:
    assert needed_code(fit("regression", "hist_gradient_boosting")) == {}
    assert needed_code(fit("orders", "ridge")) == {}
    assert list(needed_code(of("Rule")())) == ["own_project.models"]
    model = make_pipeline(FunctionTransformer(of("doubled")), FunctionTransformer(str.upper))
    assert list(needed_code({"some": [model]})) == ["own_project.models"]


@pytest.mark.parametrize("file", ["models.py", "scales.py", "__init__.py"])
def test_a_server_with_other_code_refuses_the_model(own: Path, file: str, tmp_path: Path) -> None:
    model, bundle = of("Rule")(), tmp_path / "bundle"
    make_bundle(bundle, model, "joblib", pickled_code=needed_code(model))
    row = {column.name: [None] for column in SCHEMA.features} | {"size": [1500.0]}
    assert Served.read(bundle, SCHEMA).engine.predict_columns(row).tolist() == [150_000.0]

    code = (own / file).read_text(encoding="utf-8")
    (own / file).write_text(f'"""Words."""\n{code}  # more\n', encoding="utf-8")
    assert Served.read(bundle, SCHEMA).engine.predict_columns(row).tolist() == [150_000.0]

    (own / file).write_text(f"{code}SQUARE_FEET = 1\n", encoding="utf-8")
    with pytest.raises(UserError) as told:
        Served.read(bundle, SCHEMA)
    assert "src/own_project/models.py: is not the code that the model was made with" in str(
        told.value
    )
    assert "dvc repro export" in str(told.value)


def test_a_module_that_is_gone_is_named(own: Path, tmp_path: Path) -> None:
    needed = needed_code(of("Rule")())
    (own / "models.py").rename(own / "kinds.py")
    importlib.invalidate_caches()
    del sys.modules["own_project.models"]

    assert [*changed_code(needed)] == [
        "src/own_project/models.py: is not the code that the model was made with"
    ]
    assert [*changed_code({"no_such.models": "0"})] != []


def test_a_bundle_of_an_older_engine_is_read(own: Path, tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle", of("Rule")(), "joblib")

    assert load_model(tmp_path / "bundle").predict
