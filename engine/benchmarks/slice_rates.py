"""How often a slice blocks: for changes that make no slice worse, and for some that make one worse.

Test sets of 3,000 rows are drawn from the population of `truth.py`, whose truth is known, and cut
into 40 slices: tenths of the base's prediction and of one change to it, and two columns of ten
equal parts at random. The review's own code judges them. The result is in
engine/docs/measured/review-slices.md.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from bench_paths import DEMO, ROOT
from mlops.columns import Column, Schema
from mlops.metrics import Floats, Predictions
from mlops.params import Params
from mlops.project import load_project_params
from mlops.review.slice_comparison import check_slices_against_base, compare_slices
from truth import RARE, Population, regression

ROWS, COLUMNS, PARTS = 3_000, 4, 10
GAP = 0.10
PLANTED = ("part_0", "tenth 3")
CHOICES = tuple(f"tenth {k}" for k in range(PARTS))
SCHEMA = Schema(
    (
        Column("id", "", int, role="key"),
        *(Column(f"part_{k}", "", str, choices=CHOICES) for k in range(COLUMNS)),
        Column("price", "", float, role="target"),
    )
)


def cut(population: Population, seed: int) -> pd.DataFrame:
    """Assign the rows to tenths: by the base's prediction, by a change, and twice at random."""
    rng = np.random.default_rng(seed)
    numbers = [population.base, population.directions["overgrown leaves"]]
    numbers += [rng.random(len(population.actual)) for _ in range(COLUMNS - len(numbers))]
    ranks = [pd.Series(number).rank(pct=True, method="first") for number in numbers]
    return pd.DataFrame(
        {
            f"part_{k}": np.array(CHOICES, dtype=object)[
                np.minimum((rank.to_numpy() * PARTS).astype(int), PARTS - 1)
            ]
            for k, rank in enumerate(ranks)
        }
    )


def planted(population: Population, members: Floats, change: str, metric: str) -> Floats:
    """Return predictions whose error is truly worse by GAP, only in the members' rows."""
    part = Population(
        population.task,
        population.actual[members],
        population.base[members],
        {change: population.directions[change][members]},
    )
    moved = population.base.copy()
    moved[members] = part.worsened(change, metric, GAP)
    return moved


def pairs(population: Population, parts: pd.DataFrame) -> list[tuple[str, str, Floats, Floats]]:
    """Return kind, change, base and candidate; `judged` swaps rows of 'equal' pairs at random."""
    members = (parts[PLANTED[0]] == PLANTED[1]).to_numpy()
    usual = [name for name in population.directions if name not in RARE]
    usual.remove("the largest slice too high")
    base, found = population.base, []
    for change in usual:
        worse = population.worsened(change, "rmse", GAP)
        found += [("equal", change, base, worse), ("better", change, worse, base)]
        for metric in ("rmse", "mape"):
            moved = planted(population, members, change, metric)
            found.append((f"{metric} 10% worse", change, base, moved))
    larger = np.where(members, population.actual + 1.1 * (base - population.actual), base)
    found.append(("rmse and mape 10% worse", "each error 10% larger", base, larger))
    for change, sign in (("each prediction 10% higher", 1.1), ("each prediction 10% lower", 0.9)):
        off = np.where(members, base * sign, base)
        found.append(("predictions 10% off", change, base, off))
    off = np.where(members, base * np.exp(0.1 * population.directions["noise"]), base)
    return [*found, ("predictions 10% off", "each prediction off by 10%, either way", base, off)]


def judged(
    population: Population, parts: pd.DataFrame, draws: int, seed: int, params: Params
) -> list[tuple[str, str, bool, bool]]:
    """Judge each pair on `draws` test sets: kind, change, blocked, and whether by the slice."""
    rng, lines = np.random.default_rng(seed), []
    known = pairs(population, parts)
    for _ in range(draws):
        rows, lot = rng.integers(0, len(parts), ROWS), rng.random(ROWS) < 0.5
        test, actual = parts.iloc[rows].reset_index(drop=True), population.actual[rows]
        for kind, change, base, candidate in known:
            was, now = base[rows], candidate[rows]
            if kind == "equal":
                was, now = np.where(lot, was, now), np.where(lot, now, was)
            sides = (Predictions(population.task, actual, side) for side in (was, now))
            slices = compare_slices(*sides, test, params, SCHEMA, population.metrics)
            checks = check_slices_against_base(slices, params)
            blocked = [check.name for check in checks if check.outcome == "block"]
            named = any(": ".join(PLANTED) in name for name in blocked)
            lines.append((kind, change, bool(blocked), named))
    return lines


def markdown(found: pd.DataFrame, draws: int, params: Params) -> str:
    by = found.groupby(["kind", "change"], sort=False)[["blocked", "named"]].mean()
    overall = found.groupby("kind", sort=False)[["blocked", "named"]].mean()
    rate, error = params.gate.slices.error_rate, 2 * np.sqrt(0.25 / draws)
    lines = [
        "# How often a slice blocks",
        "",
        f"Made by `python engine/benchmarks/slice_rates.py`: {ROWS:,} test rows, "
        f"{COLUMNS * PARTS} slices of a tenth each, {draws} test sets a change (seeds 0 and up); "
        f"a share is known to within {error:.1%}. All slices and both metrics (rmse, mape) share "
        f"one error rate, `gate.slices.error_rate`: {rate:.1%}. A slice blocks if a metric is "
        f"worse by more than {params.gate.slice_limits['rmse']:.0%} and beyond that rate.",
        "",
        "| kind | change | blocked | by the slice that is worse |",
        "|---|---|---:|---:|",
    ]
    for kind, whole in overall.iterrows():
        lines += [
            f"| {kind} | {change} | {row.blocked:.1%} | {_named(kind, row.named)} |"
            for change, row in by.loc[kind].iterrows()
        ]
        lines.append(
            f"| **{kind}** | all | **{whole.blocked:.1%}** | {_named(kind, whole.named)} |"
        )
    return "\n".join(lines) + "\n"


def _named(kind: str, share: float) -> str:
    return "" if kind in ("equal", "better") else f"{share:.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "engine/docs/measured")
    arguments = parser.parse_args()
    start, params = time.perf_counter(), load_project_params(DEMO / "params.yaml")
    evaluate = params.evaluate.model_copy(update={"slices": [c.name for c in SCHEMA.features]})
    params = params.model_copy(update={"evaluate": evaluate})
    population = regression(params, 100_000, seed=0)
    parts = cut(population, seed=0)
    share = arguments.draws // 8
    found = Parallel(n_jobs=arguments.jobs)(
        delayed(judged)(population, parts, share, k, params) for k in range(8)
    )
    lines = pd.DataFrame(
        [line for part in found for line in part], columns=["kind", "change", "blocked", "named"]
    )
    text = markdown(lines, 8 * share, params)
    (arguments.out / "review-slices.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"took {time.perf_counter() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
