"""The report: verdict first, and no text from a pull request that breaks out of its cell."""

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest

from mlops.intervals import Spread
from mlops.metrics import Predictions
from mlops.params import Params
from mlops.review.cost import Cost
from mlops.review.data_diff import nothing_differs
from mlops.review.explanation import Explanation
from mlops.review.feature_use import Use
from mlops.review.feedback_share import FeedbackShare
from mlops.review.gate import Check, check_regressions, verdict
from mlops.review.github_markdown import cell
from mlops.review.model_comparison import Comparison, compare
from mlops.review.prepared_share import Part, PreparedShare
from mlops.review.replay import Replay
from mlops.review.report import Review, markdown
from mlops.review.sanitize import LONGER, MOST_BYTES, sanitize
from mlops.review.sections import LISTED_SLICES
from mlops.review.segments import Segment
from mlops.review.serving_times import Ratio
from mlops.review.value_causes import Cause
from standard import NAMES, PRICES

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


def test_the_verdict_comes_first_then_one_sentence_of_why_then_the_table() -> None:
    lines = markdown(review()).splitlines()

    assert lines[0] == "## ✅ Pass: may be merged"
    assert lines[2] == "**rmse is 3.0% better (statistically significant).**"
    assert lines[4] == "| metric | base | candidate | change | 95% interval of the change |"
    assert lines[6] == "| rmse | 100 | 97 | -3 (3.0% better) | -5 … -1 |"


