"""Derived features: the same value in training and in every way of serving."""

import datetime
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops.columns import Column, Derived, Schema
from mlops.derived import as_array, derive
from mlops.errors import UserError
from mlops.frames import with_derived
from mlops.inference.derived_engine import WithFeatures
from mlops.pipeline.equivalence import as_columns, as_requests, columns_of
from mlops.pipeline.feature_check import check_features, derived_values
from mlops.sampling import valid_rows
from orders import COLUMNS, FEATURES, SCHEMA


class Recorded:
    """An engine that keeps what it is asked."""

    def predict_columns(self, columns: Any) -> Any:
        self.columns = columns
        return np.zeros(1)


def plain(values: Any) -> list[Any]:
    return [None if value is None or value != value else value for value in values]


def test_training_and_every_way_of_serving_get_the_same_bits() -> None:
    rows = valid_rows(SCHEMA, 100_000, missing=0.1)
    trained = with_derived(rows, SCHEMA)
    recorded = Recorded()
    engine = WithFeatures(recorded, SCHEMA)
    requests = as_requests(rows, SCHEMA)

    engine.predict_columns(columns_of(requests))
    batch = recorded.columns
    alone: dict[str, list[Any]] = {feature.name: [] for feature in FEATURES}
    for row in requests[:5_000]:
        engine.predict_columns(columns_of([row]))
        for name, values in alone.items():
            values.append(recorded.columns[name][0])
    few: dict[str, list[Any]] = {feature.name: [] for feature in FEATURES}
    for start in range(0, 5_000, 7):
        engine.predict_columns(columns_of(requests[start : start + 7]))
        for name, values in few.items():
            values.extend(recorded.columns[name])
    engine.predict_columns(as_columns(rows, SCHEMA))

    for feature in FEATURES:
        wanted = plain(trained[feature.name])
        assert sum(value is not None for value in wanted) > 1_000, feature.name
        assert plain(batch[feature.name]) == wanted, feature.name
        assert plain(alone[feature.name]) == wanted[:5_000], feature.name
        assert plain(few[feature.name])[:5_000] == wanted[:5_000], feature.name
        assert plain(recorded.columns[feature.name]) == wanted, feature.name


def test_a_row_without_a_needed_value_has_none_and_infinity_is_none() -> None:
    given = {"weight": np.array([1.0, np.nan, 3.0]), "pieces": np.array([2.0, 1.0, 0.0])}
    schema = Schema(COLUMNS, derived=FEATURES[3:5])

    found = derive(given, schema)

    assert plain(found["each"]) == [0.5, None, None]
    assert plain(found["log_each"]) == [np.log(0.5), None, None]


def test_a_missing_value_is_missing_even_where_the_function_would_give_one() -> None:
    feature = Derived("heavy", "Heavy", float, "", ("weight",), lambda w: np.where(w > 2, 1.0, 0.0))
    schema = Schema(COLUMNS, derived=(feature,))

    found = derive({"weight": np.array([1.0, np.nan, 3.0])}, schema)

    assert plain(found["heavy"]) == [0.0, None, 1.0]


def test_a_feature_that_takes_missing_values_is_called_for_all_rows() -> None:
    found = derive({"note": ["a", None]}, Schema(COLUMNS, derived=FEATURES[-1:]))
    assert found["noted"].tolist() == [1.0, 0.0]


def changing(values: Any) -> Any:
    values += 1
    return values


CALLS: list[int] = []


def counted(values: Any) -> Any:
    CALLS.append(1)
    return values + len(CALLS)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda w: 1 / 0, "fails: ZeroDivisionError"),
        (lambda w: w[:1], "wanted one value per row"),
        (lambda w: w.mean(), "wanted one value per row"),
        (lambda w: w.reshape(-1, 1), "wanted one value per row"),
        (lambda w: np.array(["a"] * len(w)), "wanted numbers"),
        (lambda w: w.astype("datetime64[us]"), "wanted numbers"),
        (lambda w: None, "wanted one value per row"),
        (changing, "read-only"),
    ],
)
def test_a_function_that_gives_no_value_for_each_row_is_named(make: Any, told: str) -> None:
    feature = Derived("odd", "Odd", float, "", ("weight",), make)
    with pytest.raises(UserError, match=f"feature 'odd': .*{told}"):
        derive({"weight": np.arange(5.0)}, Schema(COLUMNS, derived=(feature,)))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("weight", [1.0, None]),
        ("weight", np.array([1.0, np.nan])),
        ("express", [True, False]),
        ("express", [True, None]),
        ("since", [datetime.date(2024, 2, 29), None]),
        ("note", ["a", None]),
        ("each", [4.0, 6.0]),
    ],
)
@pytest.mark.parametrize("takes_missing", [False, True])
def test_no_function_may_write_to_what_it_is_given(
    name: str, values: Any, takes_missing: bool
) -> None:
    def writing(given: Any) -> Any:
        given[:1] = given[:1]
        return np.zeros(len(given))

    odd = Derived("odd", "Odd", float, "", (name,), writing, takes_missing=takes_missing)
    columns = {name: values} | ({"weight": values, "pieces": [2, 2]} if name == "each" else {})

    with pytest.raises(UserError, match=r"feature 'odd': .*read-only"):
        derive(columns, Schema(COLUMNS, derived=(FEATURES[3], odd) if name == "each" else (odd,)))


