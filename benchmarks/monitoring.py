"""How often the monitor is right: false alarms without drift, and power against known changes.

Windows are drawn without replacement from the demo's sales, apart from the rows of the reference
and from those that the model was trained on: so without a change there is no drift. The same
windows go through PSI > 0.2, and through Evidently where EVIDENTLY_PYTHON names a Python that
has it, which needs pandas < 3: uv venv e && uv pip install -p e/bin/python evidently 'pandas<3'
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mlops.metrics import Predictions
from mlops.monitoring.decision import Decision, decide
from mlops.monitoring.log import ACTUAL, AT, PREDICTED, REQUEST, Window
from mlops.params import load_params
from mlops.pipeline.export import describe_reference
from mlops.pipeline.model import build_model, fit_model, predict
from mlops.pipeline.partitions import read_partitions
from mlops.schema import SCHEMA

PARAMS = load_params()
PARAMS = PARAMS.model_copy(update={"evaluate": PARAMS.evaluate.model_copy(update={"slices": []})})
WORLDS, TRAINED = 10, 900
WINDOWS = 1000
EVIDENTLY_WINDOWS = 100
PICTURE = Path("docs/monitoring.png")
TEXTBOOK_PSI, EVIDENTLY_SCORE = 0.2, 0.1
_FEATURES = [column.name for column in SCHEMA.features]
_EVIDENTLY = Path(__file__).parent / "monitoring_evidently.py"

Alter = Callable[[pd.DataFrame], pd.DataFrame]


class Draw(NamedTuple):
    """A window and what it is compared with."""

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


class Worlds:
    """Splits of the sales, each with a model of its own."""

    def __init__(self) -> None:
        rows = read_partitions("data/source", SCHEMA).to_pandas()[SCHEMA.names]
        self._rows = rows.astype({"price": "float64"})
        train = PARAMS.train.model_copy(update={"max_iter": 150})
        self._models, self._orders = [], []
        for seed in range(WORLDS):
            order = np.random.default_rng(seed).permutation(len(rows))
            part = self._rows.iloc[order[:TRAINED]]
            self._models.append(fit_model(build_model(train, "regression"), part))
            self._orders.append(order)
        self._predicted = [predict(m, self._rows, "regression") for m in self._models]

    def draw(self, size: int, number: int) -> Draw:
        """Draw window `number`; its columns hold what the world's model predicts for it."""
        world = number % WORLDS
        order, predicted = self._orders[world], self._predicted[world]
        mixed = np.random.default_rng([size, number]).permutation(order[TRAINED:])
        now, then = mixed[:size], mixed[size:]
        known = self._rows.iloc[np.concatenate([order[:TRAINED], then])]
        tested = Predictions("regression", self._rows["price"].to_numpy()[then], predicted[then])
        return Draw(self._rows.iloc[now], known, describe_reference(known, tested, SCHEMA))

    def decide(self, draw: Draw, alter: Alter, number: int) -> Decision:
        """Let the world's model answer the altered window, and judge it."""
        rows, world = alter(draw.rows), number % WORLDS
        if rows[_FEATURES].equals(draw.rows[_FEATURES]):
            answers = self._predicted[world][rows.index]
        else:
            answers = predict(self._models[world], rows, "regression")
        rows = rows.reset_index(drop=True)
        extra = {PREDICTED: answers, ACTUAL: rows["price"], AT: 0.0, REQUEST: range(len(rows))}
        asked = rows[_FEATURES].assign(**extra)
        window = Window(asked, len(asked), asked)
        return decide(window, "benchmark", draw.reference, SCHEMA, PARAMS)


def psi(rows: pd.DataFrame, known: pd.DataFrame) -> float:
    """The largest population stability index of all features: ten bins, or each choice."""
    largest = 0.0
    for column in SCHEMA.features:
        now, then = rows[column.name].dropna(), known[column.name].dropna()
        if column.is_categorical:
            shares = [
                s.value_counts(normalize=True).reindex(column.choices).fillna(0)
                for s in (now, then)
            ]
        else:
            edges = np.unique(np.quantile(then, np.arange(1, 10) / 10))
            shares = [
                pd.Series(np.bincount(np.searchsorted(edges, s), minlength=len(edges) + 1) / len(s))
                for s in (now, then)
            ]
        p, q = (np.maximum(share.to_numpy(), 1e-4) for share in shares)
        largest = max(largest, float(((p - q) * np.log(p / q)).sum()))
    return largest


def strength(decision: Decision) -> float:
    """How sure the drift tests are, over those whose effect is large enough to count."""
    limits = {"distribution": PARAMS.monitor.min_effect}
    counting = [
        c.q_value for c in decision.changes
        if c.effect > limits.get(c.what, PARAMS.monitor.max_share)
    ]  # fmt: skip
    return -float(np.log10(max(min(counting, default=1.0), 1e-300)))


