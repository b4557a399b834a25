"""Serving cost of both models: bytes, memory, and time measured alternately in the same minute.

A single timing on a shared machine is unreliable; two models timed right after each other are
slowed alike by other processes. So each of many short rounds yields a ratio of processor times, and
their median has an interval.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binom

from mlops import paths
from mlops.params import Gate
from mlops.review import cost_worker
from mlops.review.checkouts import Side
from mlops.review.gate import Check, Outcome
from mlops.review.github_markdown import cell, folded

ROUNDS, LEAST_ROUNDS = 80, 21
_MOST_SECONDS = 2.0  # for rounds of one size; longer only to reach LEAST_ROUNDS
CONFIDENCE = 0.98
WORTH = 0.05
"""Two processes of the same model differ by some percent, depending on their memory's layout."""
_TURN_NS = 2_000_000
_MOST_CALLS = 200
_ON_A_CORE = 4  # rounds
_SECONDS = 120.0


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
        """Return whether it is slower by more than chance or memory layout explains."""
        return self.low > 1 + WORTH


@dataclass(frozen=True)
class Cost:
    """Serving cost; pairs are of base and candidate.

    Attributes:
        reason: why the candidate's model has no exported form, if it has none.
        n_bytes: size of the bundle's files that serving needs.
        memory: peak of a serving process, in bytes; None if a model could not be timed.
        row, thousand: time for one row, and for a thousand.
    """

    engine: tuple[str, str]
    reason: str | None
    n_bytes: tuple[int, int]
    memory: tuple[int, int] | None = None
    row: Ratio | None = None
    thousand: Ratio | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the cost as in verdict.json."""
        return {("bytes" if name == "n_bytes" else name): v for name, v in asdict(self).items()}


def measure_cost(base: Side, candidate: Side, rows: Path = paths.TEST_ROWS) -> Cost:
    """Measure both models' serving cost; only sizes if an (old) engine can't be timed."""
    sides = (base, candidate)
    sizes = [sum(s.manifest["files"][n]["bytes"] for n in s.manifest["engine_files"])
             for s in sides]  # fmt: skip
    engines = [str(side.manifest["engine"]) for side in sides]
    known = ((engines[0], engines[1]), candidate.manifest["engine_reason"], (sizes[0], sizes[1]))
    places = [(side.root / paths.BUNDLE, side.pythonpath) for side in sides]
    try:
        return Cost(*known, *timed_in_turn(places, rows))
    except (OSError, ValueError):  # a worker ended before it answered
        return Cost(*known)


def timed_in_turn(
    sides: Sequence[tuple[Path, str]], rows: Path
) -> tuple[tuple[int, int], Ratio, Ratio]:
    """Measure memory, and time for one row and a thousand, of base and candidate.

    Args:
        sides: bundle and PYTHONPATH of each.

    Raises:
        ValueError, OSError: a worker does not answer.
    """
    with _worker(*sides[0], rows) as base, _worker(*sides[1], rows) as candidate:
        pair = (base, candidate)
        for worker in pair:
            if _line(worker) != "ready":
                raise ValueError("a model's engine can't be timed")
        ratios = [_in_turn(pair, size) for size in (1, cost_worker.MOST_ROWS)]
        memory = []
        for worker in pair:
            assert worker.stdin is not None
            worker.stdin.close()
            memory.append(int(_line(worker)))
    return (memory[0], memory[1]), ratios[0], ratios[1]


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


def _in_turn(workers: Sequence["subprocess.Popen[str]"], size: int) -> Ratio:
    """Time both workers alternately, each first in every other round."""
    slowest = max(_asked(worker, 3, size) for worker in workers)
    calls = max(1, min(_MOST_CALLS, int(_TURN_NS / max(slowest, 1.0))))
    times, end = list[tuple[float, float]](), time.monotonic() + _MOST_SECONDS
    while len(times) < LEAST_ROUNDS or (len(times) < ROUNDS and time.monotonic() < end):
        if len(times) % _ON_A_CORE == 0:
            _share_a_core(workers, len(times) // _ON_A_CORE)
            for worker in workers:  # warm up: its data is still in the other core's cache
                _asked(worker, max(1, calls // 4), size)
        first = _asked(workers[len(times) % 2], calls, size)
        second = _asked(workers[1 - len(times) % 2], calls, size)
        times.append((second, first) if len(times) % 2 else (first, second))
    base, candidate = np.array(times).T / 1e6
    return ratio_of(base, candidate)


def _share_a_core(workers: Sequence["subprocess.Popen[str]"], turn: int) -> None:
    """Move both workers to one core, the next one each time: cores differ by their other load."""
    if sys.platform == "linux":
        cores = sorted(os.sched_getaffinity(0))
        for worker in workers:
            os.sched_setaffinity(worker.pid, {cores[turn % len(cores)]})


def ratio_of(base: Any, candidate: Any) -> Ratio:
    """Return the median ratio of the rounds and its interval, by the sign test.

    Source: the interval of a median by order statistics, Conover, Practical Nonparametric
    Statistics, 1999, section 3.2.
    """
    ratios = np.sort(np.asarray(candidate) / np.asarray(base))
    outside = int(binom.ppf((1 - CONFIDENCE) / 2, len(ratios), 0.5))
    value = float(np.median(ratios))
    low, high = float(ratios[max(0, outside - 1)]), float(ratios[min(len(ratios) - 1, -outside)])
    return Ratio(float(np.median(base)), float(np.median(candidate)), value, low, high)


def check_cost(cost: Cost | None, gate: Gate) -> list[Check]:
    """Check serving cost against `gate.max_slower` and `gate.max_bytes`, if they are set."""
    checks: list[Check] = []
    if cost is None:
        return checks
    if gate.max_bytes is not None:
        size = cost.n_bytes[1]
        why = f"serving takes {size:,} bytes of the bundle, wanted at most {gate.max_bytes:,}"
        outcome: Outcome = "block" if size > gate.max_bytes else "pass"
        checks.append(Check("size of the bundle", size, gate.max_bytes, outcome, why))
    if gate.max_slower is not None:
        checks += [
            _check_time(name, ratio, gate.max_slower)
            for name, ratio in (("a row", cost.row), ("a thousand rows", cost.thousand))
        ]
    return checks


def _check_time(name: str, ratio: Ratio | None, limit: float) -> Check:
    what = f"time for {name}"
    if ratio is None:
        return Check(what, None, limit, "warn", f"{what} could not be compared with the base's")
    more = ratio.value - 1
    why = f"{what} is {abs(more):.0%} {'longer' if more > 0 else 'shorter'} than the base's, "
    why += f"allowed are {limit:.0%} longer"
    if more <= limit:
        return Check(what, more, limit, "pass", why)
    if not ratio.slower:
        return Check(what, more, limit, "warn", f"{why}; that may be chance")
    return Check(what, more, limit, "block", why)


def cost_section(cost: Cost | None) -> str:
    """Compare serving cost in a sentence or two."""
    if cost is None:
        return ""
    words = [f"{cost.n_bytes[1] / 1e6:.2f} MB {_times(*cost.n_bytes)}"]
    if cost.memory:
        words.append(f"memory {cost.memory[1] / 1e6:.0f} MB {_times(*cost.memory)}")
    for name, ratio in (("a row", cost.row), ("a thousand rows", cost.thousand)):
        if ratio is not None:
            words.append(
                f"{name} in {ratio.candidate:.2g} ms ({ratio.value:.2f} times the base's, "
                f"{ratio.low:.2f} to {ratio.high:.2f})"
            )
    base, candidate = (_engine(engine) for engine in cost.engine)
    by = candidate if base == candidate else f"{candidate}, the base by {base}"
    text = f"By {by}: {', '.join(words)}."
    text += f" The model could not be exported: {cell(cost.reason)}." * bool(cost.reason)
    return folded("Cost of serving", text)


def _times(base: float, candidate: float) -> str:
    return f"({candidate / base:.2f} times the base's)" if base else "(the base's is 0)"


def _engine(engine: str) -> str:
    return "scikit-learn itself" if engine == "joblib" else f"the engine {cell(engine)}"
