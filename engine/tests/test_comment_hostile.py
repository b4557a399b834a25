"""Hostile names and values of the data in every place of the comment that shows them."""

import pytest

from github_markdown import html_of, powers
from hostile_markdown import SPELLINGS
from mlops.review.data_diff import nothing_differs
from mlops.review.gate import Check
from mlops.review.report import markdown
from mlops.review.sanitize import LONGER, sanitize
from test_report import column_change, moved_to, review

TEXTS = [text for texts in SPELLINGS.values() for text in texts]


def report_of(text: str) -> str:
    """Put a text wherever the comment shows a name, a key or a value."""
    side = {"missing": 0.5, "text": text}
    column = column_change(text, 0.9) | {"base": side, "candidate": side}
    cells = [{"key": text, "before": text, "after": text}]
    data = nothing_differs(1, 2) | {
        "same": False, "added": 1, "added_days": [text, text], "changed": 1,
        "changed_columns": {text: 1}, "columns": [column],
        "guesses": [{"columns": [text], "rows": 1, "text": f"{text!r} was renamed"}] * 5,
        "examples": {"added": [text], "removed": [text], "changed": {text: cells}},
        "schema": [f"column {text} was removed"] * 4,
        "quarantine": {"rows": [0, 1], "reasons": [
            {"column": text, "wanted": text, "rows": 1, "examples": [text]}]},
    }  # fmt: skip
    moved = moved_to({text: text}, key=text)
    params = [(text, text, text)] * 4
    checks = [Check("n", 0.0, 0.0, outcome, text) for outcome in ("pass", "warn", "block")]
    return markdown(
        review(
            outcome="block", checks=checks, data=data, moved=moved, params=params,
            key=text, target=text,
        )
    ) + markdown(review(moved=flips_of(text), key=text, target=text))  # fmt: skip


def flips_of(text: str) -> dict[str, object]:
    row = {
        "key": text, "features": {text: text}, "base": text, "base_probability": 0.6,
        "candidate": f"{text}2", "candidate_probability": 0.9, "actual": text,
    }  # fmt: skip
    flip = {"from": text, "to": text, "rows": 3, "right_before": 1, "right_now": 2}
    return {
        "kind": "classes", "rows": 9, "shares": {"0.01": 0.5}, "flipped": 3, "fixed": 2,
        "broken": 1, "flips": [flip], "most": [row],
    }  # fmt: skip


@pytest.mark.parametrize("kind", SPELLINGS)
def test_nothing_that_the_data_hold_has_a_power_in_the_comment(kind: str) -> None:
    for text in SPELLINGS[kind]:
        report = report_of(text)
        assert powers(report) == set(), f"{text!r} in the run's summary"
        assert powers(sanitize(report)) == set(), f"{text!r} in the comment"
        assert not sanitize(report).endswith(LONGER)


def test_a_hostile_value_breaks_no_table_and_no_fold() -> None:
    usual, hostile = (html_of(report_of(text)) for text in ("x", "a|b\n\n</details>|\n|"))

    for mark in ("<table>", "<tr>", "<td", "<details>", "</details>"):
        assert hostile.count(mark) == usual.count(mark), mark
