"""Overhead of a review beyond reproducing both sides: both are in the cache, no stage runs.

Measured on the demo, and on generated rows of which nearly all are test rows. The time is that of
the whole command, including DVC's start and its check of both pipelines. So is the processor time,
which depends less on other work on the machine.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from bench_paths import SOURCES
from pipeline import make_source, new_repository

SECONDS = 3600
TEST_SHARE = 0.95


def run(folder: Path, *command: str, wanted: tuple[int, ...] = (0,)) -> None:
    """Run a command in a clone, with the clone's own code."""
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": SOURCES},
        capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    if done.returncode not in wanted:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")


def commit(folder: Path) -> None:
    """Reproduce the pipeline, and commit all files that git tracks."""
    run(folder, "dvc", "repro", "--quiet", "--no-run-cache")
    identity = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
    run(folder, "git", "add", "--all")
    run(folder, "git", *identity, "commit", "--quiet", "--allow-empty", "-m", "reproduced")


def two_commits(folder: Path, n_test: int | None) -> None:
    """Create a clone with two reproduced commits; with `n_test` generated test rows, if given."""
    new_repository(folder)
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    if n_test:
        with tempfile.TemporaryDirectory() as scratch:
            make_source(Path(scratch), round(n_test / TEST_SHARE))
            shutil.rmtree(folder / "data/source")
            shutil.copytree(Path(scratch) / "data/source", folder / "data/source")
        params["split"] |= {"test_from": None, "test_share": TEST_SHARE}
        params["ingest"] |= {"until": "2100-01-01", "max_gap_days": 100_000}
        params["validate"] |= {"max_age_days": 1_000_000, "min_window_share": 0.0}
    for max_iter in (100, 110):
        params["models"]["hist_gradient_boosting"]["max_iter"] = max_iter
        (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        commit(folder)


def processor_seconds() -> float:
    """Return the processor seconds of all commands so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--test-rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for n_test in (None, arguments.test_rows):
            folder = Path(scratch) / str(n_test)
            two_commits(folder, n_test)
            times, of_processors = [], []
            for _ in range(arguments.rounds):
                start, used = time.perf_counter(), processor_seconds()
                review = (sys.executable, "-m", "mlops.review", "--base", "HEAD~1")
                run(folder, *review, wanted=(0, 1))
                times.append(time.perf_counter() - start)
                of_processors.append(processor_seconds() - used)
            name = f"{n_test:,} test rows" if n_test else "the demo"
            print(f"{name}: {spread(times)}; of the processors {spread(of_processors)}")


if __name__ == "__main__":
    main()
