"""The pipeline as `dvc repro` runs it in fresh clones: what runs, what comes out, what it says."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from clones import clone, copy, edit_params, outcomes, read_lock, run, stages_run
from mlops.paths import METRICS
from paths import DEMO
from project.models import KINDS
from project.schema import SCHEMA

STAGES = list(yaml.safe_load((DEMO / "dvc.yaml").read_text(encoding="utf-8"))["stages"])
STAGES.remove("fingerprint")  # runs every time
MOVES_WITH_PROCESSOR = {"artifacts/evaluate/predictions.parquet"}
"""Outputs whose last bits depend on the kind of processor, for a model of boosted trees."""


@pytest.fixture
def repository(reproduced: Path, tmp_path: Path) -> Path:
    return copy(reproduced, tmp_path / "repository")


def outputs(stage: dict[str, Any]) -> dict[str, str]:
    return {entry["path"]: entry["md5"] for entry in stage["outs"]}


def inputs(stage: dict[str, Any]) -> list[Any]:
    return [stage["cmd"], stage.get("deps", []), stage.get("params")]


def moved(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    """Name the outputs that differ between two locks, those of `one`."""
    return {
        path
        for stage in one
        for path, md5 in outputs(one[stage]).items()
        if outputs(other[stage])[path] != md5
    }


def files(folder: Path) -> dict[str, str]:
    """Hash every file of a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def metrics(repository: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((repository / METRICS).read_text(encoding="utf-8"))
    return found


# The same input gives the same bytes


def test_a_clean_clone_gives_what_the_committed_lock_says(reproduced: Path) -> None:
    committed, found = read_lock(DEMO), read_lock(reproduced)
    if any(found[stage].get("params") != committed[stage].get("params") for stage in STAGES):
        # A pull request that edits params.yaml alone: its workflow makes the lock anew.
        committed = {s: committed[s] for s in STAGES if inputs(committed[s]) == inputs(found[s])}
    stale = [stage for stage in committed if inputs(committed[stage]) != inputs(found[stage])]
    assert not stale, "run dvc repro and commit dvc.lock"
    assert moved(committed, found) <= MOVES_WITH_PROCESSOR


@pytest.mark.slow
def test_another_path_and_another_number_of_threads_give_the_same_lock(
    origin: Path, reproduced: Path, tmp_path: Path
) -> None:
    other = clone(origin, tmp_path / "another place" / "größer")
    printed = run(other, "dvc repro", OMP_NUM_THREADS="2", OPENBLAS_NUM_THREADS="2")
    # Without a prepare.py, prepare gives the bytes of validate, which are in the cache by then.
    assert outcomes(printed) | {"prepare": "run"} == dict.fromkeys(STAGES, "run")
    assert (other / "dvc.lock").read_bytes() == (reproduced / "dvc.lock").read_bytes()


def test_a_second_run_has_nothing_to_do(reproduced: Path) -> None:
    assert outcomes(run(reproduced, "dvc repro")) == dict.fromkeys(STAGES, "skipped")
    assert run(reproduced, "git status --porcelain") == ""


def test_deleted_outputs_come_back_from_the_cache(repository: Path) -> None:
    before = files(repository / "artifacts")
    shutil.rmtree(repository / "artifacts")
    run(repository, "dvc checkout")
    assert files(repository / "artifacts") == before


FIT = """
import hashlib, io, json
import joblib, pandas, threadpoolctl
from mlops.paths import TEST_ROWS, TRAIN_ROWS
from mlops.frames import read_rows
from mlops.metrics import Predictions, rounded
from mlops.metric_registry import Metrics
from mlops.pipeline import model
from mlops.project import load_project_params
from project.models import KINDS
from project.schema import SCHEMA

assert model._ROWS_WORTH_THREADS
model._ROWS_WORTH_THREADS = 0  # so few rows would go without threads
params, train, test = load_project_params(), read_rows(TRAIN_ROWS), read_rows(TEST_ROWS)
found = {}
target = SCHEMA.target
for kind, of_kind in KINDS.items():
    fewer = {"max_iter": 100, "n_estimators": 50}
    given = params.models[kind] | {k: v for k, v in fewer.items() if k in of_kind.model_fields}
    built = model.build_model(of_kind(**given), params.train, SCHEMA)
    # Fewer rows than these let linear algebra go without threads.
    rows = pandas.concat([train] * 30, ignore_index=True) if kind == "ridge" else train
    fitted = model.fit_model(built, rows, target)
    content = io.BytesIO()
    joblib.dump(fitted, content)
    actual = model.actual_values(test, target)
    predicted = model.predict(fitted, test, target)
    scores = Metrics(params.task).score(Predictions(params.task, actual, predicted))
    found[kind] = {
        "bytes": hashlib.sha256(content.getvalue()).hexdigest(),
        "scores": {name: rounded(value) for name, value in scores.items()},
    }
blas = [lib for lib in threadpoolctl.threadpool_info() if lib["user_api"] == "blas"]
found["processor"] = sorted({str(lib.get("architecture")) for lib in blas})
print(json.dumps(found))
"""
PROCESSORS = {
    "as it is": {},
    "Haswell": {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": "AVX512_ICL X86_V4"},
    "Prescott": {
        "OPENBLAS_CORETYPE": "Prescott",
        "NPY_DISABLE_CPU_FEATURES": "AVX512_ICL X86_V4 X86_V3",
    },
}
THREADS = ("1", "2")


@pytest.fixture(scope="module")
def fitted(reproduced: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Fit every kind of model as on other processors, on one thread, and here also on two."""
    script = tmp_path_factory.mktemp("fit") / "fit.py"
    script.write_text(FIT, encoding="utf-8")
    found = {}
    for processor, variables in PROCESSORS.items():
        for threads in THREADS if not variables else THREADS[:1]:
            limits = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
            command = f"PYTHONPATH=engine:src python -W ignore '{script}'"
            printed = run(reproduced, command, **limits, **variables)
            found[processor, threads] = json.loads(printed.splitlines()[-1])
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_number_of_threads_changes_no_byte_of_a_model_of_the_sales(
    kind: str, fitted: dict[Any, Any]
) -> None:
    one, two = (fitted["as it is", threads][kind] for threads in THREADS)
    assert one == two


@pytest.mark.parametrize("kind", KINDS)
def test_rounded_metrics_agree_across_kinds_of_processor(kind: str, fitted: dict[Any, Any]) -> None:
    kinds = [fitted[processor, "1"] for processor in PROCESSORS]
    if len({str(found["processor"]) for found in kinds}) < len(PROCESSORS):
        pytest.skip("the linear algebra of this machine plays no other kind of processor")
    one, *others = (found[kind]["scores"] for found in kinds)
    assert set(one) >= {"rmse", "mape", "r2"}
    assert all(other == one for other in others)


@pytest.mark.slow
def test_on_another_kind_of_processor_the_lock_is_the_same_but_for_the_predictions(
    repository: Path, reproduced: Path
) -> None:
    command = "dvc repro --force --single-item train evaluate export"
    assert stages_run(run(repository, command, **PROCESSORS["Haswell"])) == STAGES[-3:]
    assert moved(read_lock(reproduced), read_lock(repository)) <= MOVES_WITH_PROCESSOR


@pytest.mark.slow
def test_forced_runs_leave_the_lock_as_it_is(repository: Path) -> None:
    lock = (repository / "dvc.lock").read_bytes()
    for number, threads in enumerate("1234"):
        limits = {"OMP_NUM_THREADS": threads, "PYTHONHASHSEED": str(number)}
        printed = run(repository, "dvc repro --force", **limits)
        assert stages_run(printed) == STAGES
        assert (repository / "dvc.lock").read_bytes() == lock, f"run {number}, {threads} threads"


# A change runs what it reaches, and no more


@pytest.fixture(scope="module")
def slower(reproduced: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Give a clone with another learning rate, reproduced, and what `dvc repro` printed."""
    folder = copy(reproduced, tmp_path_factory.mktemp("slower") / "repository")
    edit_params(folder, {"models.hist_gradient_boosting.learning_rate": 0.03})
    return folder, run(folder, "dvc repro")


def test_another_learning_rate_runs_training_evaluation_and_export(
    slower: tuple[Path, str],
) -> None:
    assert outcomes(slower[1]) == {
        stage: "run" if stage in ("train", "evaluate", "export") else "skipped" for stage in STAGES
    }


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


MODEL_STAGES = ["train", "evaluate", "export"]
SCHEMA_FILE, MODELS_FILE = "src/project/schema.py", "src/project/models.py"
PARSING = "engine/mlops/pipeline/parsing.py"


@pytest.mark.parametrize(
    ("file", "old", "new", "stages"),
    [
        (SCHEMA_FILE, '"Living area above ground"', '"Living area, above the ground"', []),
        (SCHEMA_FILE, '"square feet", 200', '"sq ft", 200', []),
        (SCHEMA_FILE, '"bedrooms must not outnumber rooms"', '"more bedrooms than rooms"', []),
        (SCHEMA_FILE, "# A house may be sold", "# It may be sold", []),
        (SCHEMA_FILE, "The columns of", "All columns of", []),
        (SCHEMA_FILE, "200, 6000", "200, 7000", ["validate", "export"]),
        (SCHEMA_FILE, "bedrooms <= rooms", "bedrooms < rooms", ["validate", "export"]),
        (SCHEMA_FILE, '"Mitchel", ', "", STAGES),
        (MODELS_FILE, "Ridge regression, or", "Ridge, or", []),
        (MODELS_FILE, "# it would hold out rows", "# holds out rows", []),
        (MODELS_FILE, "early_stopping=False", "early_stopping=True", MODEL_STAGES),
        (PARSING, "LISTED = 20", "LISTED = 21", ["ingest"]),
        (PARSING, "LISTED = 20", "LISTED = 20  # lines", []),
        ("engine/mlops/pipeline/model.py", "50_000", "50_001", MODEL_STAGES),
        ("engine/mlops/slices.py", '"missing"', '"no value"', ["evaluate"]),
        ("engine/mlops/errors.py", "How a command refuses", "How a command rejects", []),
        ("engine/mlops/review/gate.py", "block", "stop", []),
        ("engine/VERSION", "1", "9", STAGES),
        ("params.yaml", "alpha: 3.0", "alpha: 4.0", []),
        ("params.yaml", "n_estimators: 300", "n_estimators: 301", []),
        ("params.yaml", "examples: true", "examples: false", ["export"]),
        ("params.yaml", "max_iter: 300", "max_iter: 301", ["train"]),
        ("requirements.txt", "joblib==", "joblib==0", STAGES),
        ("requirements.txt", "--hash=sha256:", "--hash=sha256:0", []),
    ],
)
def test_meaning_and_not_wording_decides_what_runs_again(
    file: str, old: str, new: str, stages: list[str], repository: Path
) -> None:
    edit(repository / file, old, new)

    run(repository, "dvc repro --quiet fingerprint")
    # Without what runs only if an earlier stage really gives another output: --dry can't tell.
    assert stages_run(run(repository, "dvc repro --dry")) == stages


def put_partition(repository: Path, name: str, old: str, days: list[str]) -> None:
    """Add a partition of the first sales of partition `old`, as new sales of other days."""
    source = repository / "data/source"
    header, *lines = (source / old).read_text(encoding="utf-8").splitlines()
    columns = header.split(",")
    assert SCHEMA.time is not None
    key, time = columns.index(SCHEMA.key.name), columns.index(SCHEMA.time.name)
    rows = [line.split(",") for line in lines[: len(days)]]
    for number, (row, day) in enumerate(zip(rows, days, strict=True)):
        row[key], row[time] = str(900_000 + number), day
    text = "\n".join([header, *(",".join(row) for row in rows), ""])
    (source / name).write_text(text, encoding="utf-8")


def test_a_later_day_runs_all_but_training_as_no_training_row_is_new(repository: Path) -> None:
    edit_params(repository, {"ingest.until": "2010-03-31"})
    found = outcomes(run(repository, "dvc repro train"))
    assert found == dict.fromkeys(STAGES[:4], "run") | {"train": "skipped"}


def test_a_new_partition_and_a_later_day_run_all_and_move_the_metrics(
    repository: Path, reproduced: Path
) -> None:
    put_partition(repository, "2010-late.csv", "2010-q1.csv", ["2008-07-01", "2010-03-30"])
    edit_params(repository, {"ingest.until": "2010-03-31"})
    assert stages_run(run(repository, "dvc repro")) == STAGES
    before, after = metrics(reproduced), metrics(repository)
    assert after["rows"] == before["rows"] + 101  # the first quarter's 100, and one of the two
    assert after["rmse"] != before["rmse"]


def test_a_broken_partition_stops_the_run_with_file_and_line(repository: Path) -> None:
    lock = (repository / "dvc.lock").read_bytes()
    path = repository / "data/source/2009-q4.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    lines[6] = lines[6].replace(",", ",about ", 2)
    path.write_text("".join(lines), encoding="utf-8")

    printed = run(repository, "dvc repro", wanted=255)

    assert "2009-q4.csv: line 7: size: found 'about " in printed
    assert "Traceback" not in printed
    assert stages_run(printed) == ["ingest"]
    assert (repository / "dvc.lock").read_bytes() == lock


# What comes out


def test_the_shipped_model_is_as_good_as_promised_and_a_trivial_one_stands_beside_it(
    reproduced: Path,
) -> None:
    found = metrics(reproduced)
    assert found["r2"] >= 0.90
    assert found["mape"] <= 0.105
    assert set(found["baseline"]) == set(found) - {"rows", "baseline"}
    assert found["baseline"]["r2"] < 0.1
    assert found["baseline"]["rmse"] > 3 * found["rmse"]


def test_dvc_shows_the_metrics_and_how_they_changed(slower: tuple[Path, str]) -> None:
    folder, _ = slower
    shown = json.loads(run(folder, "dvc metrics show --json"))
    assert shown[""]["data"][METRICS.as_posix()]["data"] == metrics(folder)
    changed = json.loads(run(folder, "dvc metrics diff --json HEAD"))[METRICS.as_posix()]
    assert changed["rmse"]["new"] == metrics(folder)["rmse"] != changed["rmse"]["old"]
    assert changed["rmse"]["diff"] == pytest.approx(changed["rmse"]["new"] - changed["rmse"]["old"])


@pytest.mark.parametrize("command", ["show", "diff"])
def test_dvc_draws_every_plot(command: str, slower: tuple[Path, str]) -> None:
    folder, _ = slower
    names = [
        name
        for plot in yaml.safe_load((folder / "dvc.yaml").read_text(encoding="utf-8"))["plots"]
        for name in plot
    ]
    assert len(names) == 5
    revision = {"show": "", "diff": "HEAD"}[command]

    run(folder, f"dvc plots {command} --out artifacts/drawn-{command} {revision}")
    page = (folder / f"artifacts/drawn-{command}/index.html").read_text(encoding="utf-8")
    assert page.count("vega-lite/v5.json") >= len(names)

    told = json.loads(run(folder, f"dvc plots {command} --json {revision}"))
    assert not told.get("errors")
    for name in names:
        revisions = {rev for plot in told["data"][name] for rev in plot["revisions"]}
        assert revisions == {"show": {"workspace"}, "diff": {"HEAD", "workspace"}}[command]
