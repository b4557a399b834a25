"""docs/everyday-tasks.md: tasks on features and models, played to the end in an adopted clone."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clones import clone, copy, edit_params, run
from paths import ROOT, SOURCES
from served import running

PAGE = ROOT / "docs/everyday-tasks.md"
N_ROWS = 700
MOST_FILES, MOST_LINES = 2, 15


def deliveries(month: int, n_rows: int = N_ROWS) -> pd.DataFrame:
    """Orders whose minutes follow the hour; the shop's name is one of very many."""
    rng = np.random.default_rng(month)
    start = pd.Timestamp(2024, 1 + month, 1)
    when = start + pd.to_timedelta(np.sort(rng.integers(0, 29 * 24 * 60, n_rows)), "min")
    weight = rng.uniform(1, 50, n_rows).round(1)
    minutes = 20 + 15 * (abs(when.hour - 18) < 3) + weight / 10 + rng.normal(0, 1, n_rows)
    return pd.DataFrame(
        {
            "Order No": np.arange(1, n_rows + 1) + 10_000 * month,
            "Ordered": when.strftime("%Y-%m-%d %H:%M"),
            "Weight kg": weight,
            "Shop": [f"shop {n}" for n in rng.integers(0, 300, n_rows)],
            "Minutes": minutes.round(2),
        }
    )


@pytest.fixture(scope="module")
def adopted(origin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = clone(origin, tmp_path_factory.mktemp("everyday") / "repository")
    deliveries(0).to_csv(folder.parent / "january.csv", index=False)
    words = "../january.csv --target Minutes --key 'Order No' --time Ordered --timezone UTC --yes"
    run(folder, f"python -m mlops.adopt {words}", PYTHONPATH=SOURCES)
    edit_params(folder, {"models.hist_gradient_boosting.max_iter": 40})
    reproduce(folder)
    run(folder, "git add -A && git commit -qm 'Our own data'")
    return folder


@pytest.fixture
def repository(adopted: Path, tmp_path: Path) -> Path:
    return copy(adopted, tmp_path / "repository")


def reproduce(folder: Path) -> str:
    return run(folder, "dvc repro", PYTHONPATH=SOURCES, OMP_NUM_THREADS="1")


def own_tests(folder: Path) -> str:
    return run(folder, "python -m pytest -q", PYTHONPATH=f"{folder}/engine:{folder}/src")


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "artifacts/bundle/manifest.json").read_text())
    return found


def insert(folder: Path, name: str, *edits: tuple[str, str]) -> None:
    path = folder / name
    text = path.read_text(encoding="utf-8")
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")


def check_size(folder: Path, task: str) -> None:
    """Compare files and lines of an edit with the page and with what a task may take."""
    run(folder, "git add --intent-to-add .")
    changed = [
        line.split("\t")
        for line in run(folder, "git diff --numstat -- . ':!dvc.lock'").splitlines()
    ]
    files, lines = len(changed), sum(int(added) for added, _, _ in changed)
    assert files <= MOST_FILES
    assert lines <= MOST_LINES
    assert f"| {task} |" in PAGE.read_text(encoding="utf-8")
    (row,) = [r for r in PAGE.read_text("utf-8").splitlines() if r.startswith(f"| {task} |")]
    assert row.rstrip(" |").endswith(f"{files} | {lines}"), (row, changed)


HOUR = """
def hour(ordered: Any) -> Any:
    return ordered.astype("datetime64[h]").astype(int) % 24


"""


def test_a_derived_feature_of_a_date(repository: Path) -> None:
    before = manifest(repository)["evaluation"]["metrics"]["r2"]["value"]
    insert(
        repository,
        "src/project/features.py",
        (
            "from mlops.columns import Derived\n",
            "from typing import Any\n\nfrom mlops.columns import Derived\n\n"
            + HOUR.rstrip("\n")
            + "\n\n",
        ),
        ("= ()", '= (Derived("hour", "Hour of the order", int, "", ("ordered",), hour),)'),
    )
    run(repository, "ruff format -q src")
    reproduce(repository)

    after = manifest(repository)
    assert after["derived"]["names"] == ["hour"]
    assert (after["engine"], after["engine_reason"]) == ("arrays", None)
    assert after["evaluation"]["metrics"]["r2"]["value"] > before + 0.3
    assert re.search(r"\d+ passed", own_tests(repository))
    run(repository, "ruff check -q src && mypy", PYTHONPATH=f"{repository}/engine:{repository}/src")
    check_size(repository, "a derived feature of a date")
    sources = f"{repository}/engine:{repository}/src"
    with running(repository / "artifacts/bundle", PYTHONPATH=sources) as server:
        asked = "/predict?weight_kg=10&shop=new&ordered=2024-01-28T"
        late, early = (
            server.ask("GET", f"{asked}{t}")[1]["predicted_minutes"] for t in ("18:00", "06:00")
        )
    assert late > early + 10


