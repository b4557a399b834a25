"""The comment in a browser: Mermaid itself reads our charts, and draws no hostile label as more."""

import shutil
from pathlib import Path

import pytest

from comment_page import chromium, page
from mlops.review.github_markdown import chart
from mlops.review.sanitize import sanitize
from npm_files import MERMAID, MERMAID_FILES, npm_files_or_skip

pytestmark = pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")

HOSTILE = [
    '"]',
    "%%{init: {}}%%",
    "<b>x</b>",
    "click x href",
    "\u2013 \u2264 \u00e9",
    ";",
    "",
    "1e-05",
]


def drawn(text: str, folder: Path) -> str:
    npm_files_or_skip(MERMAID, MERMAID_FILES)
    file = folder / "comment.html"
    file.write_text(page(text), encoding="utf-8")
    return chromium(file, "--dump-dom")


@pytest.mark.parametrize(
    ("labels", "series"),
    [
        (["a", "b"], [[1.0, 2.0], [2.0, 1.0]]),
        (["one"], [[0.0], [0.0]]),
        (["tiny", "large"], [[1e-9, 1e9], [-1e-9, -1e9]]),
        (HOSTILE, [[float(n) for n in range(len(HOSTILE))]] * 2),
    ],
    ids=["plain", "nought", "far apart", "hostile"],
)
def test_mermaid_draws_a_chart(
    labels: list[str], series: list[list[float]], tmp_path: Path
) -> None:
    dom = drawn(sanitize(f"## Head\n\n{chart('rmse by size', labels, series)}\n"), tmp_path)

    assert "<title>drawn</title>" in dom
    assert dom.count("<svg") == 1
    assert "rmse by size" in dom
    assert "<b>x" not in dom


def test_a_chart_that_mermaid_can_not_read_is_noticed(tmp_path: Path) -> None:
    dom = drawn("```mermaid\nxychart-beta\n    line [1e-05]\n```\n", tmp_path)

    assert "<title>failed" in dom
