"""What the page shows of the test rows: which ones, in which form, and how far off they were."""

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import classification
from mlops.columns import Column, Derived, Schema
from mlops.frames import read_rows, write_rows
from mlops.metrics import Predictions
from mlops.params import Params
from mlops.pipeline.page_content import (
    EXAMPLES,
    LARGEST,
    LEAST_ROWS,
    describe_page,
    public_rows,
    typical_rows,
)
from mlops.records import PageRecord
from mlops.request import request_model
from mlops.sampling import valid_rows
from project.schema import SCHEMA

EVERY_TYPE = Schema(
    (
        Column("name", "Name of the customer", str, role="key"),
        Column("at", "Time", datetime.datetime, role="time"),
        Column("born", "Day of birth", datetime.date, role="input", nullable=True),
        Column("seen", "Last seen", datetime.datetime, role="input"),
        Column("secret", "A note", str, nullable=True, role="ignore"),
        Column("paid", "Paid", bool, nullable=True),
        Column("many", "Count", int, low=-5, high=5),
        Column("weight", "Weight", float, low=-1e-9, high=1e9, nullable=True),
        Column("plan", "Plan", str, choices=("a", " b ", 'c "<x>')),
        Column("note", "Free text", str, open=True, nullable=True),
        Column("price", "Price", float, low=1, role="target"),
    ),
    derived=(
        Derived("day", "Day of the year", int, "", ("born",), lambda born: born.astype(int)),
        Derived("hour", "Hour", int, "", ("seen",), lambda seen: seen.astype(int)),
    ),
)


NONE = np.zeros(1, dtype=bool)


def described(rows: pd.DataFrame, schema: Schema, **asked: Any) -> PageRecord:
    actual, seen = np.linspace(1, 2, len(rows)), np.ones(len(rows), dtype=bool)
    predictions = Predictions("regression", actual, actual * 1.1)
    return describe_page(rows, predictions, schema, **{"public": seen, "relative": True, **asked})


def test_the_examples_of_a_regression_are_rows_at_quantiles_of_the_prediction() -> None:
    predicted = np.random.default_rng(0).permutation(1200).astype(float)

    places = typical_rows(Predictions("regression", predicted + 1, predicted), EXAMPLES)

    assert predicted[places].tolist() == [100, 300, 500, 700, 900, 1100]


@pytest.mark.parametrize("n_rows", [1, 2, 5])
def test_few_rows_are_each_shown_at_most_once(n_rows: int) -> None:
    same = np.ones(n_rows)
    places = typical_rows(Predictions("regression", same, same), EXAMPLES)
    assert sorted(places) == sorted(set(places))
    assert set(places) <= set(range(n_rows))


@pytest.mark.parametrize("n_classes", [2, 3, 40])
def test_each_class_that_is_decided_for_has_an_example_as_far_as_there_is_room(
    n_classes: int,
) -> None:
    proba = np.random.default_rng(0).dirichlet(np.full(n_classes, 0.3), 400)
    predictions = Predictions("classification", np.zeros(400), proba)

    places = typical_rows(predictions, EXAMPLES)

    assert len(set(places)) == len(places) == EXAMPLES
    shown = predictions.decided[places]
    assert len(set(shown)) == min(n_classes, EXAMPLES)
    assert shown.tolist() == sorted(shown)


def test_the_threshold_decides_which_class_an_example_stands_for() -> None:
    proba = np.column_stack([np.linspace(0, 1, 50), np.linspace(1, 0, 50)])
    predictions = Predictions("classification", np.zeros(50), proba, threshold=0.9)
    rows = valid_rows(classification.SCHEMA, 50)
    schema = Schema(
        tuple(
            c if c.role != "target" else Column("t", "T", str, choices=("no", "yes"), role="target")
            for c in classification.SCHEMA.columns
        )
    )

    found = describe_page(
        rows, predictions, schema, public=np.ones(len(rows), dtype=bool), relative=False
    )

    assert [one["predicted"] for one in found["examples"]] == ["no"] * 3 + ["yes"] * 3
    assert {one["actual"] for one in found["examples"]} == {"no"}


@pytest.mark.parametrize("schema", [EVERY_TYPE, SCHEMA, classification.SCHEMA])
def test_an_example_is_a_valid_request_of_inputs_alone(schema: Schema, tmp_path: Any) -> None:
    write_rows(tmp_path / "rows.parquet", valid_rows(schema, 300, missing=0.3))
    rows, model = read_rows(tmp_path / "rows.parquet"), request_model(schema)
    predicted = np.arange(300.0)
    if schema.target.choices:
        proba = np.random.default_rng(0).dirichlet([1, 1, 1], 300)
        predictions = Predictions("classification", np.zeros(300), proba)
    else:
        predictions = Predictions("regression", predicted, predicted)

    found = describe_page(
        rows, predictions, schema, public=np.ones(len(rows), dtype=bool), relative=False
    )["examples"]

    assert len(found) == EXAMPLES
    places = typical_rows(predictions, EXAMPLES)
    for place, example in zip(places, json.loads(json.dumps(found)), strict=True):
        request = model.model_validate(example["inputs"])
        row = rows.iloc[place]
        for column in schema.inputs:
            given = getattr(request, column.name)
            if column.type is float and given is not None:
                assert given == row[column.name]
        assert example["inputs"].keys() <= {column.name for column in schema.inputs}
        assert not {"name", "secret", "sale_id", "at"} & example["inputs"].keys()


