"""The forged locks of test_forged_locks, released: as if the gate had let each of them through.

The outputs are of the real pipeline: of main, of the reviewed change, and of an attacker's run,
whose rows, model, metrics and predictions fit together. Where the storage has all that a forged
lock names, the release pulls it and has the proof by rows alone; else it rebuilds.
"""

import contextlib
import copy
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from dvc.exceptions import DvcException
from dvc.repo import Repo

from clones import clone, edit_params, run
from clones import copy as copy_clone
from mlops.errors import UserError
from mlops.paths import METRICS, PREDICTIONS, TEST_ROWS
from mlops.release import restore_outputs
from mlops.release.container_engine import ask
from mlops.remote import connect
from mlops.review.lock_check import is_behind
from paths import SOURCES
from test_forged_locks import EVERY, FORGERIES, QUICK, Forgery
from test_review import commit, git

BUNDLE = "artifacts/bundle"
STOPPED = (
    "The reviewed outputs can't be reproduced",
    "The bundle is not the one that was reviewed",
)
EVIDENCE = {BUNDLE, *(path.as_posix() for path in (METRICS, PREDICTIONS, TEST_ROWS))}

CHANGE = {
    "split.test_from": "2009-03-01",
    "ingest.until": "2009-09-30",
    "models.hist_gradient_boosting.max_iter": 50,
}
EVIL = {
    "split.test_from": "2009-02-01",
    "ingest.until": "2009-06-30",
    "models.hist_gradient_boosting.learning_rate": 0.9,
    "models.hist_gradient_boosting.max_iter": 40,
}

Lock = dict[str, Any]


class Runs(NamedTuple):
    """Three runs of one pipeline.

    Attributes:
        repository: whose HEAD is the reviewed change.
        artifacts: what that gives.
        main, reviewed, evil: the locks.
        honest: a storage that has all of main's and of the change's.
        poisoned: one that has the attacker's beside them.
    """

    repository: Path
    artifacts: Path
    main: Lock
    reviewed: Lock
    evil: Lock
    honest: Path
    poisoned: Path


@pytest.fixture(scope="module")
def runs(quick: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    place = tmp_path_factory.mktemp("forged")
    folder = copy_clone(quick, place / "repository")
    main, reviewed = lock_of(folder), reproduced(folder, CHANGE)
    commit(folder, "reviewed")
    artifacts = shutil.copytree(folder / "artifacts", place / "artifacts")
    honest = shutil.copytree(folder / ".dvc/cache", place / "honest")
    evil = reproduced(folder, EVIL)
    poisoned = shutil.copytree(folder / ".dvc/cache", place / "poisoned")
    git(folder, "checkout", "--quiet", "--force", ".")
    for _, path in EVERY:
        hashes = {outputs(lock)[path]["md5"] for lock in (main, reviewed, evil)}
        assert len(hashes) == 3, f"a forgery of {path} would be none"
    return Runs(folder, artifacts, main, reviewed, evil, honest, poisoned)


def reproduced(folder: Path, changes: dict[str, Any]) -> Lock:
    edit_params(folder, changes)
    run(folder, "dvc repro --quiet --no-run-cache", PYTHONPATH=SOURCES, OMP_NUM_THREADS="1")
    return lock_of(folder)


def lock_of(folder: Path) -> Lock:
    lock: Lock = yaml.safe_load((folder / "dvc.lock").read_text())
    return lock


def outputs(lock: Lock) -> dict[str, dict[str, Any]]:
    return {out["path"]: out for stage in lock["stages"].values() for out in stage["outs"]}


def forge(runs: Runs, forgery: Forgery) -> Lock:
    """Give the reviewed lock with outputs of main's or of the attacker's."""
    lock = copy.deepcopy(runs.reviewed)
    theirs = outputs(runs.evil if forgery.evil else runs.main)
    for stage, path in forgery.chosen:
        for name, entry in lock["stages"].items():
            for out in entry["outs"] + entry.get("deps", []):
                if out["path"] == path and (name == stage or forgery.told):
                    out |= theirs[path]
    return lock


@pytest.fixture
def quickly(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Call DVC in this process; for a whole run of the pipeline, copy what it has given before."""

    def done(*command: str) -> str:
        match command:
            case "dvc", "data", "status", *_:
                with Repo() as repo:
                    status = repo.data_status(not_in_remote=True, remote_refresh=True)
                return json.dumps({"not_in_remote": status["not_in_remote"]})
            case "dvc", "pull", "--force", *targets:
                with Repo() as repo:
                    repo.pull(targets=targets, force=True)
            case "dvc", "repro", "--no-run-cache":
                shutil.copytree(runs.artifacts, "artifacts", dirs_exist_ok=True)
                shutil.copy(runs.repository / "dvc.lock", "dvc.lock")
            case _:
                return ask(*command)
        return ""

    monkeypatch.setattr(restore_outputs, "ask", done)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))


def release(runs: Runs, lock: Lock, storage: Path, folder: Path) -> str:
    """Commit a lock, and release it on a fresh machine; give why it stopped, if it did."""
    clone(runs.repository, folder)
    (folder / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))
    git(folder, "commit", "--quiet", "--allow-empty", "--all", "-m", "forged")
    connect(folder, str(storage))
    with contextlib.chdir(folder):
        try:
            restore_outputs.bring()
        except (UserError, DvcException) as stopped:
            return str(stopped)
    return ""


def same(one: Path, other: Path) -> bool:
    files = [{f.name: f.read_bytes() for f in folder.iterdir()} for folder in (one, other)]
    return files[0] == files[1]


@pytest.mark.usefixtures("quickly")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of DVC, which runs in this process
@pytest.mark.parametrize(
    "number",
    [
        pytest.param(number, marks=[pytest.mark.slow] if number >= QUICK else [])
        for number in range(len(FORGERIES))
    ],
)
def test_a_forgery_that_no_gate_stopped_is_not_released_unless_all_of_the_proof_is_forged(
    number: int, runs: Runs, tmp_path: Path
) -> None:
    forgery, folder = FORGERIES[number], tmp_path / "fresh/repository"
    lock = forge(runs, forgery)
    storage = runs.poisoned if forgery.place == "storage" else runs.honest
    assert is_behind(yaml.safe_dump(lock), runs.reviewed["stages"], runs.main["stages"])

    why = release(runs, lock, storage, folder)

    chosen = {path for _, path in forgery.chosen}
    if why or same(folder / BUNDLE, runs.artifacts / "bundle"):
        assert not why or any(words in why for words in STOPPED), why
        return
    # Nothing is left to hold the bundle to; the gate, which hashes what the review made, did.
    assert forgery.told
    assert chosen >= EVIDENCE


@pytest.mark.usefixtures("quickly")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # as above
def test_the_reviewed_lock_itself_is_released_from_the_poisoned_storage(
    runs: Runs, tmp_path: Path
) -> None:
    folder = tmp_path / "fresh/repository"

    assert release(runs, runs.reviewed, runs.poisoned, folder) == ""

    assert same(folder / BUNDLE, runs.artifacts / "bundle")
