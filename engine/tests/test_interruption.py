"""kill -9 at any moment: never a half file under its name, and the next run heals all."""

import hashlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops.files import TEMPORARY, sha256
from mlops.params import PARAMS_FILE
from mlops.paths import INGESTED_ROWS
from mlops.repair_dvc import recover
from paths import DEMO, PYTHONPATH, ROOT
from source_rows import TIME, csv_bytes, put, put_params, shipped_rows

INGESTION_KILLS = 200
KILLS = int(os.environ.get("KILLS", "50"))
WHOLE_RUN_EVERY = 5
TIMEOUT = 300

# Ingestion

FORKING = """
import os, signal, sys, time
import pyarrow.csv, pyarrow.parquet
from mlops.pipeline import ingest

sys.stdout = sys.stderr  # of the stage; answers go to the pipe
answers = os.fdopen(os.dup(1), "w")
for line in sys.stdin:
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        try:
            ingest.main()
        finally:
            os._exit(0 if sys.exc_info()[0] is None else 1)
    delay = float(line)
    if delay:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), time.perf_counter() - start, file=answers, flush=True)
"""
"""Run the stage in a child for each line read, kill it after so many seconds; 0: let it end.

A child of a process that has everything imported spends its whole time in the stage.
"""


class Forking:
    """A process that runs the stage in children, in the folder where it was started."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def run(self, kill_after: float = 0.0) -> tuple[int, float]:
        """Run the stage once; give its exit code, that of a signal negative, and its seconds."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{kill_after}\n")
        self.process.stdin.flush()
        code, seconds = self.process.stdout.readline().split()
        return int(code), float(seconds)


