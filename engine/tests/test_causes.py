"""Likely causes: each kind is named with its evidence; what moves no model is called none."""

import datetime
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from github_markdown import powers
from hostile_markdown import SPELLINGS
from mlops.columns import Column, Schema
from mlops.request import describe_columns
from mlops.review.causes import LISTED, causes_section, find_causes
from mlops.review.setting_causes import Settings
from mlops.review.value_causes import Cause

SCHEMA = Schema(
    (
        Column("id", "", int, role="key"),
        Column("area", "", float, "", 0, 1e6, nullable=True),
        Column("kind", "", str, choices=("house", "flat", "hut"), nullable=True),
        Column("price", "", float, role="target"),
    )
)
N = 400


def rows(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    area = rng.uniform(50, 300, N)
    return pd.DataFrame(
        {
            "id": np.arange(N),
            "area": area,
            "kind": rng.choice(np.array(["house", "flat"], dtype=object), N),
            "price": area * rng.uniform(500, 2000, N),
        }
    )


def settings(schema: Schema = SCHEMA, **changes: Any) -> Settings:
    params = {"train": {"kind": "a", "seed": 0}, "models": {"a": {"depth": 3}, "b": {"depth": 3}}}
    code = {"libraries": ["numpy==2.4.0", "aiohttp==1.0"], "models": "x", "engine": "1"}
    known: dict[str, Any] = {"params": params, "columns": describe_columns(schema), "code": code}
    return Settings(**(known | {"valid": N} | changes))


def causes(
    after: pd.DataFrame, before: pd.DataFrame | None = None, schema: Schema = SCHEMA, **changes: Any
) -> list[Cause]:
    base = settings(), rows() if before is None else before
    return find_causes(base, (settings(schema, **changes), after), schema)


def first(after: pd.DataFrame, **changes: Any) -> Cause:
    return causes(after, **changes)[0]


def test_a_parameter_of_the_chosen_kind_is_a_cause_and_that_of_another_kind_none() -> None:
    def params(kind: str) -> dict[str, Any]:
        changed: dict[str, Any] = settings().params
        models = {name: dict(section) for name, section in changed["models"].items()}
        models[kind]["depth"] = 9
        return {**changed, "models": models}

    (cause,) = causes(rows(), params=params("a"))

    assert (cause.kind, cause.evidence) == ("parameter", "models.a.depth was 3 and is 9")
    assert causes(rows(), params=params("b")) == []


def test_a_value_in_another_unit_is_told_with_its_factor() -> None:
    cause = first(rows().assign(area=rows()["area"] / 10.7639))

    assert cause.kind == "unit"
    assert "400 values of area (100%): each multiplied by 0.092903" in cause.evidence
    assert "(square feet to square metres?)" in cause.evidence


def test_a_unit_is_told_in_a_part_of_the_rows_and_in_degrees_too() -> None:
    where = np.arange(N) < 60
    cause = first(rows().assign(area=rows()["area"].where(~where, rows()["area"] * 1.8 + 32)))

    assert cause.kind == "unit"
    assert "each multiplied by 1.8 and raised by 32" in cause.evidence
    assert "(degrees Celsius to Fahrenheit?)" in cause.evidence


def test_a_unit_is_told_beside_other_corrections_and_rounded_to_whole_numbers() -> None:
    metres = (rows()["area"] * 1000 / 10.7639).round()
    mixed = metres.where(np.arange(N) % 12 != 0, 7.0)

    cause = first(rows().assign(area=mixed), before=rows().assign(area=rows()["area"] * 1000))

    assert cause.kind == "unit"
    assert "(square feet to square metres?)" in cause.evidence


def test_values_that_became_one_value_or_noise_have_no_unit() -> None:
    noise = np.random.default_rng(1).normal(1, 0.02, N)

    for changed in (0.0, 7.0, rows()["area"] * noise):
        assert first(rows().assign(area=changed)).kind == "values"


def test_other_times_are_a_cause_without_a_unit() -> None:
    schema = Schema((*SCHEMA.columns, Column("day", "", datetime.date, role="time")))
    before = rows().assign(day=pd.date_range("2020-01-01", periods=N))
    after = before.assign(day=before["day"] + pd.Timedelta(days=1))

    cause = first(after, before=before, schema=schema)

    assert (cause.kind, cause.what) == ("values", "changed values of day")
    assert causes(pd.concat([before, after.assign(id=after["id"] + N)]), before=before)


def test_a_unit_is_told_in_new_rows_alone() -> None:
    before, after = rows().head(300), rows()
    after["area"] = after["area"].where(after.index < 300, after["area"] * 100)

    cause = first(after, before=before)

    assert cause.kind == "unit"
    assert "are about 100 times those before (shares to per cent" in cause.evidence


def test_duplicated_rows_are_counted() -> None:
    again = rows().head(40).assign(id=np.arange(N, N + 40))

    cause = first(pd.concat([rows(), again]))

    assert cause.kind == "duplicates"
    assert cause.evidence.startswith("40 more rows than before repeat another row")


def test_changed_labels_are_told_before_anything_else_of_the_rows() -> None:
    where = np.arange(N) < 100
    cause = first(rows().assign(price=rows()["price"].where(~where, rows()["price"] * 2)))

    assert cause.kind == "labels"
    assert "price was changed in 100 rows (25%): each multiplied by 2" in cause.evidence


def test_a_renamed_category_is_told_by_both_names() -> None:
    cause = first(rows().assign(kind=rows()["kind"].replace("flat", "hut")))

    assert cause.kind == "category"
    assert "flat became hut in" in cause.evidence


def test_an_emptied_column_and_a_dropped_one_are_causes() -> None:
    gone = Schema(tuple(column for column in SCHEMA.columns if column.name != "area"))

    emptied = first(rows().assign(area=np.nan))
    dropped = first(rows().drop(columns="area"), schema=gone)

    assert (emptied.kind, emptied.what) == ("column", "area emptied")
    assert (dropped.kind, dropped.what) == ("column", "area dropped")


def test_fewer_rows_are_a_cause_from_one_in_a_hundred() -> None:
    assert first(rows().tail(360)).evidence == "40 of 400 rows are gone (10%)"
    assert causes(rows().tail(398)) == []


def test_a_leak_comes_first_of_all() -> None:
    leaking = Schema((*SCHEMA.columns, Column("assessed", "", float)))
    after = rows().assign(assessed=rows()["price"] * 1.01)

    found = causes(after, schema=leaking)

    assert [cause.kind for cause in found[:2]] == ["leak", "column"]
    assert "assessed alone predicts price" in found[0].evidence


def test_what_told_the_target_before_is_no_new_leak() -> None:
    leaking = Schema((*SCHEMA.columns, Column("assessed", "", float)))
    both = rows().assign(assessed=rows()["price"] * 1.01)

    assert causes(both, before=both, schema=leaking)[0].kind == "column"


def test_another_version_of_a_library_that_learns_is_a_cause_and_of_another_none() -> None:
    def code(*libraries: str) -> dict[str, Any]:
        return settings().code | {"libraries": libraries}

    (cause,) = causes(rows(), code=code("numpy==2.5.0", "aiohttp==1.0"))

    assert (cause.kind, cause.evidence) == ("library", "numpy was 2.4.0 and is 2.5.0")
    assert causes(rows(), code=code("numpy==2.4.0", "aiohttp==2.0")) == []


def test_a_base_without_a_fingerprint_has_no_cause_in_its_code() -> None:
    base = settings(code={}), rows()

    assert find_causes(base, (settings(), rows()), SCHEMA) == []


def test_bounds_are_a_cause_if_other_rows_are_valid_by_them() -> None:
    columns = tuple(replace(c, high=200.0) if c.name == "area" else c for c in SCHEMA.columns)
    kept = rows()[rows()["area"] <= 200]

    found = causes(kept, schema=Schema(columns), valid=len(kept), quarantined=N - len(kept))

    assert found[0].kind == "bounds"
    assert "high of area: was 1000000.0, is 200.0" in found[0].evidence
    assert causes(rows(), schema=Schema(columns)) == []


def test_a_derived_feature_that_is_dropped_or_computed_otherwise_is_a_cause() -> None:
    base = settings(derived={"names": ["x", "y"], "code": "1"}), rows()

    for derived, kind in (
        ({"names": ["x"], "code": "2"}, "y dropped"),
        ({"names": ["x", "y"], "code": "2"}, "derived features"),
    ):
        (cause,) = find_causes(base, (settings(derived=derived), rows()), SCHEMA)
        assert (cause.kind, cause.what) == ("feature", kind)


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.sample(frac=1, random_state=1),
        lambda frame: frame[sorted(frame.columns)],
        lambda frame: frame.sample(frac=1, random_state=1).assign(id=np.arange(N)),
        lambda frame: frame.assign(area=frame["area"].where(frame["id"] > 2, 1.0)),
    ],
    ids=["another order", "columns in another order", "rows numbered anew", "three corrections"],
)
def test_what_moves_no_model_is_called_no_cause(
    change: Callable[[pd.DataFrame], pd.DataFrame],
) -> None:
    assert causes(change(rows())) == []


