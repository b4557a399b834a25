"""The comparison as a plot: the change of each metric, with its interval."""

from pathlib import Path

from matplotlib.figure import Figure

from mlops.files import atomic_write
from mlops.params import Params
from mlops.review.model_comparison import Comparison
from mlops.undefined import UNDEFINED

_BETTER, _WORSE, _UNSURE = "#2d8659", "#c1121f", "#9aa5b1"


def draw_changes(path: Path, comparisons: list[Comparison], params: Params) -> None:
    """Draw the change of each metric in percent of the base's value; left is better."""
    figure = Figure(figsize=(7.0, 0.6 * len(comparisons) + 1.4), layout="constrained")
    axes = figure.subplots()
    for place, c in enumerate(comparisons):
        if c.regression is None or not c.base or c.ci_low is None or c.ci_high is None:
            continue
        sign = -1 if c.higher_is_better else 1
        low, high = sorted(100 * sign * end / abs(c.base) for end in (c.ci_low, c.ci_high))
        colour = _BETTER if high < 0 else _WORSE if low > 0 else _UNSURE
        axes.plot([low, high], [place, place], color=colour, linewidth=3, solid_capstyle="round")
        axes.plot([100 * c.regression], [place], "o", color=colour)
        limit = params.gate.max_regression.get(c.metric)
        if limit is not None:
            axes.plot([100 * limit] * 2, [place - 0.3, place + 0.3], color="black", linewidth=1)
    axes.axvline(0, color="black", linewidth=1, linestyle=":")
    axes.set_yticks(range(len(comparisons)), [_named(c) for c in comparisons])
    axes.set_ylim(len(comparisons) - 0.4, -0.6)
    axes.set(
        title=f"Change against the base, with {params.evaluate.confidence:.0%} intervals",
        xlabel="better  ←  per cent of the base's value  →  worse   (black: what the gate allows)",
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#e5e9ee")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120, metadata={"Software": None})


def _named(c: Comparison) -> str:
    return f"{c.metric} ({UNDEFINED})" if c.reason or c.base_reason else c.metric
