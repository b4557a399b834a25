"""Fresh clones of the repository as it stands in the work tree, and commands run in them."""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from paths import DEMO, ROOT
from warm_python import warm_environment

SECONDS = 300.0
"""What a command may take before it counts as hanging."""

_THEIRS = ("params.yaml", "dvc.yaml", "dvc.lock", "data/", "src/")
"""What is the project's in a repository: clones have that of demo_project in its place."""

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "XDG_CACHE_HOME", "LD_LIBRARY_PATH")
_SET = {
    "COLUMNS": "120",
    "DVC_NO_ANALYTICS": "1",
    "DVC_GLOBAL_CONFIG_DIR": "/nowhere",
    "DVC_SYSTEM_CONFIG_DIR": "/nowhere",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
} | {f"GIT_{who}_{what}": f"{who.lower()}@example.org" for who in ("AUTHOR", "COMMITTER")
     for what in ("NAME", "EMAIL")}  # fmt: skip


def environment(**variables: str) -> dict[str, str]:
    """Give what a command may know of this machine: nothing of a person's own settings."""
    known = {name: os.environ[name] for name in _KEPT if name in os.environ}
    folders = [warm_environment() / "bin", Path(sys.executable).parent, os.environ["PATH"]]
    return known | _SET | {"PATH": os.pathsep.join(map(str, folders))} | variables


def run(
    folder: Path, command: str, wanted: int = 0, seconds: float = SECONDS, **variables: str
) -> str:
    """Run a shell command and give all that it prints; it must end in time, with code `wanted`."""
    process = subprocess.Popen(
        ["sh", "-c", command],
        cwd=folder,
        env=environment(DVC_SITE_CACHE_DIR=str(folder / ".dvc/tmp/site"), **variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
        encoding="utf-8",
    )
    with process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert process.returncode == wanted, f"{command}: exit code {process.returncode}\n{output}"
    return output


_OUTCOMES = {
    r"Running stage '(.+)':": "run",
    r"Stage '(.+)' didn't change, skipping": "skipped",
    r"Stage '(.+)' is cached - skipping run, checking out outputs": "cached",
}


def outcomes(output: str) -> dict[str, str]:
    """Tell what `dvc repro` or `dvc exp run` did with each stage: run, skipped or cached."""
    found = {}
    for line in output.splitlines():
        for pattern, outcome in _OUTCOMES.items():
            if match := re.fullmatch(pattern, line.strip()):
                found[match[1]] = outcome
    found.pop("fingerprint", None)  # runs every time
    return found


def stages_run(output: str) -> list[str]:
    """List the stages that were run, in their order."""
    return [stage for stage, outcome in outcomes(output).items() if outcome == "run"]


def edit_params(folder: Path, changes: dict[str, Any]) -> None:
    """Set parameters by their dotted names; a file that has these values is left as it is."""
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    changed = False
    for name, value in changes.items():
        *parents, key = name.split(".")
        section = params
        for parent in parents:
            section = section[parent]
        changed |= section[key] != value
        section[key] = value
    if changed:
        path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def read_lock(folder: Path) -> dict[str, Any]:
    """Give the stages of dvc.lock."""
    lock: dict[str, Any] = yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))
    return lock["stages"]


def clone(origin: Path, folder: Path) -> Path:
    """Clone a repository, as a newcomer would."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    run(folder.parent, f"git clone --quiet '{origin}' '{folder}'")
    return folder


def copy(repository: Path, folder: Path) -> Path:
    """Copy a clone with its outputs and its cache, so that a test may do with it what it likes."""
    return shutil.copytree(repository, folder, symlinks=True)


def copy_tracked(folder: Path, without: tuple[str, ...] = ()) -> None:
    """Copy all of the work tree that is not ignored, save for folders, with the tests' project."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and not name.startswith((*_THEIRS, *without)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(DEMO, folder, ignore=ignored, dirs_exist_ok=True)


@pytest.fixture(scope="session")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Commit all that is not ignored of the work tree to a repository of its own."""
    folder = tmp_path_factory.mktemp("origin") / "repository"
    copy_tracked(folder)
    run(folder, "git init -q -b main && git add -A && git commit -q -m start")
    return folder


@pytest.fixture(scope="session")
def reproduced(origin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the pipeline once in a fresh clone and commit its lock; tests only read it or copy it."""
    folder = clone(origin, tmp_path_factory.mktemp("reproduced") / "repository")
    output = run(folder, "dvc repro", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    # Without a prepare.py, prepare gives the bytes of validate, which are in the cache by then.
    assert set((outcomes(output) | {"prepare": "run"}).values()) == {"run"}
    run(folder, "git commit -q --allow-empty -a -m 'dvc.lock as reproduced'")
    return folder


@contextmanager
def one_at_a_time(tmp_path_factory: pytest.TempPathFactory, name: str) -> Iterator[Path]:
    """Let no other of pytest's workers into a block of this name; give a folder that all share."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield shared


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository like ours with a quick model, reproduced and committed; to be copied.

    The first of pytest's workers that needs it makes it for all.
    """
    with one_at_a_time(tmp_path_factory, "quick") as shared:
        folder, made = shared / "quick", shared / "quick.made"
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed half-way
            copy_tracked(folder, without=("engine/tests/", "docs/", "engine/benchmarks/"))
            edit_params(folder, {"models.hist_gradient_boosting.max_iter": 60})
            run(folder, "git init -q -b main && git add -A && git commit -q -m start")
            run(folder, "dvc repro --quiet && git commit -q -a --allow-empty -m reproduced")
            made.touch()
    return folder
