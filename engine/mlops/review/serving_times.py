"""Memory and time of serving both models, timed alternately in the same minute.

A single timing on a shared machine is unreliable; two models timed right after each other are
slowed alike by other processes. So each of many short rounds yields a ratio of processor times. Two
processes of the same model still differ, by the layout of their memory: so several pairs of
processes are timed, and the mean of their medians has an interval.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from mlops.review import cost_worker

PAIRS = 3
"""Pairs of processes; each has its own layout of memory."""
ROUNDS, LEAST_ROUNDS = 28, 9
_MOST_SECONDS = 1.0  # for a pair's rounds of one size; longer only to reach LEAST_ROUNDS
LAYOUT = 0.05
"""Standard deviation of a pair's log ratio if both processes serve one model: measured by
engine/benchmarks/cost.py, because so few pairs estimate it badly."""
CONFIDENCE = 0.98
WORTH = 0.01
"""A smaller difference is not worth a warning."""
_TURN_NS = 2_000_000
_MOST_CALLS = 200
_ON_A_CORE = 4  # rounds
_SECONDS = 120.0


Times = NDArray[np.float64]
"""Milliseconds of base and candidate in each round, shape (n_rounds, 2)."""


@dataclass(frozen=True)
class Ratio:
    """Processor time of the candidate divided by the base's; times in milliseconds."""

    base: float
    candidate: float
    value: float
    low: float
    high: float

    @property
    def slower(self) -> bool:
        """Return whether it is slower by more than chance and memory layout explain."""
        return self.low > 1 + WORTH


def timed_in_turn(
    sides: Sequence[tuple[Path, str]], rows: Path
) -> tuple[tuple[int, int], Ratio, Ratio]:
    """Measure memory, and time for one row and a thousand, of base and candidate.

    Args:
        sides: bundle and PYTHONPATH of each.

    Raises:
        ValueError, OSError: a worker does not answer.
    """
    pairs = [_timed_pair(sides, rows) for _ in range(PAIRS)]
    memory, ones, thousands = zip(*pairs, strict=True)
    return memory[0], ratio_of(ones), ratio_of(thousands)


def _timed_pair(
    sides: Sequence[tuple[Path, str]], rows: Path
) -> tuple[tuple[int, int], Times, Times]:
    with _worker(*sides[0], rows) as base, _worker(*sides[1], rows) as candidate:
        pair = (base, candidate)
        for worker in pair:
            if _line(worker) != "ready":
                raise ValueError("a model's engine can't be timed")
        one, thousand = (_in_turn(pair, size) for size in (1, cost_worker.MOST_ROWS))
        memory = []
        for worker in pair:
            assert worker.stdin is not None
            worker.stdin.close()
            memory.append(int(_line(worker)))
    return (memory[0], memory[1]), one, thousand


@contextmanager
def _worker(bundle: Path, pythonpath: str, rows: Path) -> Iterator["subprocess.Popen[str]"]:
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    worker = subprocess.Popen(
        [sys.executable, "-P", cost_worker.__file__, bundle, rows.resolve()],
        env=os.environ | one_thread | {"PYTHONPATH": pythonpath, "PYTHONHASHSEED": "0"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    watch = threading.Timer(_SECONDS, worker.kill)
    watch.start()
    try:
        yield worker
    finally:
        watch.cancel()
        worker.kill()
        worker.wait()
        for stream in (worker.stdin, worker.stdout):
            if stream is not None and not stream.closed:
                stream.close()


def _line(worker: "subprocess.Popen[str]") -> str:
    assert worker.stdout is not None
    return worker.stdout.readline().strip()


def _asked(worker: "subprocess.Popen[str]", calls: int, size: int) -> float:
    """Return the nanoseconds per call."""
    assert worker.stdin is not None
    worker.stdin.write(f"{calls} {size}\n")
    worker.stdin.flush()
    return int(_line(worker)) / calls


def _in_turn(workers: Sequence["subprocess.Popen[str]"], size: int) -> Times:
    """Time both workers alternately, in milliseconds.

    Each runs right after the other: one that runs twice in a row finds its data in the cache.
    """
    slowest = max(_asked(worker, 3, size) for worker in workers)
    calls = max(1, min(_MOST_CALLS, int(_TURN_NS / max(slowest, 1.0))))
    times, end = list[tuple[float, float]](), time.monotonic() + _MOST_SECONDS
    while len(times) < LEAST_ROUNDS or (len(times) < ROUNDS and time.monotonic() < end):
        if len(times) % _ON_A_CORE == 0:
            _share_a_core(workers, len(times) // _ON_A_CORE)
            for worker in workers:  # warm up: its data is still in the other core's cache
                _asked(worker, max(1, calls // 4), size)
        base, candidate = (_asked(worker, calls, size) for worker in workers)
        times.append((base, candidate))
    return np.array(times) / 1e6


def _share_a_core(workers: Sequence["subprocess.Popen[str]"], turn: int) -> None:
    """Move both workers to one core, the next one each time: cores differ by their other load."""
    if sys.platform == "linux":
        cores = sorted(os.sched_getaffinity(0))
        for worker in workers:
            os.sched_setaffinity(worker.pid, {cores[turn % len(cores)]})


def ratio_of(pairs: Sequence[Times]) -> Ratio:
    """Return the geometric mean of the pairs' median ratios, and its interval.

    Args:
        pairs: of each pair of processes, the times of base and candidate: shape (n_rounds, 2).
    """
    medians = np.array([np.median(np.log(times[:, 1] / times[:, 0])) for times in pairs])
    spread = max(float(medians.std(ddof=1)), LAYOUT)
    margin = float(norm.ppf((1 + CONFIDENCE) / 2)) * spread / len(pairs) ** 0.5
    value, low, high = np.exp(medians.mean() + np.array([0.0, -margin, margin])).tolist()
    base, candidate = np.median(np.concatenate(pairs), axis=0).tolist()
    return Ratio(base, candidate, value, low, high)
