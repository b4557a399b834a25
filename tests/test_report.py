"""The report: verdict first, and no text from a pull request that breaks out of its cell."""

import pytest

from mlops.intervals import Spread
from mlops.review.champion import Comparison
from mlops.review.gate import Check
from mlops.review.report import LISTED_SLICES, Review, cell, markdown

BETTER = Comparison("rmse", 101.0, 100.0, 97.0, -3.0, -5.0, -1.0, -0.03, Spread(0.01, 50.0))
CHECK = Check("regression of rmse", -0.03, 0.05, "pass", "rmse is 3.0% better than the base's")


def review(**changes: object) -> Review:
    known: dict[str, object] = {
        "base": "b" * 40,
        "head": "h" * 40,
        "outcome": "pass",
        "checks": [CHECK],
        "comparisons": [BETTER],
        "test": "648 test rows",
        "stages": {"ingest": False, "train": True},
        "detectable": {"rmse": 0.062},
    }
    return Review(**(known | changes))  # type: ignore[arg-type]


def test_the_verdict_comes_first_and_the_table_second() -> None:
    lines = markdown(review()).splitlines()

    assert lines[0] == "## ✅ Pass: nothing speaks against merging"
    assert lines[2] == "| metric | base | candidate | change | 95% interval of the change |"
    assert lines[4] == "| rmse | 100 | 97 | -3 (3.0% better) | -5 … -1 |"


@pytest.mark.parametrize(("outcome", "head"), [("warn", "⚠️ Warn"), ("block", "❌ Block")])
def test_each_verdict_has_its_head(outcome: str, head: str) -> None:
    assert markdown(review(outcome=outcome)).startswith(f"## {head}")


def test_the_report_says_what_it_could_not_have_seen() -> None:
    text = markdown(review())

    assert "blocked 9 times in 10: rmse 6.2%. About a smaller one this review can't tell." in text


def test_a_change_of_nothing_says_so_and_stays_short() -> None:
    same = Comparison("rmse", 100.0, 100.0, 100.0, 0.0, 0.0, 0.0, 0.0, Spread(0.0, 50.0))
    data = {"rows": [9, 9], "added": 0, "removed": 0, "changed": 0}

    text = markdown(review(comparisons=[same], stages={"train": False}, data=data))

    assert "| rmse | 100 | 100 | none | 0 … 0 |" in text
    assert "No parameter differs." in text
    assert "No row of the data differs (9 rows)." in text
    assert "Every stage of the pipeline is as in the base: nothing had to run." in text
    assert "<details>" not in text


def test_a_failing_pipeline_is_shown_in_its_own_words() -> None:
    text = markdown(review(failure="ingest: x.csv line 3: ```bad```", comparisons=[], stages={}))

    assert "````text\ningest: x.csv line 3: ```bad```\n````" in text


def test_two_sides_that_can_not_be_compared_are_told_in_words() -> None:
    text = markdown(review(not_comparable="the task was a and is b", comparisons=[], stages={}))

    assert "**No comparison with the base:** the task was a and is b." in text


def test_a_metric_that_is_missing_is_called_so() -> None:
    gone = Comparison("r2", 0.9, 0.9, None, None, None, None, None, None)

    assert "| r2 | 0.9 | missing | missing | missing … missing |" in markdown(
        review(comparisons=[gone])
    )


def test_only_the_largest_slices_are_listed() -> None:
    parts = [
        {
            "column": "c",
            "slice": f"s{rows}",
            "rows": rows,
            "base": {"rmse": 1.0},
            "candidate": {"rmse": 2.0},
        }
        for rows in range(1, LISTED_SLICES + 3)
    ]

    text = markdown(review(slices=parts, slice_metric="rmse"))

    assert "| c: s3 |" in text
    assert "| c: s2 |" not in text
    assert "… and 2 smaller slices" in text


@pytest.mark.parametrize(
    "hostile",
    [
        "a|b",
        "`code`",
        "<script>alert(1)</script>",
        "@everyone",
        "line\nbreak",
        "[link](https://example.org)",
        "![image](x)",
        "**bold**",
        "$math$",
        "</details>",
    ],
)
def test_hostile_text_stays_text(hostile: str) -> None:
    text = cell(hostile)

    assert "\n" not in text
    assert "<" not in text
    assert "@" not in text
    for mark in "|`[]!*$":
        assert text.count(mark) == text.count(f"\\{mark}")


def test_parameters_are_shown_with_both_values() -> None:
    text = markdown(review(params=[("train.alpha", 3.0, "1|2")]))

    assert "| train.alpha | 3.0 | 1\\|2 |" in text


def test_data_is_folded_under_its_counts() -> None:
    side = {"missing": 0.25, "text": "1 … 2 … 3"}
    data = {
        "rows": [9, 10],
        "added": 2,
        "removed": 1,
        "changed": 3,
        "changed_columns": {"price": 3},
        "columns": [{"column": "size", "base": {"missing": None, "text": "—"}, "candidate": side}],
    }

    text = markdown(review(data=data))

    assert "<summary>Data: rows 2 added, 1 removed, 3 changed</summary>" in text
    assert "| size | — |  | 1 … 2 … 3 | 25.0% |" in text
