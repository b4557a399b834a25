"""Everyday tasks of a data scientist, each played to its end in a repository of their own data."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from clones import clone, copy, run
from paths import SOURCES
from tables import credit

pytestmark = pytest.mark.slow

METRIC = '''\
def lost(actual: Any, predicted: Any) -> Any:
    """A bad customer taken for a good one costs five times what a good one refused costs."""
    return np.where(actual == predicted, 0, np.where(actual == "bad", 5, 1))


METRICS: tuple[Metric, ...] = (Metric("lost", "Cost of a decision", "hundred euros", lost),)
'''


@pytest.fixture(scope="module")
def adopted(origin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adopt a table of two classes, run it once and commit."""
    folder = clone(origin, tmp_path_factory.mktemp("adopted") / "repository")
    credit().to_csv(folder.parent / "credit.csv", index=False)
    asked = "../credit.csv --target Status --yes"
    run(folder, f"python -m mlops.adopt {asked}", PYTHONPATH=SOURCES)
    edit(folder, "params.yaml", "kind: hist_gradient_boosting", "kind: ridge")
    run(folder, "dvc repro --quiet && git add -A && git commit -q -m adopted")
    return folder


@pytest.fixture
def repository(adopted: Path, tmp_path: Path) -> Path:
    return copy(adopted, tmp_path / "repository")


def edit(folder: Path, path: str, *pair: str) -> None:
    old, new = pair
    text = (folder / path).read_text(encoding="utf-8")
    assert old in text, f"{path} holds no {old!r}"
    (folder / path).write_text(text.replace(old, new, 1), encoding="utf-8")


def edited(folder: Path) -> tuple[int, int]:
    """Count the files that were edited, and the lines that were written; not of dvc.lock."""
    counts = run(folder, "git add -AN && git diff --numstat -- . ':!dvc.lock'").splitlines()
    return len(counts), sum(int(line.split()[0]) for line in counts)


def review(folder: Path, wanted: int = 0) -> str:
    run(folder, "python -m mlops.review --base HEAD", wanted, PYTHONPATH=SOURCES)
    text = (folder / "artifacts/review/report.md").read_text(encoding="utf-8")
    return text.replace("<wbr>", "")  # where a long number may be broken


def line_of(report: str, metric: str) -> list[str]:
    (line,) = [
        line for line in report.replace("\\_", "_").splitlines() if line.startswith(f"| {metric} |")
    ]
    return [cell.strip() for cell in line.strip("|").split("|")]


def checks(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "artifacts/review/verdict.json").read_text(encoding="utf-8"))
    return {check["name"]: check for check in found["checks"]}


def test_a_business_cost_as_a_metric_and_a_gate_on_it(repository: Path) -> None:
    edit(repository, "src/project/metrics.py", "METRICS: tuple[Metric, ...] = ()\n", METRIC)
    edit(
        repository,
        "src/project/metrics.py",
        "from mlops.metrics import Metric\n",
        "from typing import Any\n\nimport numpy as np\n\nfrom mlops.metrics import Metric\n",
    )
    edit(repository, "params.yaml", "    roc_auc: 0.5\n", "    roc_auc: 0.5\n    lost: 0.01\n")

    files, lines = edited(repository)
    assert (files, lines <= 15) == (2, True), (files, lines)
    report = review(repository, wanted=1)

    check = checks(repository)["floor of lost"]
    assert not check["passed"]
    assert re.fullmatch(r"lost is 0\.\d+, wanted at most 0\.01", check["why"])
    _, base, candidate, change, between = line_of(report, "lost")
    assert (base == candidate, change, between != "undefined") == (True, "none", True)
    assert "lost: Cost of a decision, in hundred euros." in report
    metrics = json.loads((repository / "artifacts/evaluate/metrics.json").read_text())
    assert 0 < metrics["lost"] < 5
    assert "lost" in metrics["baseline"]
    reference = json.loads((repository / "artifacts/bundle/reference.json").read_text())
    assert reference["metrics"]["lost"]["error"] > 0  # for the monitor