@pytest.mark.parametrize(
    ("regression", "interval", "in_short"),
    [
        (-0.03, (-5.0, -1.0), "**rmse is 3.0% better (statistically significant).**"),
        (0.03, (1.0, 5.0), "**rmse is 3.0% worse (statistically significant).**"),
        (0.03, (-1.0, 5.0), "**rmse is 3.0% worse (not statistically significant).**"),
        (0.03, (None, None), "**rmse is 3.0% worse (not statistically significant).**"),
        (0.0, (0.0, 0.0), "**rmse is unchanged.**"),
        (None, (None, None), "**rmse can not be compared.**"),
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

    assert "block 9 times in 10, between models that differ as much as these: rmse 6.2%." in text


def test_a_change_of_nothing_says_so_and_stays_short() -> None:
    same = Comparison("rmse", 100.0, 100.0, 100.0, 0.0, 0.0, 0.0, 0.0, Spread(0.0, 50.0))
    data = nothing_differs(9, 9) | {"same": True}

    text = markdown(review(comparisons=[same], stages={"train": False}, data=data))

    assert "| rmse | 100 | 100 | none | 0 … 0 |" in text
    assert "**Parameters:** none differs." in text
    assert "**Data:** no row differs (9 rows)." in text
    assert "Every stage of the pipeline is as in the base: nothing had to run." in text
    assert text.count("<details>") == 1, "the checks that pass"


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

    assert "**Parameters:** models.ridge.alpha 3.0 → 1\\|2." in text


def column_change(name: str, distance: float) -> dict[str, object]:
    side = {"missing": 0.25, "text": "-1,234.56 … 12,345.6 … 1,234,560"}
    bins = {"labels": ["1 to 2"] * 10, "base": [0.1] * 10, "candidate": [0.05] * 9 + [0.55]}
    return {
        "column": name, "base": side, "candidate": side, "bins": bins, "distance": distance
    }  # fmt: skip


def many(n_columns: int, n_slices: int) -> dict[str, object]:
    long = "a_name_of_some_length_"
    names = [f"{long}{n}" for n in range(n_columns)]
    cells = [{"key": n, "before": 1234567.5, "after": "text " * 30} for n in range(3)]
    return {
        "data": nothing_differs(100_000, 120_000)
        | {
            "same": False,
            "added": 30_000,
            "removed": 10_000,
            "changed": 50_000,
            "changed_columns": dict.fromkeys(names, 50_000),
            "columns": [column_change(name, 0.5) for name in names],
            "guesses": [{"columns": names[:9], "rows": 9, "text": "values " * 20}] * n_columns,
            "examples": {"added": [1, 2], "removed": [], "changed": dict.fromkeys(names, cells)},
            "schema": [f"column {name} was added" for name in names],
            "quarantine": {
                "rows": [0, 9],
                "reasons": [
                    {"column": name, "wanted": "one of " + "choice, " * 900, "rows": 1,
                     "examples": ["x" * 500] * 5}
                    for name in names[:5]
                ],
            },
        },
        "moved": moved_to(dict.fromkeys(names[:4], "text " * 30)),
        "key": long,
        "target": long,
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
        "params": [(f"train.{long}{n}", 0.123456, "x" * 50) for n in range(50)],
    }  # fmt: skip


def moved_to(features: dict[str, object], key: object = 7) -> dict[str, object]:
    row = {
        "key": key, "features": features, "base": 100.0, "candidate": 134.0, "actual": 120.0,
        "base_error": -20.0, "candidate_error": 14.0, "moved": 0.34,
    }  # fmt: skip
    edges = [None, -0.2, -0.05, -0.01, 0.01, 0.05, 0.2, None]
    return {
        "kind": "numbers",
        "rows": 648,
        "shares": {"0.01": 0.5, "0.05": 0.125, "0.2": 0.0001},
        "up": 200,
        "down": 124,
        "distribution": [
            {"from": low, "to": high, "rows": 5} for low, high in itertools.pairwise(edges)
        ],
        "most": [row, row | {"key": 8, "moved": -0.2}] * 5,
    }


def test_the_rows_that_moved_most_are_named_before_any_fold() -> None:
    text = markdown(review(moved=moved_to({"size": 1500.0, "rooms": None}), key="id", target="y"))

    shown, _, folds = text.partition("<details>")
    assert (
        "**Predictions:** of 648 test rows, 50% moved by more than 1%, 12% by more than 5%, "
        "less than 0.1% by more than 20%: 200 up, 124 down. "
        "Most up: id 7 (+34%), 7 (+34%), 7 (+34%). Most down: id 8 (-20%)"
    ) in shown
    assert "| 7 | 1,500 | missing | 100 | 134 | +34.0% | 120 | -20 | 14 |" in folds
    assert "| up by 5% to 20% | 5 | ████" in folds
    assert "| less than 1% | 5 |" in folds


def test_flips_are_told_by_class_and_by_whether_they_are_right() -> None:
    row = {
        "key": 7, "features": {}, "base": "yes", "base_probability": 0.6, "candidate": "no",
        "candidate_probability": 0.9, "actual": "no",
    }  # fmt: skip
    flip = {"from": "yes", "to": "no", "rows": 3, "right_before": 1, "right_now": 2}
    moved = {
        "kind": "classes", "rows": 9, "shares": {"0.01": 0.5}, "flipped": 3, "fixed": 2,
        "broken": 1, "flips": [flip], "most": [row],
    }  # fmt: skip

    text = markdown(review(moved=moved, key="id", target="y"))

    assert "3 of 9 test rows changed class: 2 are right now, 1 are wrong now." in text
    assert "id 7 (yes → no)" in text
    assert "| yes | no | 3 | 2 | 1 |" in text
    assert "| 7 | yes (60%) | no (90%) | no |" in text


def test_the_data_line_answers_whether_somebody_changed_the_data() -> None:
    guess = {"columns": ["size"], "rows": 3, "text": "values were multiplied by 10.764"}
    data = nothing_differs(9, 10) | {
        "same": False, "added": 2, "added_days": ["2010-01-01", "2010-03-31"], "removed": 1,
        "changed": 3, "changed_columns": {"size": 3}, "guesses": [guess],
        "columns": [column_change("size", 0.4), column_change("other", 0.001)],
        "examples": {"added": [11], "removed": [], "changed": {
            "size": [{"key": 1, "before": 100.0, "after": None}]}},
        "schema": ["size: upper bound was 5, is 6"],
        "quarantine": {"rows": [0, 4], "reasons": [
            {"column": "size", "wanted": "a number", "rows": 4, "examples": ["x"]}]},
    }  # fmt: skip

    shown, _, folds = markdown(review(data=data)).partition("<details>")

    assert (
        "**Data:** 2 rows added (2010-01-01 to 2010-03-31), 1 removed, 3 changed (10 rows now). "
        "size: values were multiplied by 10.764 (3 rows). "
        "Schema: size: upper bound was 5, is 6. In quarantine: 4 rows (base: 0)."
    ) in shown
    assert "<summary>Data: 9 rows before, 10 now</summary>" in folds
    assert "| size | 3 | 1: 100 → missing |" in folds
    assert "| size | a number | 4 | x |" in folds
    assert "Added, for example: 11." in folds
    assert "▂▂▂▂▂▂▂▂▂█" in folds
    assert "| other |" not in folds


def test_rows_that_can_not_be_paired_are_said_to_be_so() -> None:
    data = nothing_differs(9, 10) | {"same": None}

    assert "**Data:** rows can't be compared" in markdown(review(data=data))


def test_what_passes_is_folded_and_what_does_not_is_shown() -> None:
    bad = Check("floor of r2", 0.8, 0.85, "block", "r2 is 0.8, wanted at least 0.85")

    shown, _, folds = markdown(review(outcome="block", checks=[CHECK, bad])).partition("<details>")

    assert "**r2 is 0.8, wanted at least 0.85.** rmse is 3.0% better" in shown
    assert "- ❌ r2 is 0.8, wanted at least 0.85" in shown
    assert "- ✅" not in shown
    assert "1 of 2 checks pass</summary>\n\n- ✅ rmse is 3.0%" in folds


def test_three_hundred_columns_and_five_hundred_slices_need_no_cut() -> None:
    found = explained()
    full = replace(found, **{
        "causes": found.causes * 300, "uses": found.uses * 300, "segments": found.segments * 20
    })  # fmt: skip
    notes = [f"{column} is missing in 2009.csv" for column in range(300)]
    text = markdown(review(**many(300, 500), explanation=full, notes=notes))

    assert len(text.encode()) < MOST_BYTES
    assert not sanitize(text).endswith(LONGER)
    assert "460 smaller slices" in text


def test_five_hundred_slices_below_their_floor_need_no_cut_and_what_blocks_comes_first() -> None:
    warned = [replace(CHECK, outcome="warn", why="mape of size: " + "x" * 400)] * 500
    floor = replace(CHECK, name="floor of r2", outcome="block")
    blocked = [replace(floor, why=f"{k} " + "y" * 10**6) for k in range(500)]

    text = markdown(review(**many(300, 500) | {"checks": warned + blocked, "outcome": "block"}))

    assert len(text.encode()) < MOST_BYTES
    shown = FOLD.sub("", text)
    assert shown.count("- ❌ ") == 20
    assert "- … and 980 more, all of them in verdict.json" in shown
    assert "**What to do:** Fix the checks marked ❌" in shown


def test_a_reader_is_told_what_to_do_and_what_the_words_mean() -> None:
    text = markdown(review(**many(1, 4)))

    assert "**What to do:** Merge if this is what the change was meant to do." in text
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


def test_the_error_over_the_parts_of_one_column_is_drawn_in_the_fold_of_the_slices() -> None:
    text = markdown(review(**many(1, 100)))  # ten columns of ten slices

    (fold,) = [one for one in folds(text) if "```mermaid" in one]
    assert fold.startswith("<details><summary>rmse by slice</summary>\n\n| slice |")
    (posted,) = [one for one in folds(sanitize(text)) if "rmse by slice" in one]
    assert "```mermaid" in posted
    assert 'title "rmse by a_name_of_some_length_0, blue base, magenta candidate"' in fold


FOLD = re.compile(r"<details>.*?</details>", re.DOTALL)


def folds(text: str) -> list[str]:
    return FOLD.findall(text)


def explained() -> Explanation:
    """Give one of each finding beyond the metrics."""
    ratio = Ratio(1.0, 1.1, 1.1, 1.05, 1.15)
    return Explanation(
        [Cause("parameter", "train.kind", "train.kind was a and is b", 1.0)],
        [Use("size", 0.1, 0.3, 0.1, 0.3)],
        [Segment("size > 9", 61, "rmse", 0.14, 0.001)],
        Cost(("arrays", "arrays"), None, (10, 20), (10, 20), ratio, ratio),
        Replay(9, {0.05: 0.5}, {0.05: 0.1}, 648, (0, 1), {"size": 1}, (0, 0), {}),
    )


OUTCOMES = {
    "pass": [CHECK],
    "warn": [CHECK, replace(CHECK, name="limits of the gate", outcome="warn", why="a limit moved")],
    "block": [CHECK, replace(CHECK, name="floor of r2", outcome="block", why="r2 is 0.8")],
}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_below_the_verdict_come_why_metrics_causes_and_what_to_do_and_all_else_is_folded(
    outcome: str,
) -> None:
    full = many(3, 30) | {
        "outcome": outcome,
        "checks": OUTCOMES[outcome],
        "explanation": explained(),
        "lock_behind": True,
        "feedback": FeedbackShare(1, 9, 2, 90, [BETTER], 8),
        "prepared": PreparedShare([Part("test", 9, 1, {"size": 2})], 1, 2, []),
        "notes": ["2009.csv has no column size"],
    }

    text = markdown(review(**full))

    starts = [part.split("\n")[0][:20] for part in FOLD.sub("", text).split("\n\n") if part.strip()]
    expected = ["## ", "**", "| metric |", "Both models", "- ", "**Why**", "- **"]
    expected += [
        "**What to do:**",
        "**dvc.lock",
        "**Predictions:**",
        "**Data:**",
        "**Parameters:**",
        "Base `",
    ]
    if outcome == "pass":
        expected.remove("- ")
    assert len(starts) == len(expected), starts
    for start, wanted in zip(starts, expected, strict=True):
        assert start.startswith(wanted), starts
    titles = re.findall("<summary>(.*)</summary>", text)
    expected = [
        "1 of", "Predictions", "Data", "Parameters", "Feedback", "Rows that", "Missing", "rmse by",
        "Smallest", "Where", "Features", "Replay", "Cost", "Stages", "What these words",
    ]  # fmt: skip
    for title, wanted in zip(titles, expected, strict=True):
        assert title.startswith(wanted), titles


def test_a_worsening_within_the_limit_that_chance_does_not_explain_is_no_green_tick(
    params: Params,
) -> None:
    rng = np.random.default_rng(0)
    actual = np.exp(rng.normal(12, 0.3, 600))
    error = rng.normal(0, 0.1, 600)
    base = Predictions("regression", actual, actual * (1 + error))

    def judged(growth: float, noise: float) -> tuple[str, str]:
        predicted = actual * (1 + error * growth + rng.normal(0, noise, 600))
        candidate = Predictions("regression", actual, predicted)
        found = compare(base, candidate, {}, params, PRICES)
        checks = check_regressions(found, params)
        outcome = verdict(checks)
        return outcome, markdown(review(outcome=outcome, checks=checks, comparisons=found))

    outcome, text = judged(1.024, 0.001)  # above the noise, within 5 %

    assert outcome == "warn"
    assert text.startswith("## ⚠️ Warn: look closely before merging\n\n**rmse is 2.3% worse (stat")
    assert "✅" not in FOLD.sub("", text)
    assert "within the limit, but statistically significant at 95%" in text
    assert judged(1.0, 0.0)[0] == "pass"
    assert judged(1.5, 0.001)[0] == "block"