def test_values_have_the_types_of_a_request_and_missing_ones_are_left_out() -> None:
    rows = pd.DataFrame(
        {
            "name": ["Ada Lovelace"],
            "at": pd.to_datetime(["2024-01-01"]),
            "born": pd.to_datetime(["1999-12-31"]),
            "seen": pd.to_datetime(["2024-05-01T10:30:00.250"]),
            "paid": [1.0],
            "many": [-3.0],
            "weight": [np.nan],
            "plan": [" b "],
            "note": [None],
            "secret": ["s"],
        }
    )
    (example,) = described(rows, EVERY_TYPE)["examples"]
    assert example["inputs"] == {
        "born": "1999-12-31",
        "seen": "2024-05-01T10:30:00.250",
        "paid": True,
        "many": -3,
        "plan": " b ",
    }
    assert (example["actual"], example["predicted"]) == (1.0, 1.1)


def test_where_rows_must_not_be_seen_there_is_no_example() -> None:
    found = described(valid_rows(SCHEMA, 200), SCHEMA, public=np.zeros(200, dtype=bool))
    assert found["examples"] == []
    assert found["error_range"] is not None


@pytest.mark.parametrize(("columns", "most"), [(3, EXAMPLES), (45, 4), (200, 0)])
def test_wide_rows_give_fewer_examples_and_never_a_larger_bundle(columns: int, most: int) -> None:
    names = [f"text_{place}" for place in range(columns)]
    schema = Schema(
        (
            Column("id", "Id", int, role="key"),
            *(Column(name, "Text", str, open=True) for name in names),
            Column("price", "Price", role="target"),
        )
    )
    rows = pd.DataFrame({name: ["\N{SNOWMAN}" * 10] * 50 for name in names})
    rows = rows.map(lambda text: text + "x" * 30)

    found = described(rows, schema)["examples"]

    assert len(json.dumps(found)) <= LARGEST
    assert len(found) == most


@pytest.mark.parametrize("kind", [int, str])
def test_feedback_of_users_and_rows_that_must_not_be_seen_are_no_examples(
    kind: type, params: Params, tmp_path: Path
) -> None:
    def in_source(source: Path | str, examples: bool = True) -> list[bool]:
        changed = params.model_copy(
            update={
                "ingest": params.ingest.model_copy(update={"source": str(source)}),
                "review": params.review.model_copy(update={"examples": examples}),
            }
        )
        return public_rows(keys, changed).tolist()

    keys = pd.Series([5, 17, 23], name="sale_id").astype(kind)
    assert in_source(tmp_path) == [True, True, True]
    (tmp_path / "feedback.csv").write_text("size,sale_id\n900,17\n,99\n", encoding="utf-8")
    assert in_source(tmp_path) == [True, False, True]
    assert in_source(tmp_path, examples=False) == [False, False, False]
    assert in_source("s3://bucket/rows") == [True, True, True]


def test_only_rows_that_anyone_may_see_are_examples() -> None:
    rows = valid_rows(SCHEMA, 200)
    public = np.zeros(200, dtype=bool)
    public[[3, 150]] = True

    found = described(rows, SCHEMA, public=public)["examples"]

    assert [one["inputs"]["size"] for one in found] == rows["size"][public].tolist()
    assert [one["actual"] for one in found] == pytest.approx(np.linspace(1, 2, 200)[public])


def test_nine_of_ten_rows_lie_within_the_range_of_errors() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.uniform(100, 900, 2000)
    factors = predicted * rng.lognormal(0, 0.1, 2000)
    added = predicted + rng.normal(0, 20, 2000)
    rows = valid_rows(SCHEMA, 1)

    def found(actual: Any, relative: bool) -> Any:
        predictions = Predictions("regression", actual, predicted)
        return describe_page(rows, predictions, SCHEMA, public=NONE, relative=relative)

    share, plain = found(factors, True)["error_range"], found(added, False)["error_range"]
    assert (share["low"], share["high"]) == pytest.approx((0.85, 1.18), abs=0.02)
    assert (plain["low"], plain["high"]) == pytest.approx((-33, 33), abs=3)
    off = factors / predicted
    assert ((off >= share["low"]) & (off <= share["high"])).mean() == pytest.approx(0.9, abs=0.002)


@pytest.mark.parametrize(
    "predictions",
    [
        Predictions("regression", np.ones(LEAST_ROWS - 1), np.ones(LEAST_ROWS - 1)),
        Predictions("regression", np.ones(500), np.linspace(-1, 1, 500)),
        Predictions("regression", np.full(500, 1e308), np.full(500, 1e-308)),
        Predictions("classification", np.zeros(500), np.full((500, 2), 0.5)),
    ],
    ids=["too few rows", "shares of nothing", "no finite number", "a classification"],
)
def test_there_is_no_range_where_it_would_mean_nothing(predictions: Predictions) -> None:
    found = describe_page(valid_rows(SCHEMA, 1), predictions, SCHEMA, public=NONE, relative=True)
    assert found["error_range"] is None
