"""The report: verdict first, and no text from a pull request that breaks out of its cell."""

import re
from dataclasses import replace

import pytest

from mlops.intervals import Spread
from mlops.review.gate import Check
from mlops.review.github_markdown import cell
from mlops.review.model_comparison import Comparison
from mlops.review.report import Review, markdown
from mlops.review.sanitize import LONGER, MOST_BYTES, sanitize
from mlops.review.sections import LISTED_SLICES, Served
from standard import NAMES

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

    assert lines[0] == "## ✅ Pass: within every limit of the gate"
    assert lines[2] == "| metric | base | candidate | change | 95% interval of the change |"
    assert lines[4] == "| rmse | 100 | 97 | -3 (3.0% better) | -5 … -1 |"


@pytest.mark.parametrize(
    ("regression", "interval", "in_short"),
    [
        (-0.03, (-5.0, -1.0), "**rmse is 3.0% better, hardly by chance.** Both models"),
        (0.03, (1.0, 5.0), "**rmse is 3.0% worse, hardly by chance.** Both models"),
        (0.03, (-1.0, 5.0), "**rmse is 3.0% worse, which may be chance.** Both models"),
        (0.03, (None, None), "**rmse is 3.0% worse, which may be chance.** Both models"),
        (0.0, (0.0, 0.0), "**rmse is unchanged.** Both models"),
        (None, (None, None), "**rmse can not be compared.** Both models"),
    ],
)
def test_one_sentence_says_whether_it_is_better_and_how_sure_that_is(
    regression: float | None, interval: tuple[float | None, float | None], in_short: str
) -> None:
    changed = replace(BETTER, regression=regression, ci_low=interval[0], ci_high=interval[1])

    assert in_short in markdown(review(comparisons=[changed]))


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


@pytest.mark.parametrize(
    ("base", "reasons", "told"),
    [
        (0.9, ("", "all 9 targets are equal"), "r2 of the candidate is undefined: all 9 targets"),
        (None, ("all 9 targets are equal",) * 2, "r2 is undefined: all 9 targets are equal."),
    ],
)
def test_a_metric_that_is_undefined_is_called_so_with_its_reason(
    base: float | None, reasons: tuple[str, str], told: str
) -> None:
    gone = Comparison("r2", 0.9, base, None, None, None, None, None, None, *reasons)

    text = markdown(review(comparisons=[gone]))

    assert f"| r2 | {base or 'undefined'} | undefined | undefined | undefined |" in text
    assert told in text


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
    assert "<" not in text.replace("<wbr>", "")
    assert not re.search(r"@\w", text)
    for mark in "|`[]!*$":
        assert text.count(mark) == text.count(f"\\{mark}")


def test_parameters_are_shown_with_both_values() -> None:
    text = markdown(review(params=[("models.ridge.alpha", 3.0, "1|2")]))

    assert "| models.ridge.alpha | 3.0 | 1\\|2 |" in text


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


def many(n_columns: int, n_slices: int) -> dict[str, object]:
    side = {"missing": 0.25, "text": "-1,234.56 … 12,345.6 … 1,234,560"}
    long = "a_name_of_some_length_"
    return {
        "data": {
            "rows": [100_000, 120_000],
            "added": 30_000,
            "removed": 10_000,
            "changed": 50_000,
            "changed_columns": {f"{long}{n}": 50_000 for n in range(n_columns)},
            "columns": [
                {"column": f"{long}{n}", "base": side, "candidate": side} for n in range(n_columns)
            ],
        },
        "slices": [
            {
                "column": f"{long}{n % 10}",
                "slice": f"{long}{n}",
                "rows": n,
                "base": {"rmse": 12_345.678},
                "candidate": {"rmse": 12_345.678},
            }
            for n in range(n_slices)
        ],
        "slice_metric": "rmse",
        "params": [(f"train.{long}{n}", 0.123456, 0.654321) for n in range(50)],
    }


def test_a_hundred_columns_and_five_hundred_slices_need_no_cut() -> None:
    text = markdown(review(**many(100, 500)))

    assert len(text.encode()) < MOST_BYTES
    assert not sanitize(text).endswith(LONGER)
    assert "460 smaller slices" in text


def test_what_serves_both_models_is_told_in_one_line() -> None:
    exported = Served("arrays", None, 123_456, 0.0123)
    itself = Served("joblib", "no form for Lasso", 2_000_000, 1.7)

    text = markdown(review(**many(1, 4), served=[exported, itself]))

    assert (
        "To serve: scikit-learn itself, 2.00 MB, about 2 ms a row; the base exported as arrays, "
        "0.12 MB, about 0.01 ms a row. The model could not be exported: no form for Lasso."
    ) in text


def test_a_reader_is_told_what_to_do_and_what_the_words_mean() -> None:
    text = markdown(review(**many(1, 4)))

    assert "**What to do:** Merge it, if this is what the change was meant to do." in text
    assert "**base**: the model of the branch" in text
    for metrics in NAMES.values():
        for metric in metrics:
            assert f"**{metric}**" in text


def test_a_lock_that_is_behind_comes_with_the_command_that_mends_it() -> None:
    assert "git commit" not in markdown(review())
    assert (
        '`make run && git commit -m "Bring dvc.lock up to date" dvc.lock && git push`'
        in markdown(review(lock_behind=True))
    )


def test_the_error_over_the_parts_of_one_column_is_drawn() -> None:
    text = markdown(review(**many(1, 100)))  # ten columns of ten slices

    assert text.count("```mermaid") == 1
    assert 'title "rmse by a_name_of_some_length_0, blue base, magenta candidate"' in text
