"""Adapt params.yaml to other data: change the keys that depend on it, keep all else."""

import datetime
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from ruamel.yaml.comments import CommentedMap
from sklearn.pipeline import Pipeline

from mlops.adopt.guess import Guess
from mlops.adopt.infer_column import follows_ratios
from mlops.adopt.proposal import Proposal
from mlops.columns import Column
from mlops.kinds import Kind
from mlops.metrics import Task
from mlops.params_text import edit_params, on_one_line, quoted

_TEST_SHARE = 0.2
_SLICES = 3
_MANY_ROWS = 5000  # above this, hyper-parameters chosen for few rows are too conservative
_FEW_CHOICES = 12  # at most, of a feature whose slices fit into a table

_OF_TASK: dict[str, dict[str, dict[str, float]]] = {
    # Floors until the test rows are known; `Guess` then computes them.
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


def adapted(
    text: str,
    proposal: Proposal,
    today: datetime.date,
    by_day: bool = True,
    guess: Guess | None = None,
    kinds: Mapping[str, type[Kind]] | None = None,
) -> str:
    """Return the text of params.yaml for the proposed data.

    Args:
        today: the value of `ingest.until` if rows have no time.
        by_day: test on the newest rows, if rows have a time; otherwise on random rows.
        guess: the metrics of a guess on the test rows, once these are known.
        kinds: the chosen one gets the library's hyper-parameters if there are many rows.
    """

    def change(params: Any) -> None:
        _set_time(params, proposal, today, by_day)
        _set_task(params, proposal)
        if kinds and len(proposal.rows) > _MANY_ROWS:
            kind = params["train"]["kind"]
            _take_defaults(params["models"][kind], kinds[kind], proposal.task)
        _set_limits(params, proposal.task, guess)

    return edit_params(text, change)


def _set_task(params: Any, proposal: Proposal) -> None:
    params["task"] = proposal.task
    rows = len(proposal.rows)
    params["validate"]["min_rows"] = min(params["validate"]["min_rows"], max(1, rows // 2))
    target = proposal.of_role("target")
    assert target is not None, "every proposal has one"
    values = proposal.rows[target.name]
    params["train"]["log_target"] = proposal.task == "regression" and follows_ratios(values)
    params["evaluate"]["slices"] = on_one_line(_slices(proposal.columns))


def _set_limits(params: Any, task: Task, guess: Guess | None) -> None:
    wanted, gate = _OF_TASK[task], params["gate"]
    floors = wanted["floors"] if guess is None else guess.floors(task)
    _replace(gate["floors"], floors)
    gate["slices"]["floors"] = CommentedMap()
    gate["slices"]["floors"].fa.set_flow_style()
    undefined = guess.undefined if guess else ()
    kept = {m: limit for m, limit in wanted["max_regression"].items() if m not in undefined}
    _replace(gate["max_regression"], kept)
    _replace(params["monitor"]["max_worse"], wanted["max_worse"])


def _take_defaults(section: Any, kind: type[Kind], task: Task) -> None:
    """Set hyper-parameters, which were chosen for other rows, to the library's defaults.

    Does nothing if the estimator is a Pipeline, or if the kind rejects the defaults.
    """
    estimator = kind(**section).estimator(task, 0)
    if isinstance(estimator, Pipeline):
        return
    own = type(estimator)().get_params()
    found = {name: own[name] for name in section if own.get(name) is not None}
    try:
        kind(**section | found)
    except ValidationError:
        return
    section.update(found)


def _set_time(params: Any, proposal: Proposal, today: datetime.date, by_day: bool) -> None:
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
        if not by_day:
            split["test_from"], split["test_share"] = None, _TEST_SHARE
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