def test_another_kind_with_its_own_hyper_parameters(repository: Path) -> None:
    insert(repository, "params.yaml", ("  kind: hist_gradient_boosting", "  kind: lightgbm"))
    insert(repository, "params.yaml", ("    num_leaves: 12", "    num_leaves: 6"))

    assert "train: lightgbm on" in reproduce(repository)

    assert manifest(repository)["engine"] == "treelite"
    assert manifest(repository)["params"]["num_leaves"] == 6
    check_size(repository, "LightGBM with its own hyper-parameters")


def test_a_hyper_parameter_that_a_kind_did_not_have(repository: Path) -> None:
    insert(
        repository,
        "src/project/models.py",
        (
            "    reg_lambda: Annotated",
            "    subsample: Annotated[float, Field(gt=0, le=1)]\n    reg_lambda: Annotated",
        ),
    )
    insert(
        repository,
        "params.yaml",
        ("    num_leaves: 12", "    subsample: 0.8\n    num_leaves: 12"),
        ("  kind: hist_gradient_boosting", "  kind: lightgbm"),
    )
    reproduce(repository)
    assert manifest(repository)["params"]["subsample"] == 0.8
    check_size(repository, "a hyper-parameter that a kind does not have yet")


def test_a_test_of_ones_own_data(repository: Path) -> None:
    (repository / "tests/test_rows.py").write_text(
        '"""Our own data."""\n\nfrom mlops.frames import read_rows\n'
        "from mlops.paths import TRAIN_ROWS\n"
        "\n\ndef test_no_order_weighs_nothing() -> None:\n"
        '    assert (read_rows(TRAIN_ROWS)["weight_kg"] > 0).all()\n',
        encoding="utf-8",
    )
    told = own_tests(repository)
    assert re.search(r"\d+ passed", told)
    assert "test_no_order_weighs_nothing" in run(
        repository, "python -m pytest --collect-only -q", PYTHONPATH=SOURCES
    )
    check_size(repository, "a test of one's own data")


def test_a_csv_file_is_predicted_offline(repository: Path, tmp_path: Path) -> None:
    deliveries(1, 50).drop(columns="Minutes").to_csv(tmp_path / "february.csv", index=False)
    sources = f"{repository}/engine:{repository}/src"
    run(
        repository,
        f"python -m mlops.score {tmp_path}/february.csv {tmp_path}/out.csv",
        PYTHONPATH=sources,
    )
    scored = pd.read_csv(tmp_path / "out.csv")
    assert len(scored) == 50
    assert scored["predicted_minutes"].between(10, 60).all()
    check_size(repository, "predict a CSV file offline")


def test_the_second_months_file_and_the_way_back(repository: Path, tmp_path: Path) -> None:
    first = manifest(repository)["model_version"]
    deliveries(1).to_csv(tmp_path / "february.csv", index=False)
    sources = f"{repository}/engine:{repository}/src"
    run(
        repository, f"python -m mlops.adopt {tmp_path}/february.csv --add --yes", PYTHONPATH=sources
    )
    insert(repository, "params.yaml", ("until: '2024-01", "until: '2024-02"))
    check_size_of_text(repository)
    reproduce(repository)
    second = manifest(repository)["model_version"]
    assert second != first
    run(repository, "git add -A && git commit -qm February")

    run(repository, "git revert --no-edit HEAD && dvc checkout --quiet")

    assert manifest(repository)["model_version"] == first
    assert "| roll back on one's machine |" in PAGE.read_text(encoding="utf-8")


def check_size_of_text(folder: Path) -> None:
    """The file itself is data; beside it, a line of params.yaml changes."""
    changed = run(folder, "git diff --numstat -- params.yaml").split()
    assert changed[0] == "1"
    assert "| the second month's file |" in PAGE.read_text(encoding="utf-8")


def test_the_projects_tests_after_a_change_of_one_number(repository: Path) -> None:
    edit_params(repository, {"models.hist_gradient_boosting.learning_rate": 0.04})
    reproduce(repository)
    assert re.search(r"\d+ passed", own_tests(repository))
