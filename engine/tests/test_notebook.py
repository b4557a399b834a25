"""The notebook runs as it is; its two functions say what is missing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clones import environment, run
from paths import ROOT, SOURCES
from project.schema import SCHEMA

NOTEBOOK = json.loads((ROOT / "notebooks/explore.ipynb").read_text(encoding="utf-8"))
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def python(folder: Path, code: str, clone: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment(PYTHONPATH=os.pathsep.join(f"{clone}/{one}" for one in SOURCES.split(":"))),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_every_cell_runs_and_gives_the_error_that_the_review_gives(
    quick: Path, tmp_path: Path
) -> None:
    cells = ["".join(cell["source"]) for cell in CODE]
    error = "error = predicted.predicted - predicted[target]; print((error**2).mean() ** 0.5)"
    target = f"target = {SCHEMA.target.name!r}"
    done = python(quick / "notebooks", "\n".join([*cells, target, error]), quick)

    assert done.returncode == 0, done.stderr
    metrics = json.loads((quick / "artifacts/evaluate/metrics.json").read_text(encoding="utf-8"))
    assert float(done.stdout) == pytest.approx(metrics["rmse"])


def test_it_is_kept_without_output() -> None:
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in CODE)
    assert NOTEBOOK["nbformat"] == 4


@pytest.mark.parametrize("call", ["load_rows()", "load_model()", "load_rows('test')"])
def test_without_a_run_one_sentence_says_what_to_do(origin: Path, call: str) -> None:
    done = python(origin, f"import mlops; mlops.{call}", origin)

    assert f"not found in {origin}\nRun the pipeline: make run" in done.stderr


def test_train_and_test_rows_are_the_valid_ones(quick: Path) -> None:
    code = "import mlops; print(*(len(mlops.load_rows(w)) for w in ('valid', 'train', 'test')))"
    valid, train, test = map(int, run(quick, f'PYTHONPATH={SOURCES} python -c "{code}"').split())

    assert valid == train + test
    assert min(train, test) > 0


def test_the_package_imports_no_library_by_itself() -> None:
    code = "import mlops, sys; print('numpy' in sys.modules, 'sklearn' in sys.modules)"
    done = python(ROOT, code, ROOT)

    assert done.stdout.split() == ["False", "False"]
