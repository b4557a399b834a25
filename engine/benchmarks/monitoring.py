"""Error rates of the monitor: false alarms without drift, and power against known changes.

Windows are drawn without replacement from the demo's sales, disjoint from the rows of the reference
and from those that the model was trained on, so that there is no drift without a change. The same
windows, with the predictions as one more column, are tested with the textbook's PSI, and with
Evidently if EVIDENTLY_PYTHON names a Python that has it, which needs pandas < 3:
uv venv e && uv pip install -p e/bin/python evidently 'pandas<3'
"""

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench_paths import DEMO
from fitted import chosen
from mlops.metric_registry import Metrics
from mlops.metrics import Predictions
from mlops.monitoring.decision import Decision, decide
from mlops.monitoring.drift import PREDICTION
from mlops.monitoring.log_reader import Window
from mlops.monitoring.logged_rows import ACTUAL, AT, PREDICTED, REQUEST
from mlops.pipeline.export import describe_reference
from mlops.pipeline.model import build_model, fit_model, predict
from mlops.pipeline.partitions import read_partitions
from mlops.project import load_project_params
from project.schema import SCHEMA

PARAMS = load_project_params(DEMO / "params.yaml")
PARAMS = PARAMS.model_copy(update={"evaluate": PARAMS.evaluate.model_copy(update={"slices": []})})
WORLDS, TRAINED = 10, 900
DEFAULTS = {
    "ours": -np.log10(PARAMS.monitor.alpha),
    "PSI, any column": 0.2,
    "Evidently, any column": 0.1,
    "Evidently, half of the columns": 0.1,
}
COLOURS = dict(zip(DEFAULTS, ("#2a6f97", "#c1121f", "#e0a100", "#8d6e9e"), strict=True))
RATES = (0.01, 0.02, 0.05, 0.1)
METRICS = Metrics("regression")
_FEATURES = [column.name for column in SCHEMA.features]
_COLUMNS = [*_FEATURES, PREDICTION]
_EVIDENTLY = Path(__file__).parent / "monitoring_evidently.py"

Alter = Callable[[pd.DataFrame], pd.DataFrame]


class Draw(NamedTuple):
    """A window and the rows it is compared with; both have features, price and prediction."""

    rows: pd.DataFrame
    known: pd.DataFrame
    reference: dict[str, Any]


def nothing(rows: pd.DataFrame) -> pd.DataFrame:
    return rows


