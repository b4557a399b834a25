"""Error rates of the review: its intervals, its blocks and its stated detectable effects.

Pairs of models with a known true difference are reviewed on many test sets drawn from a
population, by the review's own code. Its intervals are compared with others. The result is in
engine/docs/measured/review-error-rates.md.
"""

import argparse
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from bench_paths import DEMO, ROOT
from intervals import bounds, draw_counts, moments, truths
from mlops.metrics import Floats, Predictions
from mlops.params import Params
from mlops.project import load_project_params
from mlops.review.gate import Check, check_regressions, detectable_regression, verdict
from mlops.review.model_comparison import compare
from review_report import FAR, GAP, LEADING, STEPS, draw, markdown
from truth import RARE, Population, classification, regression

CHUNKS = 16
REPLICATES = 1000
SMALL, MODEST = 1_000, 10_000


class Draws(NamedTuple):
    """Numbers of test sets of one size: for each worse pair, for each harmless pair (few of which
    may be blocked), and for the comparison of interval methods."""

    worse: int
    harmless: int
    methods: int


FULL = {
    300: Draws(400, 1600, 400),
    648: Draws(400, 1600, 400),
    3_000: Draws(400, 400, 400),
    30_000: Draws(400, 400, 96),
}
QUICK = {300: Draws(32, 32, 16), 3_000: Draws(32, 32, 16)}


@dataclass(frozen=True)
class Pair:
    """Two models and the metric whose true change is known.

    Attributes:
        swapped: choose the base at random for each row, so that no metric truly differs.
    """

    kind: str
    change: str
    base: Floats
    candidate: Floats
    metric: str = ""
    by: float = 0.0
    swapped: bool = False


def regressions(
    population: Population, metric: str, steps: tuple[float, ...], changes: list[str]
) -> list[Pair]:
    """Create pairs in which each change is worse by each of the steps."""
    return [
        Pair("worse", change, population.base, population.worsened(change, metric, by), metric, by)
        for change in changes
        for by in steps
    ]


def harmless(population: Population, metrics: list[str]) -> list[Pair]:
    """Create pairs whose candidate is not truly worse in any metric: equal, or better."""
    changes, pairs = usual(population), []
    for change, other in zip(changes, [*changes[1:], changes[0]], strict=True):
        worse = population.worsened(change, metrics[0], GAP)
        no_worse = population.no_worse(other, worse, metrics)
        pairs += [
            Pair("equal", change, population.base, worse, swapped=True),
            Pair("better", change, worse, population.base),
            Pair("no worse", f"{change} → {other}", worse, no_worse),
        ]
    return pairs


def usual(population: Population) -> list[str]:
    """List the changes whose harm, if any, affects many rows."""
    return [change for change in population.directions if change not in RARE]


def reviewed(
    population: Population,
    pairs: list[Pair],
    truths: list[dict[str, float]],
    n_rows: int,
    draws: int,
    seed: int,
    params: Params,
) -> pd.DataFrame:
    """Review each pair on `draws` test sets of `n_rows`; a line per pair, test set and metric."""
    rng, lines = np.random.default_rng(seed), []
    for _ in range(draws):
        rows, lot = rng.integers(0, len(population.actual), n_rows), rng.random(n_rows) < 0.5
        actual = population.actual[rows]
        for number, (pair, truth) in enumerate(zip(pairs, truths, strict=True)):
            base, candidate = pair.base[rows], pair.candidate[rows]
            if pair.swapped:
                where = lot if base.ndim == 1 else lot[:, None]
                base, candidate = np.where(where, base, candidate), np.where(where, candidate, base)
            sides = (Predictions(population.task, actual, side) for side in (base, candidate))
            found = compare(*sides, {}, params, population.metrics)
            checks = {c.name.split()[-1]: c for c in check_regressions(found, params)}
            outcome = verdict(list(checks.values()))
            for c in found:
                known = c.ci_low is not None and c.ci_high is not None
                covered = known and c.ci_low <= truth[c.metric] <= c.ci_high
                line = {"pair": number, "metric": c.metric, "covered": covered, "gate": outcome}
                if c.metric in checks:
                    limit = params.gate.max_regression[c.metric]
                    line |= {
                        "outcome": checks[c.metric].outcome,
                        "said": said(checks[c.metric]),
                        "stated": detectable_regression(c, limit, params.gate.confidence),
                    }
                lines.append(line)
    return pd.DataFrame(lines)


def said(check: Check) -> str:
    """Classify what the review says of a metric's regression."""
    if check.outcome == "block":
        return "blocked"
    beyond = check.value is not None and check.limit is not None and check.value > check.limit
    if beyond or "can't rule out" in check.why:
        return "can't tell"
    return "warned" if check.outcome == "warn" else "passed"


def true_changes(population: Population, pair: Pair) -> dict[str, float]:
    was, now = population.truth(pair.base), population.truth(pair.candidate)
    return {name: 0.0 if pair.swapped else now[name] - was[name] for name in was}


def review_all(
    population: Population, pairs: list[Pair], n_rows: int, draws: int, params: Params
) -> pd.DataFrame:
    """Review on all cores; the result depends only on the numbers of rows and draws."""
    truths = [true_changes(population, pair) for pair in pairs]
    share = draws // CHUNKS
    parts = Parallel(n_jobs=-1)(
        delayed(reviewed)(population, pairs, truths, n_rows, share, 1000 * n_rows + k, params)
        for k in range(CHUNKS)
    )
    found = pd.concat(parts, ignore_index=True)
    about = pd.DataFrame(
        {"kind": p.kind, "change": p.change, "of": p.metric, "by": p.by} for p in pairs
    )
    return found.join(about, on="pair").assign(rows=n_rows)


