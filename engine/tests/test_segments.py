"""Segments: found on one half of the rows, confirmed on the other, and told in a sentence."""

import numpy as np
import pandas as pd

from github_markdown import powers
from hostile_markdown import SPELLINGS
from mlops.columns import Column, Schema
from mlops.metrics import Predictions
from mlops.review.segments import Segment, find_segments, segments_section

SCHEMA = Schema(
    (
        Column("id", "", int, role="key"),
        Column("year", "", int, "", 1900, 2030, nullable=True),
        Column("lot", "", float, "", 0, 1e6, nullable=True),
        Column("kind", "", str, choices=("house", "flat"), nullable=True),
        Column("price", "", float, role="target"),
    )
)
N, RATE = 4000, 0.01


def drawn(seed: int = 0) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """Give rows, what happened, and two models that differ by chance alone."""
    rng = np.random.default_rng(seed)
    test = pd.DataFrame(
        {
            "year": rng.integers(1950, 2020, N).astype(float),
            "lot": np.where(rng.random(N) < 0.3, np.nan, rng.uniform(1, 10, N)),
            "kind": rng.choice(np.array(["house", "flat", None], dtype=object), N),
        }
    )
    actual = np.exp(rng.normal(5, 0.3, N))
    sides = (actual * np.exp(rng.normal(0, 0.1, N)) for _ in range(2))
    return (test, actual, *sides)


def found(worse: np.ndarray | None = None, by: float = 1.0, seed: int = 0) -> list[Segment]:
    test, actual, base, candidate = drawn(seed)
    if worse is not None:
        candidate = np.where(worse, actual + (candidate - actual) * (1 + by), candidate)
    sides = (Predictions("regression", actual, side) for side in (base, candidate))
    return find_segments(*sides, test, SCHEMA, RATE)


def test_two_conditions_are_found_together_and_told_in_a_sentence() -> None:
    test, *_ = drawn()
    members = ((test["year"] >= 2000) & test["lot"].isna()).to_numpy()

    segment = next(one for one in found(members) if one.change > 0)

    assert "lot is missing" in segment.where
    assert "year ≥ " in segment.where
    assert " and " in segment.where
    assert segment.sentence().startswith("mae is ")
    assert "% worse where " in segment.sentence()
    assert segment.sentence().endswith(f"{segment.rows:,} rows")


def test_one_condition_is_told_as_one() -> None:
    test, *_ = drawn()

    segment = found((test["kind"] == "flat").to_numpy())[0]

    assert segment.where == "kind is flat"
    assert 0.7 < segment.change < 1.4


def test_a_segment_that_got_better_is_found_too() -> None:
    test, *_ = drawn()

    segment = found((test["kind"] == "flat").to_numpy(), by=-0.6)[0]

    assert (segment.where, segment.change < 0) == ("kind is flat", True)
    assert "% better where " in segment.sentence()


def test_models_that_differ_by_chance_have_no_segment() -> None:
    assert sum(bool(found(seed=seed)) for seed in range(10)) == 0


def test_a_change_that_is_the_same_everywhere_is_no_segment() -> None:
    assert sum(bool(found(np.ones(N, dtype=bool), seed=seed)) for seed in range(10)) == 0


def test_the_same_model_twice_a_model_without_error_and_few_rows_have_none() -> None:
    test, actual, base, _ = drawn()
    same, exact = (Predictions("regression", actual, side) for side in (base, actual))
    few = np.arange(N) < 50

    assert find_segments(same, same, test, SCHEMA, RATE) == []
    assert find_segments(exact, same, test, SCHEMA, RATE) == []
    assert find_segments(same.take(few), same.take(few), test[few], SCHEMA, RATE) == []


def test_predictions_that_are_no_numbers_have_none() -> None:
    test, actual, base, candidate = drawn()
    candidate[0] = np.nan
    sides = (Predictions("regression", actual, side) for side in (base, candidate))

    assert find_segments(*sides, test, SCHEMA, RATE) == []


def test_segments_of_classes_are_told_by_log_loss() -> None:
    test, *_ = drawn()
    rng = np.random.default_rng(0)
    actual = (rng.random(N) < 0.3).astype(float)
    odds = np.where(actual > 0, 1.0, -1.0) + rng.normal(0, 0.5, N)
    worse = np.where(test["kind"] == "flat", -odds, odds)
    sides = []
    for one in (odds, worse):
        positive = 1 / (1 + np.exp(-one))
        proba = np.column_stack([1 - positive, positive])
        sides.append(Predictions("classification", actual, proba))

    segment = find_segments(*sides, test, SCHEMA, RATE)[0]

    assert (segment.metric, segment.where) == ("log_loss", "kind is flat")


def test_hostile_names_stay_text_and_short() -> None:
    for text in (text for spelled in SPELLINGS.values() for text in spelled):
        assert powers(segments_section([Segment(text, 9, "mae", 0.2, 0.001)])) == set(), text

    assert len(segments_section([Segment("x" * 10**6, 9, "mae", 0.2, 0.001)])) < 2000
    assert segments_section([]) == ""