@contextmanager
def forking(folder: Path) -> Iterator[Forking]:
    with subprocess.Popen(
        [sys.executable, "-c", FORKING],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        yield Forking(process)


def hash_or_none(path: Path) -> str | None:
    return sha256(path) if path.exists() else None


@pytest.mark.slow
def test_ingestion_killed_at_any_moment_leaves_the_old_table_or_the_new_one(
    tmp_path: Path,
) -> None:
    rows, newest = shipped_rows(1500)
    for start in range(0, 1500, 250):
        put(tmp_path / "source" / f"{start}.csv", csv_bytes(rows[start : start + 250]))
    days = (str(rows[TIME].iloc[1000].date()), newest)
    output = tmp_path / INGESTED_ROWS
    rng = random.Random(0)
    killed = ended = in_mid_write = 0
    params = {}
    for until in days:
        put_params(tmp_path, "source", until)
        params[until] = (tmp_path / PARAMS_FILE).read_text(encoding="utf-8")
    with forking(tmp_path) as stage:
        wanted, seconds = {}, []
        for until in days * 3:
            (tmp_path / PARAMS_FILE).write_text(params[until], encoding="utf-8")
            code, took = stage.run()
            assert code == 0
            assert wanted.setdefault(until, sha256(output)) == sha256(output)
            seconds.append(took)
        assert wanted[days[0]] != wanted[days[1]]
        duration = sorted(seconds)[len(seconds) // 2]

        for number in itertools.count():
            if number % 3 == 0:
                output.unlink(missing_ok=True)
            before = hash_or_none(output)
            until = days[number % 2]
            (tmp_path / PARAMS_FILE).write_text(params[until], encoding="utf-8")
            code, _ = stage.run(kill_after=duration * rng.random())

            assert hash_or_none(output) in ({before, wanted[until]} if code else {wanted[until]})
            left = {path.name for path in output.parent.iterdir()} - {output.name}
            assert left <= {f".{output.name}{TEMPORARY}"}
            if code == 0:  # the stage was quicker than the kill
                ended += 1
                assert ended < 2 * INGESTION_KILLS
                continue
            assert code == -signal.SIGKILL
            killed, in_mid_write = killed + 1, in_mid_write + bool(left)
            if killed % 10 == 0:
                assert stage.run()[0] == 0
                assert hash_or_none(output) == wanted[until]
                assert [path.name for path in output.parent.iterdir()] == [output.name]
            if killed == INGESTION_KILLS:
                break
    assert in_mid_write  # else the moments were ill chosen
    print(f"{killed} kills within {duration:.2f} s each, {in_mid_write} of them in mid-write")


# The whole pipeline


def lighten(params: dict[str, Any]) -> None:
    """Let the stages be short: what counts here is when they are killed."""
    params["models"]["hist_gradient_boosting"]["max_iter"] = 20
    params["models"]["random_forest"]["n_estimators"] = 20
    params["evaluate"] |= {"slices": []}


def git(repository: Path, *arguments: str) -> None:
    """Run git as nobody in particular."""
    who = ("-c", "user.name=test", "-c", "user.email=test@example.invalid")
    subprocess.run(["git", *who, *arguments], cwd=repository, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Copy what the pipeline needs of the work tree into a repository of its own."""
    copy = tmp_path / "copy"
    shutil.copytree(DEMO, copy)
    shutil.copytree(ROOT / "engine/mlops", copy / "engine/mlops")
    shutil.copyfile(ROOT / "engine/VERSION", copy / "engine/VERSION")
    for name in ("requirements.txt", ".dvcignore", ".gitignore", ".dvc/config"):
        (copy / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
    params = yaml.safe_load((DEMO / "params.yaml").read_text(encoding="utf-8"))
    lighten(params)
    (copy / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    git(copy, "init", "-q")
    return copy


def start_repro(repository: Path) -> subprocess.Popen[bytes]:
    """Start `dvc repro` in a process group of its own, which all stages belong to."""
    paths = (str(Path(sys.executable).parent), os.environ["PATH"])
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=repository,
        env={
            **os.environ,
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(repository.parent / "site"),
            "PATH": os.pathsep.join(paths),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a run with all its stages, and wait until none is left to hold the other end."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def run_repro(repository: Path, kill_after: float | None = None) -> bool:
    """Run `dvc repro` to its good end, or kill it; tell whether it ended."""
    process = start_repro(repository)
    try:
        output, _ = process.communicate(timeout=kill_after or TIMEOUT)
    except subprocess.TimeoutExpired:
        assert kill_after
        return False
    finally:
        kill_group(process)
    assert process.returncode == 0, output.decode()
    return True


def hashes(repository: Path) -> dict[str, str]:
    """Hash every file that has its final name."""
    names = (path.relative_to(repository) for path in (repository / "artifacts").rglob("*"))
    return {
        str(name): hashlib.md5((repository / name).read_bytes(), usedforsecurity=False).hexdigest()
        for name in names
        if (repository / name).is_file() and not any(part.startswith(".") for part in name.parts)
    }


def make_all_to_do(repository: Path) -> None:
    """Delete what was made, and what would let dvc make it without running a stage."""
    for name in ("artifacts", ".dvc/cache"):
        shutil.rmtree(repository / name, ignore_errors=True)


@pytest.mark.slow
def test_a_pipeline_killed_at_any_moment_ends_with_the_same_bytes_when_run_again(
    repository: Path,
) -> None:
    start = time.monotonic()
    run_repro(repository)
    duration = time.monotonic() - start  # of the latest run that had all to do
    lock, wanted = (repository / "dvc.lock").read_bytes(), hashes(repository)
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "as reproduced")
    make_all_to_do(repository)

    rng = random.Random(0)
    killed = ended = 0
    mended: Counter[str] = Counter()
    spent = 0.0  # since all was to do
    for number in itertools.count(1):
        moment = rng.uniform(0.01, 1) * max(duration - spent, duration / 5)
        whole = killed == KILLS or number % WHOLE_RUN_EVERY == 0
        start = time.monotonic()
        if run_repro(repository, None if whole else moment):
            assert (repository / "dvc.lock").read_bytes() == lock, f"after {killed} kills"
            assert hashes(repository) == wanted, f"after {killed} kills"
            if not spent:
                duration = time.monotonic() - start
            ended += 1
            if killed == KILLS:
                break
            make_all_to_do(repository)
            spent = 0.0
            continue
        killed += 1
        spent += time.monotonic() - start
        half = {name for name, found in hashes(repository).items() if found != wanted.get(name)}
        assert not half, f"after {killed} kills"
        mended.update(map(str, recover(repository)))
    print(f"{killed} kills, {ended} runs to the end (from the start: {duration:.1f} s), {mended=}")
