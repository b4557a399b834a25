"""verdict.json and the JSON Schema in docs/ say the same."""

import copy
import json
from typing import Any

import jsonschema
import numpy as np
import pytest

from mlops.metrics import Predictions
from mlops.params import Params
from mlops.review.cost import Cost
from mlops.review.data_diff import nothing_differs
from mlops.review.explanation import Explanation
from mlops.review.feature_use import Use
from mlops.review.gate import check_floors
from mlops.review.model_comparison import compare
from mlops.review.moved_rows import moved_rows
from mlops.review.replay import Replay
from mlops.review.report import Review
from mlops.review.segments import Segment
from mlops.review.serving_times import Ratio
from mlops.review.value_causes import Cause
from mlops.review.verdict import as_verdict
from mlops.review.verdict_schema import json_schema
from mlops.sampling import valid_rows
from paths import ROOT
from project.schema import SCHEMA
from standard import PRICES
from test_report import many

RATIO = Ratio(1.0, 2.0, 2.0, 1.5, 2.5)

PUBLISHED = ROOT / "docs/verdict.schema.json"


@pytest.fixture
def verdict(params: Params) -> dict[str, Any]:
    actual = np.linspace(1, 9, 9)
    base, candidate = (Predictions("regression", actual, actual + by) for by in (0.1, 0.2))
    known = many(2, 3)
    found = Review(
        "b" * 40,
        "h" * 40,
        "block",
        check_floors({"r2": None}, params, PRICES),
        compare(base, candidate, {}, params, PRICES),
        moved=moved_rows(valid_rows(SCHEMA, 9), base, candidate, SCHEMA, ["size"]),
        data=known["data"],  # type: ignore[arg-type]
        slices=[part | {"reasons": {}, "regression": {}, "chance": {}} for part in known["slices"]],  # type: ignore
        params=[("a.b", float("nan"), {"c": [1, None]}), ("d", "—", np.float64(1))],
        stages={"train": True},
        explanation=Explanation(
            [Cause("unit", "a unit", "size is ten times as large", 2.0)],
            [Use("size", 0.1, 0.2, 0.05, 0.15)],
            [Segment("size > 5", 30, "rmse", 0.2, 0.01)],
            Cost(("arrays", "joblib"), "no form", (5, 6), (7, 8), RATIO, RATIO),
            Replay(9, {0.01: 0.5}, {0.01: 0.5}, 9, (0, 1), {"size": 1}, (2, 3), {"size": 1}),
        ),
    )
    return json.loads(json.dumps(as_verdict(found), allow_nan=False))  # type: ignore[no-any-return]


def refuses(content: object) -> bool:
    schema = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    return not jsonschema.Draft202012Validator(schema).is_valid(content)


def test_the_published_schema_is_the_one_that_the_review_writes_by() -> None:
    told = "python -m mlops.review.verdict_schema > docs/verdict.schema.json"
    assert PUBLISHED.read_text(encoding="utf-8") == json_schema(), told
    jsonschema.Draft202012Validator.check_schema(json.loads(json_schema()))


def test_a_verdict_is_valid_and_has_what_the_contract_names(verdict: dict[str, Any]) -> None:
    assert not refuses(verdict)
    contract = {
        "schema_version", "verdict", "checks", "metrics", "base", "head",
        "slices", "data", "params", "rows", "served",
    }  # fmt: skip
    assert contract <= set(verdict)
    assert verdict["params"][0] == {"path": "a.b", "base": "nan", "candidate": {"c": [1, None]}}


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the paths of all keys of a document, save for those of free mappings."""
    if isinstance(content, list):
        return [found for n, one in enumerate(content) for found in places(one, (*path, n))]
    if not isinstance(content, dict):
        return []
    deeper = [found for key, one in content.items() for found in places(one, (*path, key))]
    return [*((*path, key) for key in content), *deeper]


FREE = {"metrics", "changed_columns", "changed", "features", "shares", "stages", "base",
        "candidate", "reasons", "moved", "on_test", "refused_by", "outside_by", "regression",
        "chance"}  # fmt: skip
"""Mappings whose keys are names of metrics, columns, stages or slices."""


def test_a_verdict_that_lacks_any_key_or_has_another_is_refused(verdict: dict[str, Any]) -> None:
    n_tried = 0
    for *parents, key in places(verdict):
        of_side = parents and parents[-1] in ("base", "candidate") and "slices" not in parents
        if parents and parents[-1] in FREE and not of_side:
            continue
        if "params" in parents and len(parents) > 2:
            continue
        broken = copy.deepcopy(verdict)
        part = broken
        for parent in parents:
            part = part[parent]
        value = part.pop(key)
        assert refuses(broken), (*parents, key)
        part |= {key: value, "unheard_of": 1}
        assert refuses(broken), (*parents, "unheard_of")
        n_tried += 1
    assert n_tried > 60


@pytest.mark.parametrize("failed", [{"failure": "x"}, {"not_comparable": "y"}, {}])
def test_a_verdict_without_a_comparison_is_valid(failed: dict[str, Any]) -> None:
    found = as_verdict(Review("b", "h", "block", [], **failed))

    assert not refuses(found)
    assert found["rows"] is None
    assert found["failure"] == failed.get("failure")


def test_data_that_is_the_same_is_valid() -> None:
    found = as_verdict(Review("b", "h", "pass", [], data=nothing_differs(1, 1)))

    assert not refuses(found)
    assert found["data"]["same"] is True
