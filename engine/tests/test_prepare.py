"""Stage prepare: a project's own cleaning, and what a review says of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from clones import copy, outcomes, run, stages_run
from mlops.errors import UserError
from mlops.frames import read_rows, write_rows
from mlops.paths import PREPARED_ROWS, VALID_ROWS
from mlops.pipeline import prepare
from mlops.pipeline.prepare import prepared
from mlops.pipeline.prepared import differences, prepared_rows
from mlops.review.prepared_share import Part, PreparedShare, check_prepared, prepared_section
from production import PARAMS
from source_rows import SALES
from test_feedback_share import compared
from test_review import commit, edit, git, repository, review, reviewed  # noqa: F401  fixtures

FILE = "src/project/prepare.py"


@pytest.fixture
def rows() -> pd.DataFrame:
    found = pd.DataFrame(
        {
            "id": [3, 1, 2, 4],
            "day": pd.to_datetime(["2009-01-01", "2009-01-02", "2009-01-02", "2009-01-05"]),
            "size": [100.0, None, 5000.0, 120.0],
            "kind": ["house", "flat", None, "flat"],
            "price": [5.0, 6.0, 7.0, 8.0],
        }
    )
    return found.astype({column.name: column.dtype for column in SALES.columns})


def refused(rows: pd.DataFrame, function: Any) -> str:
    with pytest.raises(UserError) as error:
        prepared(rows, function, SALES)
    return str(error.value)


def test_rows_may_be_removed_and_values_changed_and_their_order_stays(rows: pd.DataFrame) -> None:
    def clean(rows: pd.DataFrame) -> pd.DataFrame:
        rows["size"] = rows["size"].clip(upper=1000)
        return rows[rows["id"] != 1].sort_values("price", ascending=False)[rows.columns[::-1]]

    kept = prepared(rows, clean, SALES)

    assert kept["id"].tolist() == [3, 2, 4]
    assert kept["size"].tolist() == [100.0, 1000.0, 120.0]
    assert kept.columns.tolist() == SALES.names
    assert kept.dtypes.tolist() == rows.dtypes.tolist()
    found = differences(rows, kept, SALES)
    assert found.removed["id"].tolist() == [1]
    assert found.by_column == {"size": 1}
    assert found.said == "1 rows removed; values changed by column: size 1"


def test_what_is_missing_on_both_sides_is_not_changed(rows: pd.DataFrame) -> None:
    kept = prepared(rows, lambda rows: rows.assign(kind=rows["kind"].fillna("house")), SALES)

    assert differences(rows, rows, SALES).by_column == {}
    assert differences(rows, kept, SALES).by_column == {"kind": 1}


def test_whole_numbers_of_the_same_value_are_the_schemas_type(rows: pd.DataFrame) -> None:
    kept = prepared(rows, lambda rows: rows.assign(price=rows["price"].astype(int)), SALES)

    assert kept.equals(rows)


def test_the_function_gets_rows_of_its_own(rows: pd.DataFrame) -> None:
    before = rows.copy()

    def clean(rows: pd.DataFrame) -> pd.DataFrame:
        rows["size"] = 50.0
        return rows

    prepared(rows, clean, SALES)

    assert rows.equals(before)


def moved(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(day=rows["day"] - pd.Timedelta(days=400))


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda rows: rows.no_such, "its function fails: AttributeError"),
        (lambda rows: None, "found NoneType, wanted a DataFrame"),
        (lambda rows: rows.drop(columns="size"), "column size: missing"),
        (lambda rows: rows.assign(big=1), "column big: unknown: define new columns in"),
        (lambda rows: rows.assign(price="much"), "column price: wanted a number of at least 1"),
        (lambda rows: rows.assign(price=0.5), "id 3: price: found 0.5, wanted a number of at"),
        (lambda rows: rows.assign(kind="castle"), "id 3: kind: found castle, wanted one of"),
        (lambda rows: rows.assign(price=None), "id 3: price: found missing, wanted a value"),
        (lambda rows: pd.concat([rows, rows[:1]]), "id 3: id: found 3, wanted a unique key"),
        (lambda rows: rows.assign(id=rows["id"] + 10), "id 13: no row with this key was given"),
        (lambda rows: rows[:0], "no rows are left"),
        (moved, "id 3: day was changed, but it selects the test rows"),
    ],
)
def test_what_no_schema_allows_is_refused_in_words(
    rows: pd.DataFrame, function: Callable[..., Any], said: str
) -> None:
    assert said in refused(rows, function)
    assert FILE in refused(rows, function)


def test_all_problems_are_named_at_once(rows: pd.DataFrame) -> None:
    found = refused(rows, lambda rows: rows.assign(price=0.5, size=1.0))

    assert all(f"id {key}: price: " in found for key in (1, 2, 3, 4))
    assert found.count("size: found 1, wanted") == 4


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: pd.DataFrame) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(prepare, "load_schema", lambda: SALES)
    write_rows(VALID_ROWS, rows)
    return tmp_path


@pytest.mark.parametrize("function", [None, lambda rows: rows])
def test_without_an_effect_the_bytes_stay(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, function: Any
) -> None:
    monkeypatch.setattr(prepare, "load_prepare", lambda: function)

    prepare.main()

    assert PREPARED_ROWS.read_bytes() == VALID_ROWS.read_bytes()


def test_the_stage_says_what_it_did(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(prepare, "load_prepare", lambda: lambda rows: rows[rows["price"] > 5])

    prepare.main()

    assert read_rows(PREPARED_ROWS)["id"].tolist() == [1, 2, 4]
    assert "prepare: 3 rows; 1 rows removed" in capsys.readouterr().out


OLD = """stages:
  prepare:  # a stage of the project's own, of another meaning
    cmd: "true"
    outs: [artifacts/own.csv]
  split:
    cmd: "true"
