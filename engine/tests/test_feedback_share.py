"""Feedback in the review: how much of it there is, and what the models do on rows without it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops.intervals import Spread
from mlops.metrics import Predictions
from mlops.monitoring.feedback import write_partition
from mlops.params import Feedback, Params
from mlops.paths import FEEDBACK
from mlops.review import feedback_share as module
from mlops.review.feedback_share import (
    FeedbackShare,
    check_feedback,
    feedback_keys,
    feedback_section,
    feedback_share,
)
from mlops.review.model_comparison import Comparison
from production import PARAMS, sales
from project.schema import SCHEMA
from standard import PRICES
from test_review import commit, edit, git, repository, review, reviewed  # noqa: F401  fixtures

SALES = sales()
SURE = Spread(0.01, 50.0)


def compared(metric: str, worse: float, value: float = 0.09) -> Comparison:
    now = value * (1 + worse)
    return Comparison(metric, None, value, now, now - value, None, None, worse, SURE)


def found(**changes: Any) -> FeedbackShare:
    good = [compared("rmse", 0.0, 20_000.0), compared("mape", 0.0), compared("r2", 0.0, 0.9)]
    known = {"train": 100, "train_rows": 1000, "test": 10, "test_rows": 100, "source_rows": 90}
    return FeedbackShare(**({"comparisons": good} | known | changes))


def with_feedback(**changes: Any) -> Params:
    feedback = Feedback(**(PARAMS.gate.feedback.model_dump() | changes))
    gate = PARAMS.gate.model_copy(update={"feedback": feedback})
    return PARAMS.model_copy(update={"gate": gate})


def outcomes(share: FeedbackShare, **changes: Any) -> dict[str, str]:
    return {c.name: c.outcome for c in check_feedback(share, with_feedback(**changes), PRICES)}


def test_without_feedback_nothing_is_said() -> None:
    assert check_feedback(None, PARAMS, PRICES) == []
    assert feedback_section(None) == ""


@pytest.mark.parametrize("outcome", ["warn", "block"])
@pytest.mark.parametrize(
    ("changes", "at_fault"),
    [
        ({}, set()),
        ({"test": 50}, set()),
        ({"test": 51}, {"share of feedback among test rows"}),
        ({"test": 100, "comparisons": [], "source_rows": 0},
         {"share of feedback among test rows", "rows of the source"}),
        ({"train": 501}, {"share of feedback among training rows"}),
        ({"comparisons": [compared("rmse", 0.3), compared("mape", 0.0), compared("r2", 0, 0.9)]},
         {"regression of rmse on 90 rows of the source"}),
        ({"comparisons": [compared("rmse", 0.0), compared("mape", 0.8), compared("r2", 0, 0.9)]},
         {"regression of mape on 90 rows of the source", "floor of mape on 90 rows of the source"}),
    ],
)  # fmt: skip
def test_too_much_feedback_or_a_worse_model_on_the_sources_rows_shows(
    changes: dict[str, Any], at_fault: set[str], outcome: str
) -> None:
    told = outcomes(found(**changes), outcome=outcome)

    assert {name for name, said in told.items() if said == outcome} == at_fault
    assert set(told.values()) <= {"pass", outcome}
    assert "share of feedback among test rows" in told


@pytest.mark.parametrize(("limit", "outcome"), [(0.0, "warn"), (0.1, "pass"), (1.0, "pass")])
def test_the_limit_is_a_parameter(limit: float, outcome: str) -> None:
    told = outcomes(found(), max_share=limit)

    assert told["share of feedback among test rows"] == outcome
    assert told["share of feedback among training rows"] == outcome


def test_keys_are_those_of_the_sources_partition(tmp_path: Path) -> None:
    assert list(feedback_keys(str(tmp_path), SCHEMA)) == []
    assert list(feedback_keys("s3://bucket/sales", SCHEMA)) == []

    write_partition(str(tmp_path), SALES[:5].astype({"sold_on": "datetime64[us]"}), SCHEMA)

    assert sorted(feedback_keys(str(tmp_path), SCHEMA)) == sorted(SALES["sale_id"][:5])


@pytest.mark.parametrize(
    ("told_of_test", "held_out", "n_source"), [(0, 0, 20), (5, 0, 15), (20, 0, 0), (20, 7, 7)]
)
def test_the_models_are_compared_on_what_no_client_told(
    told_of_test: int, held_out: int, n_source: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        module, "feedback_keys", lambda source, schema: pd.Index(range(told_of_test))
    )
    frames = {
        module.paths.TEST_ROWS: pd.DataFrame({"sale_id": np.arange(20)}),
        module.paths.TRAIN_ROWS: pd.DataFrame({"sale_id": np.arange(-40, 1)}),
    }
    monkeypatch.setattr(module, "read_rows", lambda path, columns: frames[path])
    monkeypatch.setattr(module, "count_rows", lambda path: held_out)
    actual = np.linspace(1, 2, 20)
    scored = {"actual": actual[:held_out], "predicted": actual[:held_out] * 1.1}
    monkeypatch.setattr(module, "scored_by_both", lambda *_: (scored, scored))
    both = [Predictions("regression", actual, actual * 1.2) for _ in range(2)]

    share = feedback_share(None, None, both, PARAMS, SCHEMA, PRICES)  # type: ignore[arg-type]

    if not told_of_test:
        assert share is None
        return
    assert share is not None
    assert (share.test, share.test_rows, share.train, share.train_rows) == (told_of_test, 20, 1, 41)
    assert (share.source_rows, bool(share.comparisons)) == (n_source, n_source > 0)
    assert f"{told_of_test} of 20 test rows and 1 of 41 training rows" in feedback_section(share)


@pytest.mark.slow
@pytest.mark.parametrize("outcome", ["warn", "block"])
def test_a_flood_of_false_feedback_shows_in_the_review(repository: Path, outcome: str) -> None:  # noqa: F811
    git(repository, "checkout", "--quiet", "-b", f"flood-{outcome}")
    for path in (repository / "data/source").glob("2010*.csv"):
        path.unlink()
    days = pd.date_range("2010-01-04", "2010-02-12", periods=120).floor("D")
    rows = SALES[:120].assign(sold_on=days, sale_id=range(10**6, 10**6 + 120))
    write_partition(str(repository / "data/source"), rows.assign(price=rows["price"] * 1.3), SCHEMA)
    edit(
        repository,
        ingest={"until": "2010-02-12"},
        split={"test_from": "2010-01-30", "held_out": ["2009-10-01", "2009-12-31"]},
        train={"level_days": 14},
        gate={"feedback": {"max_share": 0.5, "outcome": outcome}},
    )
    commit(repository, "flood")

    code, report, verdict = review(repository)

    assert (repository / "data/source" / FEEDBACK).exists()
    failed = {c["name"] for c in verdict["checks"] if not c["passed"]}
    assert (code, bool(failed)) == ((1, True) if outcome == "block" else (0, False)), report
    assert verdict["verdict"] == outcome
    counts = verdict["feedback"]
    assert counts["test"] == counts["test_rows"] > 30
    assert counts["source_rows"] > 30
    assert re.search(r"test rows \S*100%\S* are feedback, allowed are 50%", report)
    assert "rows of the source: rmse is" in report
