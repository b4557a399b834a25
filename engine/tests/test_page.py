"""The report as a page: everything in one file, and hostile text stays text."""

import re
from pathlib import Path

import pytest

from mlops.intervals import Spread
from mlops.params import Params
from mlops.review.comparison_plot import draw_changes
from mlops.review.github_markdown import cell
from mlops.review.html_report import html_page
from mlops.review.model_comparison import Comparison
from mlops.review.page_sections import page_sections
from test_report import many, review

SURE = Comparison("rmse", 100.0, 100.0, 90.0, -10.0, -15.0, -5.0, -0.1, Spread(0.02, 50.0))
MISSING = Comparison("r2", None, None, None, None, None, None, None, None)


@pytest.fixture
def plot(tmp_path: Path, params: Params) -> Path:
    path = tmp_path / "changes.png"
    draw_changes(path, [SURE, MISSING], params)
    return path


def test_a_comparison_becomes_a_picture_also_where_a_metric_is_missing(plot: Path) -> None:
    assert plot.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_the_page_reaches_for_nothing_else(plot: Path) -> None:
    page = html_page("## Head\n\n| a | b |\n|---|---:|\n| 1 | 2 |\n", [plot])

    assert re.findall(r"(?:src|href)=\"(?!data:)", page) == []
    assert "http" not in page.replace("http-equiv", "")
    assert "default-src 'none'; img-src data:" in page
    assert '<img alt="changes" src="data:image/png;base64,' in page
    assert "<td>1</td>" in page


def test_folds_open_and_hostile_cells_stay_text() -> None:
    hostile = cell("<script>alert(1)</script> <img src=x onerror=alert(1)>")

    page = html_page(
        f"<details><summary>s</summary>\n\n| a |\n|---|\n| {hostile} |\n\n</details>", []
    )

    assert "<details><summary>s</summary>" in page
    assert page.count("<script>") == 1, "the page's own, whose hash is the only one allowed"
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page


def test_the_page_shows_each_column_and_slice_and_draws_distributions() -> None:
    text = page_sections(review(**many(300, 500)))

    assert text.count("<svg") == 300
    assert text.count("<tr>") == 300 + 500 + 2
    assert "<title>1 to 2: base 10.0%</title>" in text


def test_hostile_names_of_columns_slices_and_bins_stay_text_on_the_page() -> None:
    known = many(1, 1)
    hostile = "</title></td><script>alert(1)</script>"
    column = known["data"]["columns"][0]  # type: ignore[index]
    column |= {"column": hostile, "base": {"missing": 0.0, "text": hostile}}
    column["bins"]["labels"] = [hostile] * 10
    known["slices"][0] |= {"slice": hostile}  # type: ignore[index]

    text = page_sections(review(**known))

    assert "<script" not in text
    assert text.count("&lt;script&gt;") > 10
