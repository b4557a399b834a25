"""Does a replay of requests find regressions that the test rows miss, and how long do 50,000 take?

In the demo's rows, one region (large houses, new ones, a kind of building, a missing value) is
absent from the test rows, as if the newest rows had none of it. Ten changes damage the model there,
or make it reject or guess: the metrics on the test rows pass, but production is affected. Twenty
changes are harmless. The result is in engine/docs/measured/review-replay.md.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench_paths import DEMO, ROOT
from fitted import chosen
from mlops.params import Params
from mlops.pipeline.model import build_model, fit_model, predict
from mlops.project import load_project_params
from mlops.request import describe_columns
from mlops.review.gate import Check
from mlops.review.replay import Replay, check_replay, compare_replay, shares_moved
from project.schema import SCHEMA

MANY = 50_000
REGIONS = {
    "large houses": lambda rows: rows["size"] > 2000,
    "new houses": lambda rows: rows["year_built"] >= 2004,
    "townhouses": lambda rows: rows["building_type"].isin(["townhouse_end", "townhouse_inside"]),
    "no basement size": lambda rows: ~(rows["basement_size"] > 500),
    "best quality": lambda rows: rows["quality"] >= 9,
}


def seen(rows: pd.DataFrame) -> dict[str, Any]:
    found = {}
    for column in SCHEMA.features:
        values = rows[column.name].dropna()
        found[column.name] = (
            sorted(values.unique()) if column.is_categorical else [values.min(), values.max()]
        )
    return {"data": {"seen": found}}


def fitted(rows: pd.DataFrame, params: Params, seed: int = 0) -> Any:
    own, train = chosen(params, params.train.kind, max_iter=100, seed=seed)
    return fit_model(build_model(own, train, SCHEMA), rows, SCHEMA.target)


def judged(
    models: tuple[Any, Any], trained: tuple[pd.DataFrame, pd.DataFrame], frames: list[pd.DataFrame]
) -> tuple[Replay, list[Check]]:
    """Replay the first of the frames; the second has the test rows."""
    answers, on_test = ([predict(m, frame, SCHEMA.target) for m in models] for frame in frames)
    columns = [describe_columns(SCHEMA)] * 2
    manifests = [seen(rows) for rows in trained]
    found = compare_replay("regression", frames[0], manifests, columns, answers, on_test)
    return found, check_replay(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "engine/docs/measured")
    options = parser.parse_args()
    params = load_project_params(DEMO / "params.yaml")
    files = sorted((DEMO / "data/source").glob("*.csv"))
    rows = pd.concat(map(pd.read_csv, files), ignore_index=True)
    rng = np.random.default_rng(0)
    lines, hits, false, seconds = [], 0, 0, 0.0
    columns = describe_columns(SCHEMA)
    for name, region in REGIONS.items():
        inside = region(rows).to_numpy()
        lot = rng.random(len(rows))
        train, test = rows[lot < 0.6], rows[(lot >= 0.6) & (lot < 0.8) & ~inside]
        asked = rows[lot >= 0.8]
        asked = asked.sample(5_000, replace=True, random_state=0).reset_index(drop=True)
        base = fitted(train, params)

        spoilt = train[~region(train)]
        wrong = train.assign(price=train["price"].where(~region(train), train["price"] * 1.3))
        for what, trained in (("region left out", spoilt), ("its labels 30% too high", wrong)):
            found, checks = judged((base, fitted(trained, params)), (train, trained), [asked, test])
            hits += bool(checks)
            moved = found.on_test[0.2], found.moved[0.2]
            said = checks[0].why if checks else "nothing"
            lines.append(f"| {name}: {what} | {moved[0]:.1%} | {moved[1]:.1%} | {said} |")
        for seed in (1, 2, 3, 4):
            again = train.sample(frac=1, random_state=seed)
            pair = base, fitted(again, params, seed)
            false += bool(judged(pair, (train, again), [asked, test])[1])
        start = time.perf_counter()
        many = asked.sample(MANY, replace=True, random_state=1).reset_index(drop=True)
        answers = [predict(base, many, SCHEMA.target)] * 2
        compare_replay("regression", many, [seen(train)] * 2, [columns] * 2, answers, answers)
        predict(base, many, SCHEMA.target)  # for the other side
        shares_moved("regression", answers)
        seconds = max(seconds, time.perf_counter() - start)
    text = "\n".join(
        [
            "# Does a replay show what the test rows don't?",
            "",
            f"Made by `python engine/benchmarks/replay.py` (seed 0): {hits} of 10 planted "
            f"regressions are warned of, {false} of 20 harmless changes (another order, another "
            f"seed). {MANY:,} requests through both models and compared: {seconds:.1f} s at most.",
            "",
            "| in no test row: what was done | test rows moved by 20% | requests | said |",
            "|---|---:|---:|---|",
            *lines,
        ]
    )
    (options.out / "review-replay.md").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
