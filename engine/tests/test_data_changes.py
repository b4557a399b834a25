"""Changes of the data in real repositories, as their review tells them."""

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pandas as pd
import pytest

from clones import copy, edit_params
from paths import ROOT
from test_review import commit, git, review

Table = pd.DataFrame


@pytest.fixture(scope="module")
def origin(quick: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy(quick, tmp_path_factory.mktemp("origin") / "repository")


@pytest.fixture
def repository(origin: Path) -> Path:
    git(origin, "checkout", "--quiet", "--force", "main")
    git(origin, "clean", "--quiet", "--force", "-d")
    git(origin, "checkout", "--quiet", "-B", "change")
    return origin


def edit_partition(repository: Path, name: str, change: Callable[[Table], Table]) -> None:
    path = repository / f"data/source/{name}.csv"
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    change(rows).to_csv(path, index=False)


def reviewed(repository: Path) -> tuple[str, dict]:  # type: ignore[type-arg]
    commit(repository, "a change of the data")
    _, report, verdict = review(repository)
    schema = json.loads((ROOT / "docs/verdict.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(verdict, schema)
    shown, _, _ = report.partition("<details>")
    return shown.replace("\\", "").replace("<wbr>", ""), verdict


def test_rows_that_were_removed_and_cells_in_another_unit_are_shown(repository: Path) -> None:
    def change(rows: Table) -> Table:
        metres = (pd.to_numeric(rows["basement_size"]) / 10.7639).round(2)
        return rows.assign(basement_size=metres).iloc[3:]

    edit_partition(repository, "2008-q3", change)

    shown, verdict = reviewed(repository)

    data = verdict["data"]
    assert (data["added"], data["removed"]) == (0, 3)
    assert set(data["changed_columns"]) == {"basement_size"}
    assert "**Data:** 0 rows added, 3 removed," in shown
    assert "basement_size: values were multiplied by 0.0929" in shown
    assert "(square feet to square metres?)" in shown
    assert len(data["examples"]["removed"]) == 3
    example = data["examples"]["changed"]["basement_size"][0]
    assert example["after"] < example["before"]
    assert verdict["rows"]["kind"] == "numbers"
    assert "**Predictions:** of 648 test rows," in shown


@pytest.mark.slow
def test_a_partition_given_twice_under_other_keys_is_called_so(repository: Path) -> None:
    path = repository / "data/source/2008-q2.csv"
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    rows["sale_id"] = (rows["sale_id"].astype(int) + 100_000).astype(str)
    rows.to_csv(repository / "data/source/2008-q2-copy.csv", index=False)

    shown, verdict = reviewed(repository)

    assert verdict["data"]["added"] == len(rows)
    assert f"**Data:** {len(rows):,} rows added (2008-04-" in shown
    assert "added rows repeat others in all but sale_id" in shown
    assert "a partition given twice?" in shown


@pytest.mark.slow
def test_a_renamed_column_is_called_so_and_compared_though_no_model_is(repository: Path) -> None:
    for path in (repository / "data/source").glob("*.csv"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("garage_size", "parking_size", 1), encoding="utf-8")
    schema = repository / "src/project/schema.py"
    text = schema.read_text(encoding="utf-8")
    schema.write_text(text.replace('"garage_size"', '"parking_size"'), encoding="utf-8")

    shown, verdict = reviewed(repository)

    assert "**No comparison with the base:**" in shown
    assert "column garage_size was renamed to parking_size" in shown
    assert "Schema: column garage_size was removed" in shown
    assert verdict["data"]["changed"] == 0
    assert verdict["rows"] is None
    assert verdict["not_comparable"]


@pytest.mark.slow
def test_rows_in_quarantine_are_counted_with_their_reasons(repository: Path) -> None:
    edit_params(repository, {"validate.quarantine": True})

    def change(rows: Table) -> Table:
        return rows.assign(size=["99"] * 4 + list(rows["size"])[4:])

    edit_partition(repository, "2008-q3", change)

    shown, verdict = reviewed(repository)

    assert "In quarantine: 4 rows (base: 0)." in shown
    assert verdict["data"]["removed"] == 4
    (reason,) = verdict["data"]["quarantine"]["reasons"]
    assert (reason["column"], reason["rows"]) == ("size", 4)


@pytest.mark.slow
def test_keys_and_cells_are_hidden_where_params_yaml_says_so(repository: Path) -> None:
    params = repository / "params.yaml"
    text = params.read_text(encoding="utf-8")
    params.write_text(text.replace("examples: true", "examples: false"), encoding="utf-8")
    edit_partition(repository, "2008-q3", lambda rows: rows.assign(condition="1").iloc[1:])

    _, verdict = reviewed(repository)

    assert verdict["data"]["changed"] > 0
    assert verdict["data"]["examples"] == {"added": [], "removed": [], "changed": {}}
    assert verdict["rows"]["most"] == []
