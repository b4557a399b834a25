"""Stage validate: what stops, what is set aside, and what the report says."""

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops import frames
from mlops.errors import UserError
from mlops.frames import read_rows, write_rows
from mlops.params import Validate
from mlops.paths import (
    INGESTED_ROWS,
    QUARANTINED_ROWS,
    VALID_ROWS,
    VALIDATION_JSON,
    VALIDATION_MD,
)
from mlops.pipeline import validate
from mlops.pipeline.validate import REASON, markdown, table_problems, validate_file
from mlops.sampling import valid_rows
from paths import DEMO
from project.schema import SCHEMA

UNTIL = datetime.date(2009, 12, 31)
PARAMS = Validate(
    quarantine=False, min_rows=10, max_age_days=45, window_days=90, min_window_share=0.2
)
QUARANTINE = PARAMS.model_copy(update={"quarantine": True})


@pytest.fixture
def rows() -> pd.DataFrame:
    return valid_rows(SCHEMA, 400, seed=2)


def checked(rows: pd.DataFrame, folder: Path, params: Validate) -> tuple[pd.DataFrame, Any]:
    write_rows(folder / "rows.parquet", rows)
    return validate_file(folder / "rows.parquet", params, UNTIL, SCHEMA)


def test_valid_rows_pass(rows: pd.DataFrame, tmp_path: Path) -> None:
    failing, report = checked(rows, tmp_path, PARAMS)

    assert failing.empty
    assert list(failing.dtypes) == [*rows.dtypes, pd.StringDtype(na_value=np.nan)]
    assert report["passed"]
    assert report["conditions"] == []


def test_a_failing_row_stops_and_is_reported_with_its_key_and_value(
    rows: pd.DataFrame, tmp_path: Path
) -> None:
    rows.loc[3, "size"] = 7000.0
    rows.loc[3, "quality"] = 11.0
    rows.loc[8, "size"] = 8000.0

    failing, report = checked(rows, tmp_path, PARAMS)

    assert not report["passed"]
    assert failing[SCHEMA.key.name].tolist() == [4, 9]
    assert report["conditions"][1] == {
        "column": "size",
        "wanted": "a number from 200 to 6,000",
        "rows": 2,
        "examples": ["7000", "8000"],
    }
    text = markdown(report, "sale_id")
    assert "Data validation FAILED" in text
    assert "400 rows, 2 failing" in text
    assert "| 4 | quality: found 11, wanted a whole number from 1 to 10; size: found 7000" in text


def test_quarantine_parts_the_rows_and_loses_none(rows: pd.DataFrame, tmp_path: Path) -> None:
    rows.loc[[3, 5], "size"] = np.inf

    failing, report = checked(rows, tmp_path, QUARANTINE)

    assert report["passed"]
    assert report["rows"] == 400
    assert failing[SCHEMA.key.name].tolist() == [4, 6]
    assert failing[REASON].str.contains("found inf, wanted a number from 200 to 6,000").all()
    assert "2 failing, 2 quarantined" in markdown(report, "sale_id")


def test_every_row_of_a_repeated_key_is_set_aside(rows: pd.DataFrame, tmp_path: Path) -> None:
    rows.loc[[1, 2], "sale_id"] = 500

    failing, _ = checked(rows, tmp_path, QUARANTINE)

    assert failing["sale_id"].tolist() == [500, 500]
    assert failing.index.tolist() == [1, 2]