def test_a_metric_edited_in_words_runs_nothing_and_in_meaning_what_it_concerns(
    repository: Path,
) -> None:
    edit(
        repository,
        "src/project/metrics.py",
        "METRICS: tuple[Metric, ...] = ()\n",
        "import numpy as np\nfrom typing import Any\n\n\n" + METRIC,
    )
    run(repository, "dvc repro --quiet && git add -A && git commit -q -m 'A metric'")

    edit(repository, "src/project/metrics.py", "A bad customer taken", "A bad client taken")
    assert "Running stage 'evaluate'" not in run(repository, "dvc repro")
    edit(repository, "src/project/metrics.py", '"bad", 5, 1))\n\n\n', '"bad", 7, 1))\n\n\n')
    output = run(repository, "dvc repro")

    assert "Running stage 'evaluate'" in output
    assert "Running stage 'train'" not in output
    report = review(repository)
    assert "this change redefines lost: both models are scored by the new" in report


def test_the_decision_threshold_of_a_classifier(repository: Path) -> None:
    edit(repository, "params.yaml", "  threshold: null", "  threshold: 0.97")

    assert edited(repository) == (1, 1)
    report = review(repository)

    assert "train.threshold None → 0.97" in report
    for metric in ("precision", "recall", "f1_macro"):  # each side decided by its own
        assert line_of(report, metric)[3] != "none", metric
    for metric in ("log_loss", "roc_auc", "average_precision"):
        assert line_of(report, metric)[3] == "none", metric
    manifest = json.loads((repository / "artifacts/bundle/manifest.json").read_text())
    assert manifest["threshold"] == 0.97
    assert json.loads((repository / "artifacts/evaluate/metrics.json").read_text())[
        "threshold"
    ] == pytest.approx(0.97)
    scored = scored_rows(repository)
    for row in scored:
        wanted = "good" if float(row["probabilities.good"]) >= 0.97 else "bad"
        assert row["predicted_status"] == wanted
    assert {row["predicted_status"] for row in scored} == {"good", "bad"}


def scored_rows(folder: Path) -> list[dict[str, str]]:
    command = "python -m mlops.score artifacts/split/test.parquet scored.csv"
    run(folder, command, PYTHONPATH=SOURCES)
    return list(csv.DictReader(io.StringIO((folder / "scored.csv").read_text())))


def test_a_threshold_chosen_by_what_errors_cost(repository: Path) -> None:
    costs = "  threshold: {false_positive: 5, false_negative: 1}"
    edit(repository, "params.yaml", "  threshold: null", costs)

    report = review(repository)

    chosen = json.loads((repository / "artifacts/train/chosen.json").read_text())["chosen"]
    assert 0.5 < chosen["threshold"] < 1  # of a calibrated model, 5 / 6
    assert f"| chosen in training: threshold | — | {chosen['threshold']} |" in report


def test_a_search_and_its_table_with_the_parameters_that_won(repository: Path) -> None:
    edit(repository, "params.yaml", "    candidates: 0", "    candidates: 3")
    space = "    space:  # of the hyper-parameters of train.kind\n"
    edit(repository, "params.yaml", space, f"{space}      alpha: [100.0, 1000.0, 9.0]\n")
    text = (repository / "params.yaml").read_text(encoding="utf-8")
    kept = re.sub(r"      (learning_rate|max_leaf_nodes|min_samples_leaf): \[.*\n", "", text)
    (repository / "params.yaml").write_text(kept, encoding="utf-8")

    report = review(repository)

    training = json.loads((repository / "artifacts/train/training.json").read_text())
    best = min(training["search"], key=lambda tried: tried["log_loss"])
    won = best.get("alpha", 3.0)
    assert training["params"]["alpha"] == won
    assert f"| chosen in training: alpha | 3 | {won:g} |" in re.sub(r"(\d)\.0\b", r"\1", report)
    shown = run(repository, "dvc exp show --csv")
    (here, *_) = list(csv.DictReader(io.StringIO(shown[shown.index("Experiment,") :])))
    assert float(here["chosen.alpha"]) == won
    assert here["chosen.kind"] == "ridge"
    assert float(here["models.ridge.alpha"]) == 3.0  # what was asked for stands beside it
    manifest = json.loads((repository / "artifacts/bundle/manifest.json").read_text())
    assert manifest["params"]["alpha"] == won  # what MLflow is told
