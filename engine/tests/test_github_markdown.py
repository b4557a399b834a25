"""What a comment is made of: cells, and charts that can be drawn and can do nothing else."""

import math
import re

import pytest

from mlops.review.github_markdown import CHART, cell, chart, number
from mlops.review.sanitize import sanitize

LINES = [[1.0, 2.5], [0.00001, 3.0]]


def test_a_chart_is_plain_decimals_and_survives_the_comment() -> None:
    text = chart("rmse by size, blue base", ["≤ 1,188.25", "1,188.25 \u2013 2"], LINES)

    assert "line [1, 2.5]" in text
    assert "line [0.00001, 3]" in text
    assert "y-axis 0 --> 3.15" in text
    assert CHART.fullmatch(text)
    assert sanitize(f"before @team\n\n{text}\n\nafter\n").count(text) == 1


@pytest.mark.parametrize(
    "label", ['"]', "a\nb", "%%{init: {}}%%", "<b>", "click x href", "```", "[x](y)", "a" * 99, ";"]
)
def test_a_hostile_label_stays_a_label(label: str) -> None:
    text = chart(label, [label, "b"], LINES)

    assert CHART.fullmatch(text)
    assert text.count("\n") == 8
    assert text.count('"') == 6 + 12  # of title and labels, and of the theme


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_not_drawn(value: float) -> None:
    assert chart("t", ["a"], [[value]]) == ""
    assert chart("t", [], [[]]) == ""


@pytest.mark.parametrize(
    "worse",
    [
        "    click A href",
        "    line [1]\n%%{init: {}}%%",
        '    title "<b>"',
        '    title "a"; click',
        "graph LR",
    ],
)
def test_any_other_chart_is_shown_as_text(worse: str) -> None:
    text = chart("t", ["a", "b"], LINES).replace("    line [1, 2.5]", worse)

    assert not CHART.search(text)
    assert not re.search(r"```\w", sanitize(text))


@pytest.mark.parametrize("text", ["feedback", "defacement", "Accede to it", "123456", "0.5"])
def test_a_word_that_is_no_hash_stays_whole(text: str) -> None:
    assert cell(text) == text


def test_a_hash_is_interrupted_and_copied_whole() -> None:
    assert cell("5ff1758, _5ff1758_ 1234567") == ("5ff175<wbr>8, \\_5ff175<wbr>8\\_ 123456<wbr>7")


def test_a_metric_is_never_written_as_a_power_of_ten() -> None:
    assert number(1.23456e-7) == "0.00000012346"
    assert number(123456789.0) == "123,460,000"
