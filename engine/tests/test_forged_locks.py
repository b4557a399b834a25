"""Forged entries of dvc.lock: none makes a stage skip its work, and none gets its bytes shipped.

The pipeline is a toy with the paths of ours. A forgery replaces hashes of outputs by those of the
base or of bytes of the attacker's own, which the storage or the cache has. The review runs with and
without storage, and the gate holds the lock to what it made. What a release would do with each
of these locks, if no gate had stopped it: test_forged_releases.
"""

import contextlib
import io
import itertools
import random
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dvc.cli
import pytest
import yaml

from clones import copy, environment, run
from mlops.remote import connect
from mlops.review.checkouts import reproduce
from mlops.review.lock_check import is_behind
from mlops.review.trusted_outputs import keep_believed, stages_at
from paths import ROOT
from test_remote import md5
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
    run(folder, "git init -q -b main && dvc init -q")
    shutil.copy(ROOT / ".dvc/config", folder / ".dvc/config")
    run(folder, "dvc repro -q --no-run-cache")
    commit(folder, "main")
    git(folder, "checkout", "--quiet", "-b", "change")
    (folder / "params.yaml").write_text("".join(f"{stage}: 2\n" for stage in OUTPUTS))
    run(folder, "dvc repro -q --no-run-cache")
    commit(folder, "change")
    return folder


@pytest.fixture(autouse=True)
def path_to_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", environment()["PATH"])
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")


def lock_of(folder: Path, revision: str) -> dict[str, Any]:
    lock: dict[str, Any] = yaml.safe_load(git(folder, "show", f"{revision}:dvc.lock"))
    return lock


@dataclass(frozen=True)
class Forgery:
    """What an attacker writes into dvc.lock, and where the bytes that it names can be had."""

    chosen: tuple[tuple[str, str], ...]
    evil: bool  # bytes of their own; else those of the base
    told: bool  # the stages that use a forged output say so
    place: str
    storage: bool  # the review has it, as the release always has


def forgeries() -> list[Forgery]:
    """Draw 100 of all, and first those that the excuse of another processor would let in."""
    hidden = (("train", "artifacts/train/model.joblib"), ("export", "artifacts/bundle"))
    first = [
        Forgery(hidden[n:], evil, True, "storage", storage)
        for n in (0, 1)
        for evil in (True, False)
        for storage in (True, False)
    ]
    drawn = random.Random(0)
    more = [
        Forgery(
            drawn.choice(CHOICES),
            drawn.random() < 0.7,
            drawn.random() < 0.7,
            drawn.choice(["storage", "cache", "nowhere"]),
            drawn.random() < 0.5,
        )
        for _ in range(100 - len(first))
    ]
    return first + more


FORGERIES = forgeries()
QUICK = 8
"""With these, DVC runs as a command; with the others, which are slow, in the test's process."""

_run = subprocess.run


def forge(folder: Path, forgery: Forgery) -> dict[str, bytes]:
    """Commit a forged lock; give the bytes that it names, by their hash."""
    base, lock, named = lock_of(folder, "main"), lock_of(folder, "change"), {}
    for stage, path in forgery.chosen:
        content = f"evil {path}\n".encode()
        told = {"path": path, "hash": "md5", "md5": md5(content), "size": len(content)}
        if forgery.evil:
            named[told["md5"]] = content
        else:
            (told,) = [out for out in base["stages"][stage]["outs"] if out["path"] == path]
        for name, entry in lock["stages"].items():
            for out in entry["outs"] + entry["deps"]:
                if out["path"] == path and (name == stage or forgery.told):
                    out.update(told)
    (folder / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))
    commit(folder, "forged")
    return named


def put(place: Path, named: dict[str, bytes]) -> None:
    for name, content in named.items():
        (place / "files/md5" / name[:2]).mkdir(parents=True, exist_ok=True)
        (place / "files/md5" / name[:2] / name[2:]).write_bytes(content)


def in_this_process(
    command: list[str], cwd: Path, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run DVC here, where it is imported; other commands as they are."""
    if command[0] != "dvc":
        return _run(command, cwd=cwd, **options)
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = dvc.cli.main(command[1:])
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of DVC, which runs in this process
@pytest.mark.parametrize(
    "number",
    [
        pytest.param(number, marks=[pytest.mark.slow] if number >= QUICK else [])
        for number in range(len(FORGERIES))
    ],
)
def test_no_forgery_passes_the_gate(
    number: int, honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if number >= QUICK:
        monkeypatch.setattr(subprocess, "run", in_this_process)
    forgery, folder = FORGERIES[number], copy(honest, tmp_path / "repository")
    wanted = (folder / "artifacts/bundle").read_bytes()
    storage = shutil.copytree(honest / ".dvc/cache", tmp_path / "storage")
    named = forge(folder, forgery)
    shutil.rmtree(folder / "artifacts")
    if forgery.place != "nowhere":
        put({"storage": storage, "cache": folder / ".dvc/cache"}[forgery.place], named)
    if forgery.storage:
        connect(folder, str(storage))

    keep_believed(folder, "main")
    assert not yaml.safe_load((folder / "dvc.lock").read_text())["stages"], "none is main's"
    reproduce(folder)
    made = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    text = git(folder, "show", "HEAD:dvc.lock")
    behind = is_behind(text, made, stages_at("main", root=folder))

    assert made == lock_of(folder, "change~1")["stages"]
    assert (folder / "artifacts/bundle").read_bytes() == wanted
    assert behind


def test_a_forged_bundle_is_made_anew_where_dvc_alone_would_take_it(
    honest: Path, tmp_path: Path
) -> None:
    folder = copy(honest, tmp_path / "repository")
    wanted = (folder / "artifacts/bundle").read_bytes()
    forge(folder, Forgery((("export", "artifacts/bundle"),), False, False, "cache", False))
    shutil.rmtree(folder / "artifacts")
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


def test_other_bytes_in_a_local_cache_are_not_taken_for_the_bases_output(
    honest: Path, tmp_path: Path
) -> None:
    folder = copy(honest, tmp_path / "repository")
    git(folder, "checkout", "--quiet", "main")
    name = lock_of(folder, "main")["stages"]["export"]["outs"][0]["md5"]
    forged = folder / ".dvc/cache/files/md5" / name[:2] / name[2:]
    forged.chmod(0o644)
    forged.write_bytes(b"evil\n")
    forged.chmod(0o444)  # by which DVC knows what it hashed before
    shutil.rmtree(folder / "artifacts")

    keep_believed(folder, "main")
    reproduce(folder)

    assert md5((folder / "artifacts/bundle").read_bytes()) == name
    assert md5(forged.read_bytes()) == name
