"""A hostile report as GitHub's own parser shows it: nothing in it does more than be read."""

import sys

import pytest

from github_markdown import html_of, powers
from hostile_markdown import LONG, PLACES, SPELLINGS, payloads, put
from mlops.review.github_markdown import cell, chart, fenced, fold_start, folded, table
from mlops.review.sanitize import LONGER, MOST_BYTES, sanitize
from mlops.review.sections import WORDS

CHART = chart("rmse by size, blue base", ["≤ 1", "> 1"], [[1.0, 2.5], [0.00001, 3.0]])
REPORT = f"""\
## ✅ Pass: may be merged

| metric | base | candidate |
|---|---:|---:|
| median\\_ape | 0.05 | 1,234.5 |
|  | `a\\|b` | -3 (3.0% better) |

**rmse is 3.0% better (statistically significant).** Both models `x` *y*.

- ✅ rmse is unchanged
- **{cell("a_b *c* [d] <e>")}** of two
  lines

{CHART}

{WORDS}

{folded("rmse by <slice>", table(("a", "b"), "lr", [(cell("a|b"), "1")]))}

{fenced("a ``` @b" + chr(10) * 3 + "```mermaid")}

Base `1234567890`, head `none`.
"""


@pytest.mark.parametrize("text", [t for texts in SPELLINGS.values() for t in texts])
def test_nothing_hostile_has_a_power_wherever_it_stands(text: str) -> None:
    for place in PLACES:
        placed = put(text, place)
        assert powers(sanitize(placed)) == set(), place
        assert powers(sanitize(f"{CHART}\n\n{placed}\n\n{CHART}")) == set(), place


@pytest.mark.parametrize("kind", SPELLINGS)
def test_the_judge_sees_the_powers_of_each_kind(kind: str) -> None:
    seen = [bool(powers(put(text, place))) for text in SPELLINGS[kind] for place in PLACES]

    assert sum(seen) > (0.1 if kind == "block" else 0.7) * len(seen)


@pytest.mark.parametrize("name", LONG)
def test_what_is_long_has_no_power_and_ends_in_the_middle(name: str) -> None:
    text = sanitize(LONG[name])

    assert powers(text) == set()
    assert len(text.encode()) <= MOST_BYTES + len(LONGER)


def test_work_grows_with_the_report_and_not_with_its_square() -> None:
    def steps(text: str) -> int:
        """Count the lines of Python that it takes."""
        n_steps = 0

        def count(frame: object, event: str, argument: object) -> object:
            nonlocal n_steps
            n_steps += 1
            return count

        sys.settrace(count)  # type: ignore[arg-type]
        try:
            sanitize(text, sys.maxsize)
        finally:
            sys.settrace(None)
        return n_steps

    for name, text in LONG.items():
        half, whole = (text[:size] for size in (3_000, 6_000))
        assert steps(whole) < 2.5 * steps(half) + 5_000, name


def test_our_own_report_looks_as_if_nothing_had_been_done() -> None:
    assert html_of(sanitize(REPORT)).replace("<wbr>", "") == html_of(REPORT).replace(
        "<code>text", "<code>"
    ).replace(' lang="text"', "")


def test_a_report_that_was_sanitized_is_left_as_it_is() -> None:
    for text in (REPORT, *payloads()[::7]):
        once = sanitize(text)
        assert sanitize(once) == once


@pytest.mark.parametrize("text", [t for texts in SPELLINGS.values() for t in texts])
def test_a_value_in_a_cell_or_a_title_has_no_power_before_it_is_sanitized(text: str) -> None:
    assert powers(f"| a |\n|---|\n| {cell(text)} |") == set()
    assert powers(f"- {cell(text)}\n\n{fold_start(text)}\n\n</details>") == set()


def test_a_long_report_ends_between_blocks_with_its_folds_closed() -> None:
    row = "| a | b |\n"
    text = f"## Head\n\n<details><summary>s</summary>\n\n{fenced('x' * 50 + chr(10) * 2)}\n\n"
    text += f"```\n{('y' * 70 + chr(10) * 2) * 500}```\n\n" + f"{row}|---|---|\n{row * 5000}"

    short = sanitize(text)

    assert powers(short) == set()
    assert short.endswith(f"</details>{LONGER}")
    assert "y" * 70 in html_of(short)
    assert "<table>" not in html_of(short)


def test_there_are_enough_payloads() -> None:
    assert len(set(payloads())) > 2000
