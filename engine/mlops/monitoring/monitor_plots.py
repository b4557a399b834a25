"""Plots of the decision: drift of each column, and the model's accuracy."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mlops.files import atomic_write
from mlops.monitoring.decision import Decision
from mlops.monitoring.performance import overall, too_much_worse
from mlops.params import Params

_FINE, _DRIFTED, _LIMIT = "#9aa5b1", "#c1121f", "black"


def draw(folder: Path, decision: Decision, params: Params) -> list[Path]:
    """Draw drift and performance, each if it could be judged, as PNG files; return their paths."""
    drawn = []
    if decision.changes:
        drawn.append(_save(folder / "drift.png", _drift(decision, params)))
    if decision.performance:
        drawn.append(_save(folder / "performance.png", _performance(decision, params)))
    return drawn


def _drift(decision: Decision, params: Params) -> Figure:
    found = [c for c in decision.changes if c.what == "distribution"]
    found.sort(key=lambda change: -change.effect)
    figure, axes = _axes(len(found), "Distance from the reference, beyond chance")
    colours = [_DRIFTED if change.drifted else _FINE for change in found]
    # Square roots, as a standard deviation is, so that small effects are visible beside large ones.
    axes.barh(range(len(found)), [np.sqrt(c.effect) for c in found], color=colours)
    axes.axvline(np.sqrt(params.monitor.min_effect), color=_LIMIT, linewidth=1, linestyle=":")
    axes.set_yticks(range(len(found)), [change.column for change in found])
    axes.set_xlabel(
        f"√ chi-squared distance of {decision.rows:,} rows; red: drifted; dotted: min_effect"
    )
    return figure


def _performance(decision: Decision, params: Params) -> Figure:
    found = [p for p in overall(decision.performance) if p.worse is not None and p.reference]
    figure, axes = _axes(len(found), "Accuracy in production, by feedback")
    for place, p in enumerate(found):
        ends = [100 * (end or 0.0) / (p.reference or 1.0) for end in (p.low, p.high)]
        colour = _DRIFTED if too_much_worse(p, params.monitor) else _FINE
        axes.plot(ends, [place, place], color=colour, linewidth=3, solid_capstyle="round")
        axes.plot([100 * (p.value or 0.0) / (p.reference or 1.0)], [place], "o", color=colour)
    axes.axvline(100, color=_LIMIT, linewidth=1, linestyle=":")
    axes.set_yticks(range(len(found)), [f"{p.metric} ({p.rows} rows)" for p in found])
    axes.set_xlabel("per cent of the review's value; red: too much worse")
    return figure


def _axes(lines: int, title: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(7.0, 0.28 * lines + 1.4), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.set_ylim(lines - 0.4, -0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#e5e9ee")
    axes.set_axisbelow(True)
    return figure, axes


def _save(path: Path, figure: Figure) -> Path:
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120, metadata={"Software": None})
    return path
