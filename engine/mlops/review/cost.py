"""Serving cost of both models: bytes, memory and time, compared and checked against the gate."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlops import paths
from mlops.params import Gate
from mlops.review.checkouts import Side
from mlops.review.gate import Check, Outcome
from mlops.review.github_markdown import cell, folded
from mlops.review.serving_times import Ratio, timed_in_turn


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
