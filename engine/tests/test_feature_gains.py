"""What a few lines of src/project/features.py are worth, on tables whose times matter."""

import datetime
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fitted import chosen
from mlops.columns import Column, Schema
from mlops.frames import with_derived
from mlops.inference.derived_engine import with_features
from mlops.inference.engine import Exported
from mlops.metrics import Predictions
from mlops.params import Params
from mlops.pipeline.equivalence import LIMITS, edge_rows, largest_error
from mlops.pipeline.exporter import export_form
from mlops.pipeline.model import build_model, fit_model, predict
from standard import score

HEAD = "from typing import Any\nfrom mlops.columns import Derived\n"
OF_ORDERS = """
def hour(ordered: Any) -> Any:
    return ordered.astype("datetime64[h]").astype(int) % 24
def weekday(ordered: Any) -> Any:
    return (ordered.astype("datetime64[D]").astype(int) + 3) % 7
FEATURES = (Derived("hour", "Hour of the order", int, "", ("ordered",), hour),
            Derived("weekday", "Day of the week", int, "", ("ordered",), weekday))
"""
OF_DAYS = """
def weekday(day: Any) -> Any:
    return (day.astype("datetime64[D]").astype(int) + 3) % 7
def month(day: Any) -> Any:
    return day.astype("datetime64[M]").astype(int) % 12 + 1
FEATURES = (Derived("weekday", "Day of the week", int, "", ("day",), weekday),
            Derived("month", "Month", int, "", ("day",), month))
"""

ORDERS = Schema(
    (
        Column("id", "Order", int, role="key"),
        Column("ordered", "When", datetime.datetime, role="time"),
        Column("weight", "Weight", float, "kg", 0, 100),
        Column("minutes", "Minutes until delivery", float, "minutes", low=1, role="target"),
    ),
    timezone="Europe/Berlin",
)
DEMAND = Schema(
    (
        Column("id", "Row", int, role="key"),
        Column("day", "Day", datetime.date, role="time"),
        Column("kind", "Kind", str, choices=("bread", "cake")),
        Column("sold", "Pieces sold", float, "pieces", low=1, role="target"),
    )
)


def orders(rng: np.random.Generator) -> pd.DataFrame:
    """Orders of a year, with rush hours and slow Sundays as Berlin's clocks show them."""
    n_rows = 4_000
    utc = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.sort(rng.uniform(0, 366, n_rows)), "D")
    when = pd.Series(utc).dt.tz_localize("UTC").dt.tz_convert(ORDERS.timezone).dt.tz_localize(None)
    rush = np.exp(-(((when.dt.hour.to_numpy()[:, None] - [8, 18]) / 1.5) ** 2) / 2).max(axis=1)
    weight = rng.uniform(0, 100, n_rows)
    level = 3 + 1.2 * rush + 0.5 * (when.dt.day_of_week == 6) + 0.006 * weight
    minutes = np.exp(level + rng.normal(0, 0.15, n_rows))
    when = when.astype("datetime64[us]")
    return pd.DataFrame(
        {"id": np.arange(1, n_rows + 1), "ordered": when, "weight": weight, "minutes": minutes}
    )


def demand(rng: np.random.Generator) -> pd.DataFrame:
    days = pd.date_range("2021-01-01", "2024-12-31").to_series(index=None).repeat(2)
    days = days.reset_index(drop=True).astype("datetime64[us]")
    kind = pd.Series(["bread", "cake"] * (len(days) // 2), dtype="str")
    level = (
        4
        + 0.4 * (days.dt.day_of_week >= 5)
        + 0.3 * np.sin(days.dt.month / 2)
        - (kind == "cake") * 0.3
    )
    sold = np.exp(level + rng.normal(0, 0.25, len(days)))
    return pd.DataFrame(
        {"id": np.arange(1, len(days) + 1), "day": days, "kind": kind, "sold": sold}
    )


def r2(rows: pd.DataFrame, schema: Schema, params: Params) -> float:
    """Train on the first three quarters, test on the rest, and hold the exported form to it."""
    rows, cut = with_derived(rows, schema), len(rows) * 3 // 4
    own, train = chosen(params, "hist_gradient_boosting")
    model = fit_model(build_model(own, train, schema), rows[:cut], schema.target)
    form = export_form(model, schema)
    engine = with_features(Exported(form.content, form.files), schema)
    hard = edge_rows(form.thresholds, schema, 500)
    assert largest_error(engine, model, hard, schema) <= LIMITS["regression"]
    predicted, test = predict(model, rows[cut:], schema.target), rows[cut:][schema.target.name]
    return score(Predictions("regression", test.to_numpy(float), predicted))["r2"]


@pytest.mark.parametrize(
    ("made", "schema", "lines", "floor", "gain"),
    [(orders, ORDERS, OF_ORDERS, 0.80, 0.5), (demand, DEMAND, OF_DAYS, 0.45, 0.1)],
)
def test_six_lines_of_features_are_worth_more_than_all_else(
    made: Any, schema: Schema, lines: str, floor: float, gain: float, params: Params
) -> None:
    rows, module = made(np.random.default_rng(0)), dict[str, Any]()
    exec(HEAD + lines, module)
    assert len(lines.strip().splitlines()) <= 6

    plain = r2(rows, schema, params)
    derived = r2(rows, replace(schema, derived=module["FEATURES"]), params)

    assert derived >= floor
    assert derived >= plain + gain
