"""The share of feedback in the data, and the models' metrics on rows of the source.

A client that may request predictions may also send false feedback. So a model that is trained or
tested on feedback is also judged on rows of the source.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlops import paths
from mlops.columns import Schema
from mlops.frames import count_rows, read_rows
from mlops.metric_registry import Metrics
from mlops.metrics import Predictions
from mlops.params import Params
from mlops.pipeline.csv_parsing import parse_csv
from mlops.review.checkouts import Side
from mlops.review.gate import Check, check_floors, check_regressions
from mlops.review.github_markdown import cell, folded, number, table
from mlops.review.model_comparison import Comparison, compare, reasons, scored_by_both


@dataclass(frozen=True)
class FeedbackShare:
    """Rows of feedback among the rows that train and test the model.

    Attributes:
        comparisons: of both models on rows of the source only; empty if there is no such row.
        source_rows: number of those rows.
    """

    train: int
    train_rows: int
    test: int
    test_rows: int
    comparisons: list[Comparison]
    source_rows: int

    def as_json(self) -> dict[str, Any]:
        """Return the counts as in verdict.json."""
        return {k: v for k, v in asdict(self).items() if k != "comparisons"}


def feedback_keys(source: str, schema: Schema) -> pd.Index:
    """Return the keys of the source's feedback partition; empty if it has no such partition."""
    partition = Path(source) / paths.FEEDBACK
    if "://" in source or not partition.is_file():
        return pd.Index([])
    rows, _ = parse_csv(partition.read_bytes(), schema)
    return pd.Index(rows[schema.key.name].to_pandas() if rows is not None else [])


def feedback_share(
    base: Side,
    candidate: Side,
    predicted: list[Predictions],
    params: Params,
    schema: Schema,
    metrics: Metrics,
) -> FeedbackShare | None:
    """Count feedback, and compare the models on rows of the source; None without any feedback.

    Args:
        predicted: predictions of both models for the candidate's test rows.
    """
    key = schema.key.name
    keys = feedback_keys(params.ingest.source, schema)
    train, test = (
        read_rows(path, [key])[key].isin(keys).to_numpy()
        for path in (paths.TRAIN_ROWS, paths.TEST_ROWS)
    )
    if not train.any() and not test.any():
        return None
    parts = [[one.take(~test)] if not test.all() else [] for one in predicted]
    held_out, n_held_out = paths.HELD_OUT_ROWS, count_rows(paths.HELD_OUT_ROWS)
    if n_held_out:
        scored = scored_by_both(base, candidate, held_out, n_held_out)
        for part, one, known in zip(parts, scored, predicted, strict=True):
            actual = scored[-1]["actual"]
            part.append(Predictions(params.task, actual, one["predicted"], known.threshold))
    both = [_joined(part) for part in parts if part]
    compared = compare(both[0], both[1], {}, params, metrics) if both else []
    n_source = len(both[0].actual) if both else 0
    counts = (int(train.sum()), len(train), int(test.sum()), len(test))
    return FeedbackShare(*counts, compared, n_source)


def _joined(parts: list[Predictions]) -> Predictions:
    return replace(
        parts[0],
        actual=np.concatenate([part.actual for part in parts]),
        predicted=np.concatenate([part.predicted for part in parts]),
    )


def check_feedback(found: FeedbackShare | None, params: Params, registry: Metrics) -> list[Check]:
    """Check the share of feedback, and the metrics on rows of the source, by `gate.feedback`."""
    if found is None:
        return []
    limit, outcome = params.gate.feedback.max_share, params.gate.feedback.outcome
    checks = []
    for what, n, rows in (
        ("test", found.test, found.test_rows),
        ("training", found.train, found.train_rows),
    ):
        share = n / rows
        why = f"{n:,} of {rows:,} {what} rows ({share:.0%}) are feedback, allowed are {limit:.0%}"
        name = f"share of feedback among {what} rows"
        checks.append(Check(name, share, limit, outcome if share > limit else "pass", why))
    if not found.comparisons:
        why = "no test row is from the source: only feedback tests this model"
        return [*checks, Check("rows of the source", 0, 1, outcome, why)]
    metrics = {c.metric: c.candidate for c in found.comparisons}
    own = [
        *check_floors(metrics, params, registry, reasons(found.comparisons)),
        *check_regressions(found.comparisons, params),
    ]
    where = f"on {found.source_rows:,} rows of the source"
    return checks + [
        Check(
            f"{check.name} {where}",
            check.value,
            check.limit,
            outcome if check.outcome == "block" else check.outcome,
            f"{where}: {check.why}",
        )
        for check in own
    ]


def feedback_section(found: FeedbackShare | None) -> str:
    """Report the share of feedback, and show the metrics on rows of the source."""
    if found is None:
        return ""
    title = (
        f"Feedback: {found.test:,} of {found.test_rows:,} test rows and {found.train:,} of "
        f"{found.train_rows:,} training rows are from clients of the API"
    )
    if not found.comparisons:
        return folded(title, "No test row is from the source.")
    rows = [
        (cell(c.metric), number(c.base), number(c.candidate), number(c.delta, 3))
        for c in found.comparisons
    ]
    metrics = table(("metric", "base", "candidate", "change"), "lrrr", rows)
    where = f"On {found.source_rows:,} rows of the source, which did not train the candidate:"
    return folded(title, f"{where}\n\n{metrics}")