OTHER_ROWS: dict[str, Callable[..., Any]] = {
    "mean": lambda w: w - w.mean(),
    "scaled": lambda w: (w - w.min()) / (w.max() - w.min()),
    "median": lambda w: w > np.median(w),
    "rank": lambda w: w.argsort().argsort(),
    "previous row": lambda w: np.roll(w, 1),
    "next row": lambda w: np.append(w[1:], 0),
    "difference": lambda w: np.diff(w, prepend=0),
    "running sum": np.cumsum,
    "first row": lambda w: w - w[0],
    "last row": lambda w: w - w[-1],
    "number of rows": lambda w: w / len(w),
    "position": lambda w: np.arange(len(w)),
    "sorted": np.sort,
    "quantile": lambda w: np.searchsorted(np.quantile(w, [0.25, 0.5, 0.75]), w),
    "count of equals": lambda w: np.array([(w == x).sum() for x in w]),
    "frame": lambda w: pd.Series(w).rolling(3, min_periods=1).mean().to_numpy(),
    "chance": lambda w: w + np.random.default_rng().random(len(w)),
    "earlier calls": counted,
}


@pytest.mark.parametrize("kind", OTHER_ROWS)
def test_a_feature_that_looks_at_other_rows_is_refused_before_training(kind: str) -> None:
    rows = valid_rows(SCHEMA, 300, missing=0.0)
    feature = Derived("peeking", "Peeking", float, "", ("weight",), OTHER_ROWS[kind])
    with pytest.raises(UserError, match="'peeking': a row has another value"):
        check_features(rows, Schema(COLUMNS, derived=(feature,)))


def test_a_feature_of_its_own_row_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    check_features(valid_rows(SCHEMA, 2_000, missing=0.2), SCHEMA)


def test_a_feature_that_another_process_gives_another_value_is_refused() -> None:
    def elsewhere(rows: pd.DataFrame) -> Any:
        return derived_values(rows, SCHEMA)

    def other(rows: pd.DataFrame) -> Any:
        found = derived_values(rows, SCHEMA)
        return {**found, "each": found["each"] + 1}

    def away(rows: pd.DataFrame) -> Any:
        raise UserError("in another process: no such file")

    rows = valid_rows(SCHEMA, 300, missing=0.2)
    check_features(rows, SCHEMA, elsewhere=elsewhere)
    with pytest.raises(UserError, match=r"1 problem.*\n.*'each': .* in another process"):
        check_features(rows, SCHEMA, elsewhere=other)
    with pytest.raises(UserError, match=r"1 problem.*\n.*in another process: no such file"):
        check_features(rows, SCHEMA, elsewhere=away)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"needs": ("hours",)}, "needs hours, which requests don't have .target."),
        ({"needs": ("order_id",)}, "needs order_id, which requests don't have .key."),
        (
            {"needs": ("colour",)},
            "needs 'colour', wanted a column or feature before it: ",
        ),
        ({"needs": ("itself",)}, "needs 'itself', wanted a column or feature before it"),
        ({"needs": ()}, "needs no column"),
        ({"name": "weight"}, "is duplicated, or is a column"),
        ({"name": "two words"}, "wanted a Python name"),
        ({"type": str}, "type str needs choices or open=True"),
        ({"choices": ("a",)}, "type str needs choices or open=True"),
        ({"type": datetime.date}, "wanted type float, int, bool or str"),
    ],
)
def test_a_derived_feature_that_cannot_be_is_refused_in_words(
    changes: dict[str, Any], told: str
) -> None:
    given: dict[str, Any] = {
        **{"name": "itself", "description": "", "type": float, "unit": "", "needs": ("weight",)},
        "make": np.log,
    }
    with pytest.raises(ValueError, match=f"src/project/features.py: feature .*{told}"):
        Schema(COLUMNS, derived=(Derived(**{**given, **changes}),))


def test_the_time_is_a_field_of_a_request_only_if_a_feature_needs_it() -> None:
    without = Schema(COLUMNS, derived=FEATURES[3:4])
    assert [column.name for column in without.inputs] == [
        *("since", "note", "material", "weight", "pieces", "express")
    ]
    assert without.timed is None
    assert SCHEMA.timed is SCHEMA.time
    names = [feature.name for feature in SCHEMA.features]
    assert names == ["material", "weight", "express", *(feature.name for feature in FEATURES)]


@pytest.mark.parametrize("kind", [datetime.date, datetime.datetime])
def test_times_of_requests_become_the_same_as_those_of_frames(kind: Any) -> None:
    rng, days = random.Random(0), datetime.date.max.toordinal()
    times: list[Any] = [None, kind.min, kind.max]
    for _ in range(2_000):
        time = datetime.datetime.min + datetime.timedelta(
            rng.randrange(days - 1), rng.random() * 1e5
        )
        times.append(time if kind is datetime.datetime else time.date())

    repeated = [times[1], times[1], None, None, times[1], times[2]]
    for several in (times, [None], [None, None], times[1:2], [], repeated):
        found = as_array(several, Column("at", "", kind))
        np.testing.assert_array_equal(found, np.array(several, dtype="datetime64[us]"))
