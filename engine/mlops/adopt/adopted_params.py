"""params.yaml for other data: the keys that depend on the data, every comment and all else kept."""

import datetime
from typing import Any

import numpy as np
from ruamel.yaml.comments import CommentedMap

from mlops.adopt.infer_column import follows_ratios
from mlops.adopt.proposal import Proposal
from mlops.columns import Column
from mlops.params_text import edit_params, on_one_line, quoted

_TEST_SHARE = 0.2
_SLICES = 3
_FEW_CHOICES = 12  # of a feature whose slices fit into a table

_OF_TASK: dict[str, dict[str, dict[str, float]]] = {
    # Floors that a guess reaches: what the model reaches is known after the first run.
    "regression": {
        "floors": {"r2": 0.0},
        "max_regression": {"rmse": 0.05, "mae": 0.05},
        "max_worse": {"rmse": 0.5, "mae": 0.25},
    },
    "classification": {
        "floors": {"roc_auc": 0.5},
        "max_regression": {"log_loss": 0.05, "roc_auc": 0.02},
        "max_worse": {"log_loss": 0.5, "brier": 0.5},
    },
}


def adapted(text: str, proposal: Proposal, today: datetime.date) -> str:
    """Give the text of params.yaml for the proposed data.

    Args:
        today: stands as `ingest.until` where rows have no time.
    """
    return edit_params(text, lambda params: _change(params, proposal, today))


def _change(params: Any, proposal: Proposal, today: datetime.date) -> None:
    params["task"] = proposal.task
    _set_time(params, proposal, today)
    rows = len(proposal.rows)
    params["validate"]["min_rows"] = min(params["validate"]["min_rows"], max(1, rows // 2))
    target = proposal.of_role("target")
    assert target is not None, "every proposal has one"
    values = proposal.rows[target.name]
    params["train"]["log_target"] = proposal.task == "regression" and follows_ratios(values)
    params["evaluate"]["slices"] = on_one_line(_slices(proposal.columns))
    wanted = _OF_TASK[proposal.task]
    gate = params["gate"]
    _replace(gate["floors"], wanted["floors"] | _guess(proposal))
    gate["slices"]["floors"] = CommentedMap()
    gate["slices"]["floors"].fa.set_flow_style()
    _replace(gate["max_regression"], wanted["max_regression"])
    _replace(params["monitor"]["max_worse"], wanted["max_worse"])


def _guess(proposal: Proposal) -> dict[str, float]:
    """Give the log loss of telling each class's share to every row: what a model must beat."""
    target = proposal.of_role("target")
    assert target is not None, "every proposal has one"
    if proposal.task == "regression":
        return {}  # R² of 0 is that of the mean
    shares = proposal.rows[target.name].value_counts(normalize=True)
    return {"log_loss": float(f"{-(shares * np.log(shares)).sum():.4g}")}


def _set_time(params: Any, proposal: Proposal, today: datetime.date) -> None:
    time, split = proposal.of_role("time"), params["split"]
    if time is None:
        params["ingest"]["until"] = quoted(today)
        split["test_from"], split["test_share"] = None, _TEST_SHARE
    else:
        days = proposal.rows[time.name].sort_values()
        newest = days.iloc[-1].date()
        params["ingest"]["until"] = quoted(newest)
        test_from = days.iloc[int(len(days) * (1 - _TEST_SHARE))]
        split["test_from"], split["test_share"] = quoted(test_from.date()), None
        gap = int(days.diff().max().days)
        for section, key in (("ingest", "max_gap_days"), ("validate", "max_age_days")):
            params[section][key] = max(params[section][key], 2 * gap)
        params["validate"]["window_days"] = max(params["validate"]["window_days"], 4 * gap)
    if time is None or proposal.task == "classification":
        params["monitor"]["retrain"]["level_days"] = None


def _slices(columns: tuple[Column, ...]) -> list[str]:
    features = [column for column in columns if column.role == "feature"]
    few = [c.name for c in features if 0 < len(c.choices) <= _FEW_CHOICES]
    numbers = [c.name for c in features if not c.is_categorical]
    return [*few[: _SLICES - 1], *numbers[:1]] or [features[0].name]


def _replace(section: Any, values: dict[str, float]) -> None:
    for name in list(section):
        if name not in values:
            del section[name]
    section.update(values)