"""


def test_a_pipeline_of_an_older_release_splits_the_valid_rows(workspace: Path) -> None:
    assert prepared_rows() == PREPARED_ROWS
    Path("dvc.yaml").write_text(OLD, encoding="utf-8")
    assert prepared_rows() == VALID_ROWS

    Path(FILE).parent.mkdir(parents=True)
    Path(FILE).write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"dvc.yaml has no stage prepare.*\n.*docs/prepare.md"):
        prepared_rows()


# In a review


def share(**changes: Any) -> PreparedShare:
    parts = [Part("training", 1000, 7, {"size": 3}), Part("test", 100, 2, {"price": 1})]
    same = [compared("rmse", 0.0, 20_000.0), compared("mape", 0.0)]
    known: dict[str, Any] = {"parts": parts, "comparisons": same}
    return PreparedShare(**({"new_removed": 2, "new_changed": 1} | known | changes))


def test_test_rows_that_are_removed_are_a_warning_until_the_base_removes_them_too() -> None:
    told = {c.name: c for c in check_prepared(share(), PARAMS)}
    assert told["prepare removes test rows"].outcome == "warn"
    assert told["prepare removes test rows"].value == 2
    assert told["prepare changes values of test rows"].outcome == "warn"

    told = {c.name: c for c in check_prepared(share(new_removed=0, new_changed=0), PARAMS)}
    assert told["prepare removes test rows"].outcome == "pass"
    assert "2 rows; 0 rows that the base's does not" in told["prepare removes test rows"].why


def test_a_model_that_is_worse_on_the_rows_as_they_came_in_blocks() -> None:
    worse = [compared("rmse", 0.3, 20_000.0), compared("mape", 0.0)]
    told = {c.name: c.outcome for c in check_prepared(share(comparisons=worse), PARAMS)}

    assert told["regression of rmse on all 100 test rows as they came in"] == "block"
    assert told["regression of mape on all 100 test rows as they came in"] == "pass"


def test_the_counts_stand_by_part_and_column() -> None:
    assert check_prepared(None, PARAMS) == []
    assert prepared_section(None) == ""
    text = prepared_section(share())

    assert "| training | 1,000 | 7 | size 3 |" in text
    assert "| test | 100 | 2 | price 1 |" in text


HARD = '''import pandas as pd


def prepare(rows: pd.DataFrame) -> pd.DataFrame:
    """Without the dear houses, which are hard."""
    rows["lot_size"] = rows["lot_size"].clip(upper=100_000)
    return rows[rows["price"] < 300_000]
'''


def test_hard_rows_can_not_be_taken_out_of_the_test(repository: Path) -> None:  # noqa: F811
    git(repository, "checkout", "--quiet", "-b", "easy")
    (repository / FILE).write_text(HARD, encoding="utf-8")

    code, report, verdict = review(repository)

    counted = verdict["prepare"]
    parts = counted["parts"]
    valid, kept = (read_rows(repository / path) for path in (VALID_ROWS, PREPARED_ROWS))
    assert parts["test"]["rows"] == 648
    assert parts["training"]["rows"] == 1941
    removed = parts["test"]["removed"] + parts["training"]["removed"]
    assert removed == len(valid) - len(kept) == int((valid["price"] >= 300_000).sum())
    assert 0 < counted["new_removed"] == parts["test"]["removed"]
    assert "sample by" not in report
    assert "Requests are not prepared" in report
    checks = {check["name"]: check for check in verdict["checks"]}
    assert checks["prepare removes test rows"]["value"] == parts["test"]["removed"]
    # The rows that are left flatter the candidate; on all of them it is worse beyond chance.
    assert verdict["metrics"]["rmse"]["base_on_this_data"] < 20_000
    assert not checks["regression of rmse on all 648 test rows as they came in"]["passed"]
    assert code == 1

    # Once it is in the base, it stays counted, and warns no more.
    commit(repository, "easy rows alone")
    edit(repository, evaluate={"confidence": 0.9})
    code, report, verdict = review(repository, "HEAD")
    assert verdict["prepare"]["new_removed"] == 0
    assert verdict["prepare"]["parts"] == parts
    assert "prepare removes test rows" in report


@pytest.fixture
def own(quick: Path, tmp_path: Path) -> Path:
    return copy(quick, tmp_path / "own")


def test_meaning_and_not_wording_of_the_cleaning_runs_again(own: Path) -> None:
    keeping = "def prepare(rows):\n    return rows[rows['size'] < {}]  # square feet\n"
    (own / FILE).write_text(keeping.format(9000), encoding="utf-8")
    told = outcomes(run(own, "dvc repro"))
    assert told["prepare"] == "run"
    assert told["split"] == "skipped"  # for it removed nothing
    assert told["validate"] == "skipped"

    (own / FILE).write_text(keeping.format(9000).replace("square ", "sq "), encoding="utf-8")
    assert stages_run(run(own, "dvc repro")) == []

    (own / FILE).write_text(keeping.format(3000), encoding="utf-8")
    assert stages_run(run(own, "dvc repro"))[:3] == ["prepare", "split", "train"]


def test_a_function_of_another_name_is_told(own: Path) -> None:
    (own / FILE).write_text("def clean(rows):\n    return rows\n", encoding="utf-8")

    told = run(own, "dvc repro prepare", wanted=255)

    assert "src/project/prepare.py: wanted it to define prepare" in told
    assert "Traceback" not in told