def at_stated_effect(
    population: Population, found: pd.DataFrame, n_rows: int, draws: int, params: Params
) -> pd.DataFrame:
    """Find the regression that equals its stated detectable effect, and review pairs with it."""
    worse = found[(found["kind"] == "worse") & ~found["change"].isin(RARE)]
    pairs = []
    for (metric, change), part in worse.groupby(["of", "change"]):
        stated = part[part["metric"] == metric].groupby("by")["stated"].median()
        short = stated.index.to_numpy() - stated.to_numpy()
        if short[0] < 0 < short[-1]:
            by = float(np.interp(0, short, stated.index))
            candidate = population.worsened(str(change), str(metric), by)
            pairs.append(Pair("stated", str(change), population.base, candidate, str(metric), by))
    return review_all(population, pairs, n_rows, draws, params)


def other_intervals(
    population: Population, pairs: list[Pair], n_rows: int, draws: int, seed: int
) -> pd.DataFrame:
    """Compute every method's intervals of RMSE and MAPE; a line per interval."""
    actual, lines = population.actual, []
    cases = [
        (metric, power, of(pair.base), of(pair.candidate))
        for pair in pairs
        for metric, power, of in (
            ("rmse", 0.5, lambda p: (p - actual) ** 2),
            ("mape", 1.0, lambda p: np.abs(p / actual - 1)),
        )
    ]
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        counts = draw_counts(n_rows, REPLICATES, rng)
        rows = rng.integers(0, len(actual), n_rows)
        drawn = [moments(base[rows], candidate[rows]) for _, _, base, candidate in cases]
        means = np.split(counts @ np.hstack(drawn) / n_rows, len(cases), axis=1)
        for (metric, power, base, candidate), own, mean in zip(cases, drawn, means, strict=True):
            for scale, truth in truths(base, candidate, power).items():
                for method, (low, high) in bounds(own, mean, power, scale).items():
                    lines.append((method, scale, metric, low <= truth <= high))
    return pd.DataFrame(lines, columns=["method", "scale", "metric", "covered"])


def compare_methods(population: Population, sizes: dict[int, int]) -> pd.DataFrame:
    """Return coverage: a line per method and scale, a column per size and metric."""
    pairs = regressions(population, LEADING, (GAP,), usual(population))
    parts = []
    for n_rows, draws in sizes.items():
        found = Parallel(n_jobs=-1)(
            delayed(other_intervals)(population, pairs, n_rows, draws // CHUNKS, k)
            for k in range(CHUNKS)
        )
        parts.append(pd.concat(found).assign(rows=n_rows))
    return pd.concat(parts).pivot_table(
        values="covered", index=["method", "scale"], columns=["rows", "metric"], sort=False
    )


def measure(population: Population, sizes: dict[int, Draws], params: Params) -> pd.DataFrame:
    """Review all pairs for every size of test set."""
    metrics, parts = list(params.gate.max_regression), []
    good = harmless(population, metrics)
    worse = regressions(population, LEADING, STEPS, list(RARE))
    for metric in metrics:
        worse += regressions(population, metric, STEPS + FAR, usual(population))
    for n_rows, draws in sizes.items():
        pairs = [pair for pair in worse if pair.by in STEPS or n_rows <= SMALL]
        found = review_all(population, pairs, n_rows, draws.worse, params)
        parts += [
            found,
            at_stated_effect(population, found, n_rows, draws.worse, params),
            review_all(population, good, n_rows, draws.harmless, params),
        ]
        print(f"{n_rows:,} test rows: done", file=sys.stderr)
    return pd.concat(parts, ignore_index=True)


def of_classes(rows: int, sizes: dict[int, Draws], params: Params) -> pd.DataFrame:
    """Return coverage for two classes, one of them rare: a line per metric, a column per size."""
    population = classification(rows, seed=0)
    gate = params.gate.model_copy(update={"max_regression": {"log_loss": 0.05, "roc_auc": 0.05}})
    params = params.model_copy(update={"task": "classification", "gate": gate})
    worse = regressions(population, "log_loss", (GAP / 2, GAP), list(population.directions))
    pairs = worse + [replace(pair, kind="equal", swapped=True) for pair in worse]
    found = pd.concat(
        review_all(population, pairs, n_rows, draws.worse, params)
        for n_rows, draws in sizes.items()
        if n_rows <= MODEST
    )
    return found.pivot_table(values="covered", index="metric", columns="rows", sort=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rows and draws: does it run?")
    parser.add_argument("--out", type=Path, default=ROOT / "engine/docs/measured")
    arguments = parser.parse_args()
    start, params = time.perf_counter(), load_project_params(DEMO / "params.yaml")
    sizes, rows = (QUICK, 20_000) if arguments.quick else (FULL, 100_000)
    population = regression(params, rows, seed=0)
    found = measure(population, sizes, params)
    methods = compare_methods(population, {n: draws.methods for n, draws in sizes.items()})
    classes = of_classes(rows, sizes, params)
    arguments.out.mkdir(parents=True, exist_ok=True)
    draw(found, params, arguments.out / "review-error-rates.png")
    text = markdown(found, methods, classes, params)
    (arguments.out / "review-error-rates.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"took {time.perf_counter() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
