"""Derive one verdict from drift, performance and refusals, with its reasons as messages."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mlops.columns import Schema
from mlops.decision_rule import decided_choices
from mlops.metric_registry import Metrics
from mlops.metrics import Predictions
from mlops.monitoring.drift import Change, changes
from mlops.monitoring.log_reader import Window
from mlops.monitoring.logged_rows import ACTUAL, AT, PREDICTED
from mlops.monitoring.new_texts import note_new_texts
from mlops.monitoring.performance import Performance, performance
from mlops.monitoring.reasons import Cause, Reason, Verdict, find_reasons
from mlops.params import Params
from mlops.records import Manifest

COMMON = 0.05
"""Share of the predictions from which on a slice without feedback is reported."""


@dataclass(frozen=True)
class Decision:
    """The content of a report.

    Attributes:
        notes: messages about checks that were not possible, and about inconsistencies.
    """

    reasons: list[Reason]
    notes: list[str]
    model_version: str
    rows: int
    total: int
    labelled: int
    since: float | None
    changes: list[Change] = field(default_factory=list)
    performance: list[Performance] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """The worst of the reasons' verdicts."""
        verdicts = {reason.verdict for reason in self.reasons}
        return "act" if "act" in verdicts else "watch" if "watch" in verdicts else "ok"

    @property
    def causes(self) -> set[Cause]:
        """The causes of the reasons with verdict "act"."""
        return {reason.cause for reason in self.reasons if reason.verdict == "act"}

    @property
    def retrain(self) -> bool:
        """Whether to retrain: never on wrong data, whose errors the model would learn."""
        return self.causes == {"model"}


def decide(
    window: Window,
    manifest: Manifest,
    reference: dict[str, Any],
    schema: Schema,
    params: Params,
    metrics: Metrics,
) -> Decision:
    """Compare a window with the reference of the served model, which `manifest` describes."""
    version, threshold = manifest["model_version"], manifest.get("threshold")
    monitor = params.monitor
    notes = list(window.oddities)
    found: list[Change] = []
    kept: list[Performance] = []
    if len(window.rows) >= monitor.min_rows:
        found = changes(window.rows, _said(window.rows, threshold), reference, schema, monitor)
        notes += note_new_texts(window.rows, reference, schema)
    else:
        notes.append(
            f"Drift was not judged: {len(window.rows)} prediction(s) in the last "
            f"{monitor.max_age_days:g} days, wanted monitor.min_rows = {monitor.min_rows}"
        )
    if len(window.labelled) >= monitor.min_rows:
        predictions = _predictions(window.labelled, schema, params, threshold)
        kept = performance(window.labelled, predictions, reference, schema, params, metrics)
        notes += _one_sided(window, schema, params)
    else:
        notes.append(
            f"Accuracy was not judged: {len(window.labelled)} prediction(s) of model {version} "
            f"have feedback, wanted monitor.min_rows = {monitor.min_rows}"
        )
    return Decision(
        reasons=find_reasons(window, found, kept, schema, params),
        notes=notes,
        model_version=version,
        rows=len(window.rows),
        total=window.total,
        labelled=len(window.labelled),
        since=float(window.rows[AT].min()) if len(window.rows) else None,
        changes=found,
        performance=kept,
        refusals=window.refusals,
    )


def _said(rows: pd.DataFrame, threshold: float | None) -> pd.Series:
    """Return predictions as one column: numbers, or the choices that were decided for."""
    if isinstance(rows[PREDICTED].iloc[0], dict):
        return pd.Series(decided_choices(list(rows[PREDICTED]), threshold), index=rows.index)
    return rows[PREDICTED].astype("float64")


def _predictions(
    labelled: pd.DataFrame, schema: Schema, params: Params, threshold: float | None
) -> Predictions:
    choices = list(schema.target.choices)
    if not choices:
        actual, predicted = (labelled[name].to_numpy(np.float64) for name in (ACTUAL, PREDICTED))
        return Predictions(params.task, actual, predicted)
    places = np.array([choices.index(actual) for actual in labelled[ACTUAL]], dtype=np.float64)
    shares = [[row[choice] for choice in choices] for row in labelled[PREDICTED]]
    return Predictions(params.task, places, np.asarray(shares, dtype=np.float64), threshold)


def _one_sided(window: Window, schema: Schema, params: Params) -> list[str]:
    """List common slices without feedback: their accuracy is unknown."""
    notes = []
    categories = {one.name for one in schema.features if one.is_categorical}
    for name in params.evaluate.slices:
        if name not in categories or not len(window.rows):
            continue
        shares = window.rows[name].value_counts(normalize=True)
        common = shares.index[shares >= COMMON]
        silent = [str(choice) for choice in common if not (window.labelled[name] == choice).any()]
        if silent:
            notes.append(f"No feedback for {name} {', '.join(silent)}: accuracy is unknown")
    return notes