def larger(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(size=rows["size"] * 1.15)


def cheaper(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(price=rows["price"] * 0.85)


def square_metres(name: str) -> Alter:
    return lambda rows: rows.assign(**{name: rows[name] / 10.764})


CASES: list[tuple[str, Alter, int]] = [
    *(("none", nothing, n) for n in (30, 100, 300, 1000)),
    *(("size +15%", larger, n) for n in (100, 200)),
    *(("price -15%", cheaper, n) for n in (60, 100)),
    *((f"{name} in m²", square_metres(name), 50)
      for name in ("lot_size", "garage_size", "basement_size")),
]  # fmt: skip


class Worlds:
    """Random splits of the sales, each with its own model."""

    def __init__(self) -> None:
        rows = read_partitions(str(DEMO / "data/source"), SCHEMA).to_pandas()[SCHEMA.names]
        rows = rows.astype({"price": "float64"})
        own, train = chosen(PARAMS, "hist_gradient_boosting", max_iter=150)
        self._models, self._orders, self.sales = [], [], []
        for seed in range(WORLDS):
            order = np.random.default_rng(seed).permutation(len(rows))
            built = build_model(own, train, SCHEMA)
            model = fit_model(built, rows.iloc[order[:TRAINED]], SCHEMA.target)
            self._models.append(model)
            self._orders.append(order)
            self.sales.append(rows.assign(**{PREDICTION: predict(model, rows, SCHEMA.target)}))

    def draw(self, size: int, number: int, alter: Alter = nothing) -> Draw:
        """Draw window `number`, alter it, and predict with the world's model."""
        world = number % WORLDS
        order, sales = self._orders[world], self.sales[world]
        mixed = np.random.default_rng([size, number]).permutation(order[TRAINED:])
        now, then = sales.iloc[mixed[:size]], sales.iloc[mixed[size:]]
        rows = alter(now)
        if not rows[_FEATURES].equals(now[_FEATURES]):
            rows = rows.assign(**{PREDICTION: predict(self._models[world], rows, SCHEMA.target)})
        tested = Predictions("regression", then["price"].to_numpy(), then[PREDICTION].to_numpy())
        # Predictions of a model's own training rows are not part of the reference.
        known = pd.concat([sales.iloc[order[:TRAINED]].assign(**{PREDICTION: np.nan}), then])
        return Draw(rows, known, describe_reference(known[SCHEMA.names], tested, SCHEMA, METRICS))


def judge(draw: Draw) -> Decision:
    """Judge a window as the monitor does, with feedback for every prediction."""
    rows = draw.rows.reset_index(drop=True)
    extra = {PREDICTED: rows[PREDICTION], ACTUAL: rows["price"], AT: 0.0, REQUEST: range(len(rows))}
    asked = rows[_FEATURES].assign(**extra)
    return decide(
        Window(asked, len(asked), asked),
        {"model_version": "benchmark"},
        draw.reference,
        SCHEMA,
        PARAMS,
        METRICS,
    )


def psi(draw: Draw) -> float:
    """Return the largest population stability index of all columns: ten bins, or each choice."""
    largest = 0.0
    for name in _COLUMNS:
        both = draw.rows[name].dropna(), draw.known[name].dropna()
        if name in _FEATURES and SCHEMA[name].is_categorical:
            choices = SCHEMA[name].choices
            shares = [
                s.value_counts(normalize=True).reindex(choices).fillna(0).to_numpy() for s in both
            ]
        else:
            edges = np.unique(np.quantile(both[1], np.arange(1, 10) / 10))
            shares = [
                np.bincount(np.searchsorted(edges, s), minlength=len(edges) + 1) / len(s)
                for s in both
            ]
        p, q = (np.maximum(share, 1e-4) for share in shares)
        largest = max(largest, float(((p - q) * np.log(p / q)).sum()))
    return largest


def strength(decision: Decision) -> float:
    """Return -log10 of the lowest q-value among drift tests with a large enough effect."""
    limits = {"distribution": PARAMS.monitor.min_effect}
    counting = [
        c.q_value for c in decision.changes
        if c.effect > limits.get(c.what, PARAMS.monitor.max_share)
    ]  # fmt: skip
    return -float(np.log10(max(min(counting, default=1.0), 1e-300)))


def share(hits: Any) -> str:
    """Format a share with its 95% Wilson interval."""
    n, p, z = len(hits), float(np.mean(hits)), 1.96
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return f"{p:.1%} ({max(0.0, middle - half):.1%} to {min(1.0, middle + half):.1%})"


def table(worlds: Worlds, windows: int) -> None:
    """Print false alarms and power of the whole rule, without feedback and with it."""
    print("| change | rows | drift found | act, with feedback | PSI > 0.2 |")
    print("|---|---:|---:|---:|---:|")
    for name, alter, size in CASES:
        found, told, textbook = [], [], []
        for number in range(windows):
            draw = worlds.draw(size, number, alter)
            decision = judge(draw)
            found.append(any(change.drifted for change in decision.changes))
            told.append(decision.verdict == "act")
            textbook.append(psi(draw) > DEFAULTS["PSI, any column"])
        cells = [name, str(size), *map(share, (found, told, textbook))]
        print(f"| {' | '.join(cells)} |", flush=True)


def evidently(worlds: Worlds, draws: list[Draw]) -> list[list[float]]:
    """Return Evidently's drift score of each column of each window."""
    with tempfile.TemporaryDirectory() as folder:
        for number, draw in enumerate(draws):
            draw.rows[_COLUMNS].to_csv(f"{folder}/{number}.csv")
        for world in range(WORLDS):
            # Evidently's reference is every sale that is not in the window.
            draw = draws[world]
            known = pd.concat([draw.known, worlds.sales[world].loc[draw.rows.index]])
            known[_COLUMNS].to_csv(f"{folder}/world{world}.csv")
        done = subprocess.run(
            [os.environ["EVIDENTLY_PYTHON"], str(_EVIDENTLY), folder, str(len(draws))],
            stdout=subprocess.PIPE, text=True, check=True,
            env=os.environ | {"DO_NOT_TRACK": "1", "PYTHONPATH": ""},
        )  # fmt: skip
    found: list[list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def scores(worlds: Worlds, alter: Alter, size: int, windows: int) -> dict[str, Any]:
    """Score each window by each method; the higher, the more drift."""
    draws = [worlds.draw(size, number, alter) for number in range(windows)]
    found = {"ours": [strength(judge(d)) for d in draws], "PSI, any column": [*map(psi, draws)]}
    if "EVIDENTLY_PYTHON" in os.environ:
        columns = -np.sort(-np.array(evidently(worlds, draws)), axis=1)
        found["Evidently, any column"] = columns[:, 0]
        found["Evidently, half of the columns"] = columns[:, -(-len(_COLUMNS) // 2) - 1]
    return {name: np.array(values) for name, values in found.items()}


def curves(worlds: Worlds, windows: int, picture: Path) -> None:
    """Draw and print power against false alarms at every threshold of each method."""
    cases = [("size +15%", larger, 200), ("lot_size in m²", square_metres("lot_size"), 50)]
    rates = " | ".join(f"{rate:.0%}" for rate in RATES)
    print(f"\n| change | method | {rates} | default setting: false alarms | power |")
    print(f"|---|---|{'---:|' * (len(RATES) + 2)}")
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    for axes, (change, alter, size) in zip(figure.subplots(1, 2), cases, strict=True):
        with ThreadPoolExecutor() as pool:  # the threads wait for Evidently's processes
            pair = pool.map(scores, repeat(worlds), (nothing, alter), repeat(size), repeat(windows))
            without, changed = pair
        for name in without:
            _curve(axes, name, without[name], changed[name])
            cells = [f"{change}, {size} rows", name]
            cells += [share(_at_rate(without[name], changed[name], rate)) for rate in RATES]
            cells += [share(s[name] > DEFAULTS[name]) for s in (without, changed)]
            print(f"| {' | '.join(cells)} |", flush=True)
        axes.set(title=f"{change}, {size} rows", xlabel="false alarms", ylabel="power",
                 xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))  # fmt: skip
        axes.grid(color="#e5e9ee")
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    title = f"dot: default setting; {windows:,} windows each with and without the change"
    figure.legend(handles, labels, frameon=False, loc="outside lower center", ncols=4, title=title)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=120, metadata={"Software": None})


def _at_rate(without: Any, changed: Any, rate: float) -> Any:
    """Return detections at the lowest threshold with at most `rate` false alarms."""
    return changed > np.sort(without)[::-1][int(rate * len(without))]


def _curve(axes: Any, name: str, without: Any, changed: Any) -> None:
    limits = np.unique([*without, *changed, np.inf])[::-1]
    points = [((without >= limit).mean(), (changed >= limit).mean()) for limit in limits]
    axes.plot(*zip(*points, strict=True), color=COLOURS[name], label=name)
    at = [(scores > DEFAULTS[name]).mean() for scores in (without, changed)]
    axes.plot(*at, "o", color=COLOURS[name], clip_on=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=1000)
    parser.add_argument("--only", choices=("table", "curves"))
    parser.add_argument("--out", type=Path, default=Path("engine/docs/measured"))
    arguments = parser.parse_args()
    worlds = Worlds()
    if arguments.only != "curves":
        table(worlds, arguments.windows)
    if arguments.only != "table":
        curves(worlds, arguments.windows, arguments.out / "monitoring.png")


if __name__ == "__main__":
    main()
