"""Each kind of cause on a real repository: the review names it among the first three."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from clones import copy, edit_params, run
from paths import SOURCES

pytestmark = pytest.mark.slow

FIRST = 3


@pytest.fixture(scope="module")
def explained(quick: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy(quick, tmp_path_factory.mktemp("explained") / "repository")


def partitions(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Change every partition of the source."""
    for path in sorted((folder / "data/source").glob("*.csv")):
        change(pd.read_csv(path)).to_csv(path, index=False)


def schema(folder: Path, old: str, new: str) -> None:
    path = folder / "src/project/schema.py"
    text = path.read_text(encoding="utf-8")
    assert len(re.findall(old, text)) == 1
    path.write_text(re.sub(old, new, text), encoding="utf-8")


def again(rows: pd.DataFrame) -> pd.DataFrame:
    more = rows.head(len(rows) // 5)
    return pd.concat([rows, more.assign(sale_id=more["sale_id"] + 10**9)])


def parameter(folder: Path) -> None:
    edit_params(folder, {"models.hist_gradient_boosting.learning_rate": 0.2})


def column(folder: Path) -> None:
    # Without the column in its rows, the base's model could not be compared at all.
    schema(folder, r'( *Column\("quality".*)\),\n', r'\1, role="ignore"),\n')


def unit(folder: Path) -> None:
    partitions(folder, lambda rows: rows.assign(garage_size=rows["garage_size"] / 10.7639))


def duplicates(folder: Path) -> None:
    partitions(folder, again)


def labels(folder: Path) -> None:
    def raised(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(price=rows["price"].where(rows.index % 4 > 0, rows["price"] * 1.3))

    partitions(folder, raised)


def category(folder: Path) -> None:
    partitions(folder, lambda rows: rows.replace({"neighborhood": {"CollgCr": "Veenker"}}))


def fewer(folder: Path) -> None:
    partitions(folder, lambda rows: rows.iloc[::2])


def leak(folder: Path) -> None:
    line = r'( *)(Column\("price".*\n)'
    schema(folder, line, r'\1Column("assessed", "Value", float, "US dollars", 0, 1e7),\n\1\2')
    partitions(folder, lambda rows: rows.assign(assessed=rows["price"] * 1.01))


def library(folder: Path) -> None:
    path = folder / "requirements.txt"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"(?m)^scipy==[\d.]+", "scipy==1.0.0", text), encoding="utf-8")


def bounds(folder: Path) -> None:
    schema(folder, '"square feet", 200, 6000', '"square feet", 200, 2000')
    edit_params(folder, {"validate.quarantine": True})


@pytest.mark.parametrize(
    ("change", "kind", "word"),
    [
        (parameter, "parameter", "learning_rate was"),
        (column, "column", "quality is no input"),
        (unit, "unit", "square metres"),
        (duplicates, "duplicates", "repeat another row"),
        (labels, "labels", "price was changed"),
        (category, "category", "CollgCr became Veenker"),
        (fewer, "rows", "rows are gone"),
        (leak, "leak", "assessed alone predicts price"),
        (library, "library", "scipy was"),
        (bounds, "bounds", "high of size"),
    ],
)
def test_the_review_names_the_cause_among_the_first_three(
    change: Callable[[Path], None], kind: str, word: str, explained: Path
) -> None:
    run(explained, "git checkout -q --force main && git clean -qfd && git checkout -q -B change")
    change(explained)
    run(explained, "git add -A && git commit -q -m change")

    review = "python -m mlops.review --base main || test $? = 1"
    run(explained, review, PYTHONPATH=SOURCES)

    folder = explained / "artifacts/review"
    verdict = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    causes = [cause for cause in verdict["causes"][:FIRST] if cause["kind"] == kind]
    assert any(word in cause["evidence"] for cause in causes), verdict["causes"]
    assert verdict["served"]["row"]["value"] > 0
    assert "the likely causes, strongest first" in (folder / "report.md").read_text("utf-8")
