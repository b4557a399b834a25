"""The effect of a flood of false feedback on the model, and the review's response to it.

The demo's source ends with 2009; until 12 February 2010 clients report the prices of sold houses.
Honest clients report true prices; additional rows are fabricated from real houses, with a multiple
of their price. The model is then retrained as by `make retrain`, and reviewed against the base.

Usage: python engine/benchmarks/feedback_flood.py
"""

import datetime
import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

import bench_paths  # noqa: F401
from mlops.frames import as_frame
from mlops.metrics import Predictions
from mlops.monitoring.retrain import is_better
from mlops.params import Params
from mlops.pipeline.model import build_model, fit_model, predict, rescale_to_recent_level
from mlops.pipeline.partitions import read_partitions
from mlops.pipeline.splitting import is_held_out, is_test
from mlops.project import load_kinds, load_metrics, load_project_params, load_schema
from mlops.review.feedback_share import FeedbackShare, check_feedback
from mlops.review.gate import check_floors, check_regressions, verdict
from mlops.review.model_comparison import Comparison, compare

SOURCE, UNTIL = pd.Timestamp("2009-12-31"), pd.Timestamp("2010-02-12")
FALSE_ROWS, FACTORS, LEVELS = (0, 15, 30, 60, 120, 500), (1.1, 1.3), (None, 14)
SCHEMA = load_schema()
METRICS = load_metrics(SCHEMA)
MADE_UP = 10**7  # the first key of fabricated rows


@dataclass(frozen=True)
class Flood:
    """One retraining: the number of fabricated rows, the price factor, `train.level_days`."""

    n: int
    factor: float
    level: int | None


def rows_with(flood: Flood, sales: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the source's rows with all feedback, and a mask of the feedback rows."""
    random = np.random.default_rng(0)
    known = sales[sales["sold_on"] <= UNTIL]
    made_up = sales[sales["sold_on"] <= SOURCE].sample(flood.n, random_state=0)
    days = SOURCE + pd.to_timedelta(random.integers(1, (UNTIL - SOURCE).days + 1, flood.n), "D")
    made_up = made_up.assign(
        sold_on=days,
        price=made_up["price"] * flood.factor,
        sale_id=range(MADE_UP, MADE_UP + flood.n),
    )
    rows = pd.concat([known, made_up], ignore_index=True)
    return rows, (rows["sold_on"] > SOURCE).to_numpy()


def trained(rows: pd.DataFrame, params: Params, level: int | None) -> Pipeline:
    """Fit a model as the stage train does."""
    kind = load_kinds()[params.train.kind].model_validate(params.models[params.train.kind])
    model = fit_model(build_model(kind, params.train, SCHEMA), rows, SCHEMA.target)
    if level is None:
        return model
    levelled = rescale_to_recent_level(rows, model, level, SCHEMA)
    return fit_model(build_model(kind, params.train, SCHEMA), levelled, SCHEMA.target)


def compared(
    base: Pipeline, candidate: Pipeline, rows: pd.DataFrame, params: Params
) -> list[Comparison]:
    """Compare two models on rows."""
    actual = rows[SCHEMA.target.name].to_numpy(dtype="float64")
    both = [
        Predictions(params.task, actual, predict(one, rows, SCHEMA.target))
        for one in (base, candidate)
    ]
    return compare(*both, {}, params, METRICS)


def told(flood: Flood, sales: pd.DataFrame, base: Pipeline, params: Params) -> list[str]:
    """Retrain with a flood, review it, and return the cells of a line of the table."""
    rows, feedback = rows_with(flood, sales)
    test, held_out = parted(rows, params)
    train = ~test & ~held_out
    candidate = trained(rows[train], params, flood.level)
    found = compared(base, candidate, rows[test], params)
    metrics = {c.metric: c.candidate for c in found}
    alone = [*check_floors(metrics, params, METRICS), *check_regressions(found, params)]
    source = held_out | (test & ~feedback)
    share = FeedbackShare(
        *(int(n) for n in ((train & feedback).sum(), train.sum())),
        *(int(n) for n in ((test & feedback).sum(), test.sum())),
        compared(base, candidate, rows[source], params),
        int(source.sum()),
    )
    worse = next(c.regression for c in share.comparisons if c.metric == "mape")
    later = sales[sales["sold_on"] > UNTIL]
    honest = trained(rows[train & (rows["sale_id"] < MADE_UP).to_numpy()], params, flood.level)
    moved = predict(candidate, later, SCHEMA.target) / predict(honest, later, SCHEMA.target) - 1
    mape = next(c for c in compared(honest, candidate, later, params) if c.metric == "mape")
    return [
        str(flood.n),
        f"x {flood.factor:g}",
        str(flood.level or "null"),
        f"{share.train / share.train_rows:.0%}, {share.test / share.test_rows:.0%}",
        "yes" if is_better(found, params) else "no",
        verdict(alone),
        verdict([*alone, *check_feedback(share, params, METRICS)]),
        f"{worse:+.0%}",
        f"{np.median(moved):+.1%}",
        f"{mape.candidate:.1%}",
    ]


def parted(rows: pd.DataFrame, params: Params) -> tuple[np.ndarray, np.ndarray]:
    """Return masks of the test rows and the held-out rows, as a retraining splits them."""
    window = datetime.timedelta(days=params.monitor.retrain.test_days - 1)
    days = {
        "test_from": (UNTIL - window).date(),
        "held_out": [(SOURCE - window).date(), SOURCE.date()],
    }
    split = params.split.model_copy(update=days)
    return is_test(rows, split, SCHEMA), is_held_out(rows, split, SCHEMA)


def main() -> None:
    params = load_project_params(with_models=True)
    sales = as_frame(read_partitions(params.ingest.source, SCHEMA))[SCHEMA.names]
    base = trained(sales[sales["sold_on"] < "2009-01-01"], params, None)
    print(
        "| made-up rows | price | `level_days` | feedback in training, test rows | proposed | gate "
        "on feedback alone | gate with the source's rows | mape there | later predictions move by "
        "| their mape |\n|---:|---|---|---|---|---|---|---:|---:|---:|"
    )
    for n, factor, level in itertools.product(FALSE_ROWS, FACTORS, LEVELS):
        if n or factor == FACTORS[0]:
            cells = told(Flood(n, factor, level), sales, base, params)
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
