"""Which predictions moved, how far, and which most."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from classification import SCHEMA as CLASSES
from mlops.metrics import Predictions
from mlops.review.moved_rows import leading_features, moved_rows
from mlops.review.verdict_schema import MovedClasses, MovedNumbers
from mlops.sampling import valid_rows
from project.schema import SCHEMA


def numbers(predicted: list[float], actual: list[float] | None = None) -> Predictions:
    values = actual or [100.0] * len(predicted)
    return Predictions("regression", np.array(values), np.array(predicted))


def test_moves_are_counted_and_the_largest_come_first() -> None:
    test = valid_rows(SCHEMA, 5)
    base = numbers([100.0] * 5)
    candidate = numbers([100.0, 102.0, 90.0, 130.0, 100.5])

    moved = moved_rows(test, base, candidate, SCHEMA, ["size", "gone"])

    assert moved is not None
    assert moved["shares"] == {"0.01": 0.6, "0.05": 0.4, "0.2": 0.2}
    assert (moved["up"], moved["down"]) == (2, 1)
    assert [part["rows"] for part in moved["distribution"]] == [0, 1, 0, 2, 1, 0, 1]
    assert [row["key"] for row in moved["most"]] == [4, 3, 2, 5], "an unmoved row is not listed"
    first = moved["most"][0]
    assert first["features"] == {"size": test["size"][3]}
    assert (first["base"], first["candidate"], first["moved"]) == (100, 130, pytest.approx(0.3))
    assert (first["base_error"], first["candidate_error"]) == (0, 30)


def test_at_most_ten_rows_are_listed_and_all_is_json() -> None:
    test = valid_rows(SCHEMA, 50, missing=0.5)
    names = [column.name for column in SCHEMA.columns]

    moved = moved_rows(test, numbers([1.0] * 50), numbers([2.0] * 50), SCHEMA, names)

    assert moved is not None
    assert len(moved["most"]) == 10
    MovedNumbers.model_validate(json.loads(json.dumps(moved, allow_nan=False)))
    assert isinstance(moved["most"][0]["features"]["sold_on"], str)
    assert None in [value for row in moved["most"] for value in row["features"].values()]


def test_a_prediction_near_nought_does_not_move_endlessly() -> None:
    moved = moved_rows(
        valid_rows(SCHEMA, 2), numbers([0.0, 1e-12]), numbers([0.5, 0.5]), SCHEMA, []
    )

    assert moved is not None
    assert moved["most"][0]["moved"] == pytest.approx(0.5)


def test_predictions_that_are_no_finite_numbers_can_not_be_compared() -> None:
    rows = valid_rows(SCHEMA, 2)

    assert moved_rows(rows, numbers([1.0, np.nan]), numbers([1.0, 1.0]), SCHEMA, []) is None
    assert moved_rows(rows, numbers([1.0, 1.0]), numbers([1.0, np.inf]), SCHEMA, []) is None


def test_equal_predictions_move_nowhere() -> None:
    same = numbers([100.0, 200.0])

    moved = moved_rows(valid_rows(SCHEMA, 2), same, same, SCHEMA, [])

    assert moved is not None
    assert moved["most"] == []
    assert set(moved["shares"].values()) == {0}


def test_classes_flip_at_the_decision_and_each_flip_is_right_or_wrong() -> None:
    n_classes = len(CLASSES.target.choices)
    assert n_classes >= 2

    def proba(first: list[float]) -> np.ndarray:
        rest = np.zeros((len(first), n_classes))
        rest[:, 0], rest[:, 1] = first, 1 - np.array(first)
        return rest

    actual = np.array([0.0, 1.0, 1.0, 0.0])
    base = Predictions("classification", actual, proba([0.6, 0.6, 0.4, 0.9]))
    candidate = Predictions("classification", actual, proba([0.4, 0.1, 0.3, 0.9]))
    first, second = CLASSES.target.choices[:2]

    moved = moved_rows(valid_rows(CLASSES, 4), base, candidate, CLASSES, [])

    assert moved is not None
    assert (moved["flipped"], moved["fixed"], moved["broken"]) == (2, 1, 1)
    assert moved["flips"] == [
        {"from": first, "to": second, "rows": 2, "right_before": 1, "right_now": 1}
    ]
    assert moved["shares"] == {"0.01": 0.75, "0.05": 0.75, "0.2": 0.25}
    assert [row["key"] for row in moved["most"]] == valid_rows(CLASSES, 4)[CLASSES.key.name].iloc[
        [1, 0, 2]
    ].tolist()
    assert moved["most"][0]["candidate_probability"] == pytest.approx(0.9)
    MovedClasses.model_validate(json.loads(json.dumps(moved)))


def test_the_features_that_matter_are_those_of_the_candidates_importance(tmp_path: Path) -> None:
    assert leading_features(tmp_path) == []
    table = pd.DataFrame({"feature": list("abcdef"), "importance": range(6)})
    table.to_csv(tmp_path / "importance.csv", index=False)

    assert leading_features(tmp_path) == ["a", "b", "c", "d"]
