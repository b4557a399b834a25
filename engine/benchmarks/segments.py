"""Does the review find where the error changed, and how often does it name segments falsely?

Rows are the demo's, resampled; the target is simulated, and so are two models: a base with errors
of about a tenth, and a candidate that changes each prediction at random (4 %), and in a planted
segment of one or two conditions by more, until its error there is worse by a given share. The
result is in engine/docs/measured/review-segments.md.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from bench_paths import DEMO, ROOT
from mlops.metrics import Predictions
from mlops.review.segments import find_segments
from project.schema import SCHEMA

RATE = 0.01
SIZES = (650, 3_000, 10_000)
WORSE = (0.2, 0.4, 0.8)
OTHER = 0.04  # share of each prediction by which the models always differ
NULLS = (
    "nothing but chance",
    "worse everywhere by a tenth",
    "one model is noise for half the rows",
)


def demo() -> pd.DataFrame:
    files = sorted((DEMO / "data/source").glob("*.csv"))
    return pd.concat(map(pd.read_csv, files), ignore_index=True)


def segment(rows: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Return the rows of a random segment: one or two conditions, 5 to 30 % of the rows."""
    while True:
        members = np.ones(len(rows), dtype=bool)
        for feature in rng.choice(np.array(SCHEMA.features, dtype=object), rng.integers(1, 3),
                                  replace=False):  # fmt: skip
            values = rows[feature.name]
            if feature.is_categorical:
                members &= (values == rng.choice(values.dropna().unique())).to_numpy()
            else:
                edge = values.quantile(rng.uniform(0.1, 0.9))
                members &= (values >= edge if rng.random() < 0.5 else values < edge).to_numpy()
        if 0.05 <= members.mean() <= 0.3:
            return members


def models(rows: pd.DataFrame, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return the target and the predictions of base and candidate that differ only by chance."""
    actual = np.exp(12 + rng.normal(0, 0.4, len(rows)))
    common = actual * np.exp(rng.laplace(0, 0.07, len(rows)))
    sides = (common * np.exp(rng.normal(0, OTHER, len(rows))) for _ in range(2))
    return (actual, *sides)


def null(kind: str, everything: pd.DataFrame, n_rows: int, seed: int) -> bool:
    """Return whether any segment is named although there is none."""
    rng = np.random.default_rng(seed)
    rows = everything.sample(n_rows, replace=True, random_state=seed).reset_index(drop=True)
    actual, base, candidate = models(rows, rng)
    if kind == NULLS[1]:
        candidate = actual + (candidate - actual) * 1.1
    elif kind == NULLS[2]:
        wide = rng.random(n_rows) < 0.5
        swapped = np.where(wide, candidate * np.exp(rng.normal(0, 0.1, n_rows)), candidate)
        lot = rng.random(n_rows) < 0.5
        base, candidate = np.where(lot, base, swapped), np.where(lot, swapped, base)
    return bool(found(actual, base, candidate, rows))


def power(by: float, everything: pd.DataFrame, n_rows: int, seed: int) -> tuple[bool, bool]:
    """Return whether a segment is named, and whether one largely matches the planted one."""
    rng = np.random.default_rng(seed)
    rows = everything.sample(n_rows, replace=True, random_state=seed).reset_index(drop=True)
    actual, base, candidate = models(rows, rng)
    members = segment(rows, rng)
    candidate = np.where(members, actual + (candidate - actual) * (1 + by), candidate)
    for one in found(actual, base, candidate, rows):
        named = np.ones(n_rows, dtype=bool)
        for condition in one.where.split(" and "):
            named &= holds(condition, rows)
        common = (named & members).sum() / max(1, (named | members).sum())
        inside = (named & members).sum() / max(1, named.sum())
        if common >= 0.4 or inside >= 0.8:
            return True, True
    return bool(found(actual, base, candidate, rows)), False


def found(actual: np.ndarray, base: np.ndarray, candidate: np.ndarray, rows: pd.DataFrame) -> list:
    sides = (Predictions("regression", actual, side) for side in (base, candidate))
    return find_segments(*sides, rows, SCHEMA, RATE)


def holds(condition: str, rows: pd.DataFrame) -> np.ndarray:
    """Return the rows that meet a condition, in the review's wording."""
    name, sign, value = (*condition.split(" ", 2), "")[:3]
    if sign == "is" and value == "missing":
        return rows[name].isna().to_numpy()
    if sign == "is":
        return (rows[name] == value).to_numpy()
    edge = float(value)
    return (rows[name] >= edge if sign == "≥" else rows[name] < edge).to_numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "engine/docs/measured")
    options = parser.parse_args()
    rows, draws = demo(), range(options.draws)
    lines = [
        "# Are segments found, and only where they are?",
        "",
        f"Made by `python engine/benchmarks/segments.py`: {options.draws} draws a cell, seeds 0 to "
        f"{options.draws - 1}; a share is known to within {2 * (0.25 / options.draws) ** 0.5:.0%} "
        f"at its middle. Error rate {RATE:.0%}, planted segments hold 5 to 30 % of the rows by one "
        "or two conditions.",
        "",
        "| change | " + " | ".join(f"{n:,} test rows" for n in SIZES) + " |",
        "|---|" + "---:|" * len(SIZES),
    ]
    parallel = Parallel(n_jobs=options.jobs)
    for kind in NULLS:
        shares = [
            np.mean(parallel(delayed(null)(kind, rows, n, seed) for seed in draws)) for n in SIZES
        ]
        lines.append(f"| no segment: {kind} | " + " | ".join(f"{s:.1%}" for s in shares) + " |")
    for by in WORSE:
        shares = [
            np.mean(parallel(delayed(power)(by, rows, n, seed) for seed in draws), axis=0)
            for n in SIZES
        ]
        cells = (f"{any_:.0%}, {right:.0%} the planted one" for any_, right in shares)
        lines.append(f"| error {by:.0%} worse in a segment | " + " | ".join(cells) + " |")
    text = "\n".join(lines) + "\n"
    (options.out / "review-segments.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