def test_rows_of_several_groups_fail_as_those_of_one(
    rows: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = rows.drop(columns="rooms")
    broken.loc[[3, 150, 398], "size"] = [-1, -2, -3]
    broken.loc[399, "sale_id"] = broken.loc[0, "sale_id"]
    failing, report = checked(broken, tmp_path, QUARANTINE)
    monkeypatch.setattr(frames, "GROUP_ROWS", 70)
    in_groups, same = checked(broken, tmp_path, QUARANTINE)

    assert frames.group_starts(tmp_path / "rows.parquet") == [0, 70, 140, 210, 280, 350]
    assert failing.index.tolist() == [0, 3, 150, 398, 399]
    pd.testing.assert_frame_equal(in_groups, failing)
    assert same == report


@pytest.mark.parametrize(("min_rows", "n_problems"), [(399, 0), (400, 0), (401, 1)])
def test_too_few_rows_stop(rows: pd.DataFrame, min_rows: int, n_problems: int) -> None:
    params = PARAMS.model_copy(update={"min_rows": min_rows})

    assert len(table_problems(rows, params, UNTIL, SCHEMA)) == n_problems


def test_an_empty_table_is_not_valid(rows: pd.DataFrame, tmp_path: Path) -> None:
    _, report = checked(rows.head(0), tmp_path, QUARANTINE)

    assert not report["passed"]
    assert report["table"] == ["0 valid rows, wanted validate.min_rows = 10"]


@pytest.mark.parametrize(("age", "n_problems"), [(44, 0), (45, 0), (46, 1)])
def test_stale_data_stops(rows: pd.DataFrame, age: int, n_problems: int) -> None:
    until = rows["sold_on"].max().date() + datetime.timedelta(days=age)
    params = PARAMS.model_copy(update={"min_window_share": 0.0})

    found = table_problems(rows, params, until, SCHEMA)

    assert len(found) == n_problems
    if found:
        assert f"46 days older than ingest.until {until}" in found[0]


def test_a_sudden_lack_of_rows_stops(rows: pd.DataFrame) -> None:
    newest = rows["sold_on"].sort_values().index[-1]
    recent = rows["sold_on"] > pd.Timestamp(UNTIL) - pd.Timedelta(days=90)
    thinned = rows[~recent | (rows.index == newest)]

    (problem,) = table_problems(thinned, PARAMS, UNTIL, SCHEMA)

    assert "1 rows in the last 90 days, the median is" in problem
    assert "validate.min_window_share = 0.2" in problem


def test_freshness_is_that_of_the_valid_rows(rows: pd.DataFrame, tmp_path: Path) -> None:
    recent = rows["sold_on"] > pd.Timestamp(UNTIL) - pd.Timedelta(days=100)
    rows.loc[recent, "size"] = -1.0

    _, report = checked(rows, tmp_path, QUARANTINE)

    assert not report["passed"]
    assert "the newest valid row is" in report["table"][0]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    text = (DEMO / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(text.replace("min_rows: 500", "min_rows: 50"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_stopped_stage_leaves_the_report_but_no_valid_rows(
    workspace: Path, rows: pd.DataFrame
) -> None:
    rows.loc[0, "rooms"] = 99.0
    write_rows(INGESTED_ROWS, rows)

    with pytest.raises(UserError) as error:
        validate.main()

    assert "| rooms | a whole number from 1 to 20 | 1 | 99 |" in str(error.value)
    assert "validate.quarantine: true" in str(error.value)
    assert not json.loads(VALIDATION_JSON.read_text())["passed"]
    assert "FAILED" in VALIDATION_MD.read_text()
    assert read_rows(QUARANTINED_ROWS)["sale_id"].tolist() == [1]
    assert not VALID_ROWS.exists()


def test_a_passed_stage_writes_valid_rows_and_an_empty_quarantine(
    workspace: Path, rows: pd.DataFrame
) -> None:
    write_rows(INGESTED_ROWS, rows)

    validate.main()

    assert len(read_rows(VALID_ROWS)) == 400
    assert len(read_rows(QUARANTINED_ROWS)) == 0


def test_a_stage_with_rows_set_aside_writes_the_others(workspace: Path, rows: pd.DataFrame) -> None:
    text = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace("quarantine: false", "quarantine: true"))
    write_rows(workspace / "wanted.parquet", rows.drop(index=[3, 5]))
    rows.loc[[3, 5], "size"] = np.inf
    write_rows(INGESTED_ROWS, rows)

    validate.main()

    assert VALID_ROWS.read_bytes() == (workspace / "wanted.parquet").read_bytes()
    assert read_rows(QUARANTINED_ROWS)["sale_id"].tolist() == [4, 6]