def test_another_seed_and_other_limits_of_the_gate_are_no_cause() -> None:
    params = settings().params | {"train": {"kind": "a", "seed": 7}, "gate": {"confidence": 0.9}}

    assert causes(rows(), params=params) == []


def test_no_rows_on_a_side_and_a_base_without_the_key_are_no_error() -> None:
    assert causes(rows().head(0)) is not None
    assert causes(rows(), before=rows().drop(columns="id")) == []


def test_rows_without_any_value_and_infinite_ones_are_no_error() -> None:
    odd = rows().assign(area=np.where(np.arange(N) % 2, np.inf, 0.0))

    assert causes(odd)[0].kind == "values"
    assert causes(rows(), before=odd)[0].kind == "values"


def test_only_the_strongest_are_listed_and_each_name_stays_text() -> None:
    hostile = [text for spelled in SPELLINGS.values() for text in spelled]
    for text in hostile:
        section = causes_section([Cause("unit", text, text, 1.0)])
        assert powers(section) == set(), text

    many = [Cause("unit", f"c{n}", "x", 1.0) for n in range(LISTED + 2)]
    assert "… and 2 weaker ones." in causes_section(many)
    assert len(causes_section([Cause("unit", "c" * 10**6, "x" * 10**6, 1.0)])) < 2000
    assert causes_section([]) == ""


def test_a_cause_whose_evidence_starts_with_its_name_shows_the_name_once() -> None:
    causes = [
        Cause("parameter", "train.kind", "train.kind was a and is b", 2.0),
        Cause("leak", "size gives the target away", "size alone predicts price", 1.0),
    ]
    lines = causes_section(causes).splitlines()
    assert "- **train.kind** was a and is b." in lines
    assert "- **size gives the target away**: size alone predicts price." in lines
