"""Number of runs until the monitor reports watch or act, by kind of shock, over many seeds.

Weeks as in `make loop`, without its server: 13 houses sold a week, drawn at random from the sales
of 2010; eight predictions requested for each house sold; feedback four days after a sale; one run
of the monitor a week. The shock begins after some weeks without one, and stays.
"""

import argparse
import contextlib
import datetime
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

import bench_paths  # noqa: F401
from mlops.inference.loaded_model import Served
from mlops.metric_registry import Metrics
from mlops.monitoring.__main__ import monitor
from mlops.paths import BUNDLE
from mlops.pipeline.equivalence import columns_of
from mlops.project import load_project_params
from project.schema import SCHEMA

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
from loop import ASKED, DELAY, FALL, NOWHERE, SQUARE_FEET

from production import DAY, Log, sales

METRICS = Metrics("regression")

SOLD, BEFORE, RUNS, WEEK = 13, 5, 8, 7 * DAY
SALES = sales()
START = datetime.datetime(2010, 1, 4, tzinfo=datetime.UTC).timestamp()
_FEATURES = [column.name for column in SCHEMA.features]


def nothing(rows: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    return rows


def cheaper(rows: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    return rows.assign(price=rows["price"] * FALL)


def larger(rows: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    return rows.assign(size=(rows["size"] * 1.15).round())


def square_metres(rows: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    return rows.assign(lot_size=(rows["lot_size"] / SQUARE_FEET).clip(lower=500))


def strangers(rows: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    fifth = random.random(len(rows)) < 0.2
    return rows.assign(neighborhood=rows["neighborhood"].mask(fifth, NOWHERE))


SHOCKS: dict[str, Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]] = {
    "prices -15%": cheaper,
    "lot_size in m²": square_metres,
    "size +15%": larger,
    "every fifth house in an unseen neighborhood": strangers,
    "none": nothing,
}


def delay(shock: str, seed: int) -> int | None:
    """Simulate one seed; return the number of the first run after the shock with a reason."""
    random, params = np.random.default_rng(seed), load_project_params()
    served = Served.read(BUNDLE, SCHEMA)
    of_2010 = SALES[SALES["sold_on"] >= "2010"].sample(frac=1, random_state=random)
    untold: list[tuple[float, str, float]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(Log(f"sqlite:///{folder}/log.db")) as log,
    ):
        for week in range(BEFORE + RUNS):
            at, shocked = START + week * WEEK, week >= BEFORE
            sold = of_2010[week * SOLD : (week + 1) * SOLD]
            others = SALES.sample((ASKED - 1) * SOLD, random_state=random)
            asked = SHOCKS[shock if shocked else "none"](pd.concat([sold, others]), random)
            rows = json.loads(asked[_FEATURES].to_json(orient="records"))
            ids = log.predict(
                asked, served.engine.predict_columns(columns_of(rows)), at, served.version, step=0
            )
            told = at + random.integers(0, 7, SOLD) * DAY + DELAY.total_seconds()
            untold += zip(told, ids, asked["price"], strict=False)
            due = sorted(one for one in untold if one[0] < at + WEEK)
            untold = [one for one in untold if one[0] >= at + WEEK]
            log.tell([name for _, name, _ in due], [price for _, _, price in due], at + 6 * DAY)
            if (
                shocked
                and monitor(
                    log.url, BUNDLE, params, SCHEMA, Metrics("regression"), at + WEEK
                ).reasons
            ):
                return week - BEFORE + 1
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    seeds = parser.parse_args().seeds
    print(f"| shock, {seeds} seeds | run 1 | 2 | 3 | 4 | later, of {RUNS} | never |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    with ProcessPoolExecutor(2) as pool:
        for shock in SHOCKS:
            found = Counter(pool.map(delay, [shock] * seeds, range(seeds)))
            later = sum(found[run] for run in range(5, RUNS + 1))
            counts = [*(found[run] for run in range(1, 5)), later, found[None]]
            cells = [f"{count / seeds:.1%}" for count in counts]
            print(f"| {shock} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
