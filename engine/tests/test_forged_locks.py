"""Forged entries of dvc.lock: none makes a stage of a pull request skip its work.

The pipeline is a toy with the paths of ours. A forgery replaces hashes of outputs by those of the
base, whose bytes are in the cache, so that DVC alone believes each of them.
"""

import itertools
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from clones import copy, run
from mlops.dvc_lock import differences
from mlops.review.believed import keep_believed
from test_review import commit, git

OUTPUTS = {
    "ingest": ["artifacts/ingest/rows.parquet"],
    "split": ["artifacts/split/train.parquet", "artifacts/split/test.parquet"],
    "train": ["artifacts/train/model.joblib"],
    "evaluate": ["artifacts/evaluate/metrics.json", "artifacts/evaluate/predictions.parquet"],
    "export": ["artifacts/bundle"],
}
EVERY = [(stage, path) for stage, paths in OUTPUTS.items() for path in paths]
CHOICES = [
    chosen for size in range(1, len(EVERY) + 1) for chosen in itertools.combinations(EVERY, size)
]
FORGERIES = random.Random(0).sample(CHOICES, 100)


def pipeline() -> dict[str, Any]:
    stages, given = {}, "data.csv"
    for stage, paths in OUTPUTS.items():
        made = " && ".join(
            f"mkdir -p {Path(path).parent} && cat {given} params.yaml > {path}" for path in paths
        )
        stages[stage] = {
            "cmd": made,
            "deps": [given],
            "params": [stage],
            "outs": list(paths),
        }
        given = paths[0]
    return {"stages": stages}


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose branch `change` has other parameters of every stage, and its own lock."""
    folder = tmp_path_factory.mktemp("forged") / "repository"
    folder.mkdir()
    (folder / "data.csv").write_text("1\n")
    (folder / "params.yaml").write_text("".join(f"{stage}: 1\n" for stage in OUTPUTS))
    (folder / "dvc.yaml").write_text(yaml.safe_dump(pipeline(), sort_keys=False))
    (folder / ".gitignore").write_text("/artifacts\n")
    run(folder, "git init -q -b main && dvc init -q && dvc repro -q --no-run-cache")
    commit(folder, "main")
    git(folder, "checkout", "--quiet", "-b", "change")
    (folder / "params.yaml").write_text("".join(f"{stage}: 2\n" for stage in OUTPUTS))
    run(folder, "dvc repro -q --no-run-cache")
    commit(folder, "change")
    return folder


def lock_of(folder: Path, revision: str) -> dict[str, Any]:
    lock: dict[str, Any] = yaml.safe_load(git(folder, "show", f"{revision}:dvc.lock"))
    return lock


def forge(folder: Path, chosen: tuple[tuple[str, str], ...]) -> None:
    base, lock = lock_of(folder, "main"), lock_of(folder, "change")
    for stage, path in chosen:
        (old,) = [out for out in base["stages"][stage]["outs"] if out["path"] == path]
        for name, entry in lock["stages"].items():
            for out in entry["outs"] + entry["deps"]:
                if out["path"] == path and (name == stage or len(chosen) % 2):
                    out.update(old)
    (folder / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))
    commit(folder, "forged")
    shutil.rmtree(folder / "artifacts")


QUICK = 8


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(number, marks=[pytest.mark.slow] if number >= QUICK else [])
        for number in range(len(FORGERIES))
    ],
)
def test_no_stage_with_a_forged_entry_is_believed(
    number: int, honest: Path, tmp_path: Path
) -> None:
    chosen = FORGERIES[number]
    folder = copy(honest, tmp_path / "repository")
    forge(folder, chosen)

    keep_believed(folder, "main")

    kept = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    assert not kept, "each entry is another than main's"
    made = lock_of(folder, "change~1")["stages"]
    committed = yaml.safe_load(git(folder, "show", "HEAD:dvc.lock"))["stages"]
    hidden = {path for _, path in chosen} <= {"artifacts/bundle", "artifacts/train/model.joblib"}
    assert differences(committed, made) or hidden


def test_a_forged_bundle_is_made_anew_where_dvc_alone_would_take_it(
    honest: Path, tmp_path: Path
) -> None:
    folder = copy(honest, tmp_path / "repository")
    wanted = (folder / "artifacts/bundle").read_bytes()
    forge(folder, (("export", "artifacts/bundle"),))
    careless = copy(folder, tmp_path / "careless")
    run(careless, "dvc checkout -q --allow-missing && dvc repro -q --no-run-cache")
    assert (careless / "artifacts/bundle").read_bytes() != wanted, "the attack itself must work"

    keep_believed(folder, "main")
    run(folder, "dvc repro -q --no-run-cache")

    assert (folder / "artifacts/bundle").read_bytes() == wanted


def test_entries_of_the_base_are_kept_and_a_dropped_dependency_is_noticed(
    honest: Path, tmp_path: Path
) -> None:
    folder = copy(honest, tmp_path / "repository")
    git(folder, "checkout", "--quiet", "main")
    keep_believed(folder, "main")
    assert yaml.safe_load((folder / "dvc.lock").read_text()) == lock_of(folder, "main")

    changed = pipeline()
    changed["stages"]["train"]["params"] = ["split"]
    changed["stages"]["export"]["frozen"] = True
    (folder / "dvc.yaml").write_text(yaml.safe_dump(changed, sort_keys=False))
    commit(folder, "fewer inputs")
    keep_believed(folder, "main")

    kept = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    assert set(kept) == {"ingest", "split", "evaluate"}