def share(hits: list[bool]) -> str:
    """Write a share with its 95% Wilson interval."""
    n, p, z = len(hits), float(np.mean(hits)), 1.96
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return f"{p:.1%} ({max(0.0, middle - half):.1%} to {middle + half:.1%})"


def table(worlds: Worlds) -> None:
    """Print false alarms and power of the whole rule, without feedback and with it."""
    print("| change | rows | windows | alarms without feedback | alarms with it | PSI > 0.2 |")
    print("|---|---:|---:|---:|---:|---:|")
    cases: list[tuple[str, Alter, int, int]] = [
        *(("none", nothing, n, WINDOWS) for n in (30, 100, 300, 1000)),
        *(("size +15%", larger, n, WINDOWS // 4) for n in (100, 200)),
        *(("price -15%", cheaper, n, WINDOWS // 4) for n in (60, 100)),
        *((f"{name} in m²", square_metres(name), 50, WINDOWS // 4)
          for name in ("lot_size", "garage_size", "basement_size")),
    ]  # fmt: skip
    for name, alter, size, windows in cases:
        without, told, textbook = [], [], []
        for number in range(windows):
            draw = worlds.draw(size, number)
            decision = worlds.decide(draw, alter, number)
            without.append(any(change.drifted for change in decision.changes))
            told.append(decision.verdict == "act")
            if number < WINDOWS // 10:
                textbook.append(psi(alter(draw.rows), draw.known) > TEXTBOOK_PSI)
        cells = [
            name,
            size,
            f"{windows:,}",
            share(without),
            share(told),
            f"{np.mean(textbook):.0%}",
        ]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


def evidently(draws: list[Draw], alter: Alter) -> list[float]:
    """Give Evidently's largest drift score of each window."""
    with tempfile.TemporaryDirectory() as folder:
        for number, draw in enumerate(draws):
            alter(draw.rows)[_FEATURES].to_csv(f"{folder}/{number}.csv", index=False)
            draw.known[_FEATURES].to_csv(f"{folder}/{number}.known.csv", index=False)
        done = subprocess.run(
            [os.environ["EVIDENTLY_PYTHON"], str(_EVIDENTLY), folder, str(len(draws))],
            stdout=subprocess.PIPE, text=True, check=True,
            env=os.environ | {"DO_NOT_TRACK": "1", "PYTHONPATH": ""},
        )  # fmt: skip
    return [float(score) for score in json.loads(done.stdout.splitlines()[-1])]


def curves(worlds: Worlds) -> None:
    """Plot power against false alarms at every threshold, for a 15% shift of `size`."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    for axes, size in zip(figure.subplots(1, 2), (100, 200), strict=True):
        n = EVIDENTLY_WINDOWS if "EVIDENTLY_PYTHON" in os.environ else 4 * EVIDENTLY_WINDOWS
        draws = [worlds.draw(size, number) for number in range(n)]
        scores = {
            "ours": [[strength(worlds.decide(d, a, i)) for i, d in enumerate(draws)]
                     for a in (nothing, larger)],
            "PSI": [[psi(a(d.rows), d.known) for d in draws] for a in (nothing, larger)],
        }  # fmt: skip
        defaults = {"ours": -np.log10(PARAMS.monitor.alpha), "PSI": TEXTBOOK_PSI}
        if "EVIDENTLY_PYTHON" in os.environ:
            scores["Evidently"] = [evidently(draws, alter) for alter in (nothing, larger)]
            defaults["Evidently"] = EVIDENTLY_SCORE
        for name, (without, changed) in scores.items():
            _curve(axes, name, np.array(without), np.array(changed), defaults[name])
        axes.set(title=f"size +15%, {size} rows", xlabel="false alarms", ylabel="power",
                 xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))  # fmt: skip
        axes.grid(color="#e5e9ee")
        axes.legend(frameon=False, loc="lower right", title="dot: default setting")
    figure.savefig(PICTURE, dpi=120, metadata={"Software": None})
    print(f"{PICTURE}: {n} windows a curve")


def _curve(axes: Any, name: str, without: Any, changed: Any, default: float) -> None:
    limits = np.unique([*without, *changed, np.inf])[::-1]
    colour = {"ours": "#2a6f97", "PSI": "#c1121f", "Evidently": "#e0a100"}[name]
    points = [((without >= limit).mean(), (changed >= limit).mean()) for limit in limits]
    axes.plot(*zip(*points, strict=True), color=colour, label=name)
    at = (without > default).mean(), (changed > default).mean()
    axes.plot(*at, "o", color=colour)
    print(f"| {name} | {axes.get_title()} | {at[0]:.0%} false alarms | {at[1]:.0%} power |")


if __name__ == "__main__":
    made = Worlds()
    if sys.argv[1:] != ["curves"]:
        table(made)
    curves(made)
