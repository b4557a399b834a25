"""A second table, joined by key: at training, and in a request or from the bundle."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clones import copy, outcomes, run
from mlops.columns import Column, Schema
from mlops.derived import derive
from mlops.errors import UserError
from mlops.frames import with_derived
from mlops.joins import Join, with_joins
from mlops.lookups import with_tables
from mlops.pipeline import joining
from mlops.pipeline.joining import bring, read_table
from mlops.pipeline.partitions import lacking, read_partitions
from source_rows import SALES, put, sales
from test_everyday_data import edited

COLUMNS = (
    Column("kind", "Kind of house", str, choices=("house", "flat"), role="key"),
    Column("tax", "Tax of the kind", float, "per cent", 0, 50, nullable=True),
    Column("shared", "Has shared walls", bool, nullable=True),
)
REQUESTED = Join(table="kinds", path="data/kinds.csv", columns=COLUMNS, on="kind", serve="request")
IN_BUNDLE = Join(table="kinds", path="data/kinds.csv", columns=COLUMNS, on="kind", serve="table")
TABLE = "kind,tax,shared\nhouse,3.5,false\nflat,2,true\n"


def joined(join: Join) -> Schema:
    return with_joins(SALES, (join,))


def changed(join: Join = REQUESTED, **changes: Any) -> Join:
    return Join(**({name: getattr(join, name) for name in Join.__dataclass_fields__} | changes))


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "data/kinds.csv", TABLE)
    return tmp_path


def refused(join: Join, text: str) -> str:
    put(Path(join.path), text)
    with pytest.raises(UserError) as error:
        read_table(join, "UTC")
    assert str(error.value).startswith(f"{join.path} (table 'kinds' of src/project/sources.py): ")
    return str(error.value)


# Entries


KEYLESS = (Column("kind", "Kind", str, choices=("house",)), COLUMNS[1])
OF_TEXT = (COLUMNS[0], Column("note", "Note", str, nullable=True))
TWICE = (COLUMNS[0], Column("size", "Size", float, nullable=True))
WHOLE = (Column("number", "Number", int, role="key"), COLUMNS[1])
STRICT = (COLUMNS[0], Column("tax", "Tax", float))
INPUT = (COLUMNS[0], Column("note", "Note", str, nullable=True, role="input"))


@pytest.mark.parametrize(
    ("join", "said"),
    [
        (changed(columns=KEYLESS), "wanted 1 column of role 'key', found none"),
        (changed(columns=COLUMNS[:1]), "adds no column"),
        (changed(columns=OF_TEXT), "column 'note': a text feature must list its choices"),
        (changed(columns=TWICE), "size is a column of src/project/schema.py, too"),
        (changed(columns=WHOLE), "key number is int, kind is str"),
        (changed(columns=STRICT), "tax: wanted nullable=True, or unmatched='refuse'"),
        (changed(IN_BUNDLE, columns=INPUT), "note: wanted role 'feature', because serve='table'"),
        (changed(on="price"), "on 'price': wanted a column of src/project/schema.py other than"),
        (changed(on="sort"), "on 'sort': wanted a column of src/project/schema.py"),
        (changed(path="/etc/passwd.csv"), "wanted a file below data/"),
        (changed(path="data/../../x.csv"), "wanted a file below data/"),
        (changed(path="data/kinds.xlsx"), "wanted a file below data/"),
        (changed(serve="both"), "serve 'both': wanted 'request' or 'table'"),
        (changed(unmatched="drop"), "unmatched 'drop': wanted 'missing' or 'refuse'"),
    ],
)
def test_an_entry_that_contradicts_itself_or_the_schema_is_named(join: Join, said: str) -> None:
    with pytest.raises(ValueError, match=r"src/project/sources\.py: table 'kinds': ") as error:
        joined(join)

    assert said in str(error.value)


def test_two_tables_bring_no_column_twice() -> None:
    with pytest.raises(ValueError, match="tax is a column of table 'kinds', too") as error:
        with_joins(SALES, (REQUESTED, changed(table="again")))
    assert "shared is a column of" in str(error.value)
    with pytest.raises(ValueError, match="table 'kinds' is duplicated"):
        with_joins(SALES, (REQUESTED, REQUESTED))


def test_a_key_that_no_request_has_serves_what_a_request_carries_alone() -> None:
    hidden = Schema((*SALES.columns, Column("shop", "Shop", str, role="ignore")))
    shops = (Column("shop", "Shop", str, role="key"), COLUMNS[1])

    schema = with_joins(hidden, (changed(columns=shops, on="shop"),))

    assert [column.name for column in schema.inputs] == ["size", "kind", "tax"]
    with pytest.raises(ValueError, match=r"requests don't have it .role 'ignore'.: set serve"):
        with_joins(hidden, (changed(IN_BUNDLE, columns=shops, on="shop"),))


# Tables


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind,tax,shared\nhouse,1,true\nhouse,2,true\n", "kind house: kind: found house, wanted"),
        ("kind,tax,shared\nhouse,51,true\n", "kind house: tax: found 51, wanted a number from 0"),
        ("kind,tax,shared\ncastle,5,true\n", "kind castle: kind: found castle, wanted one of"),
        ("kind,tax,shared\nhouse,much,1\n", "line 2: tax: found 'much', wanted a number"),
        ("kind,tax,shared\n,5,true\n", "line 2: kind: found nothing, wanted one of house, flat"),
        ("kind,rate\nhouse,5\n", "unknown column(s) 'rate' (add them to src/project/sources.py?)"),
        ("tax,shared\n5,true\n", "missing column(s) kind"),
        ("kind,tax,shared\nhouse,5", "the file is truncated"),
    ],
)
def test_a_faulty_table_is_refused_by_key_and_column(text: str, said: str) -> None:
    assert said in refused(REQUESTED, text)


def test_a_table_that_is_not_there_is_told() -> None:
    with pytest.raises(UserError, match=r"data/none.csv .*can't be read.*\n.*dvc checkout"):
        read_table(changed(path="data/none.csv"), "UTC")


def test_a_table_for_the_bundle_has_a_size_a_server_can_keep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(joining, "MOST_ROWS", 1)

    assert "2 rows, wanted at most 1 in a table that a server keeps" in refused(IN_BUNDLE, TABLE)
    assert len(read_table(REQUESTED, "UTC")) == 2


# Rows


def ingested(join: Join, **partitions: str) -> tuple[pd.DataFrame, list[str]]:
    for name, text in partitions.items():
        put(Path(f"source/{name}.csv"), text)
    schema = joined(join)
    table = read_partitions("source", schema)
    rows, lacks = table.to_pandas(), lacking(table)
    found, notes = bring(rows, lacks, join, read_table(join, "UTC"))
    assert found["id"].tolist() == rows["id"].tolist()  # none lost, none twice
    return found, notes


ROWS = ("1,2009-01-01,100,flat,5", "2,2009-01-01,100,house,5", "3,2009-01-01,100,,5")


def test_each_row_gets_its_columns_and_none_is_multiplied_or_lost() -> None:
    rows, notes = ingested(REQUESTED, a=sales(*ROWS))

    assert rows["tax"].tolist()[:2] == [2, 3.5]
    assert rows["shared"].tolist()[:2] == [1, 0]
    assert rows[["tax", "shared"]].isna().all(axis=1).tolist() == [False, False, True]
    assert notes == [
        "table 'kinds': 1 of 3 rows have no match for kind: none; its columns are missing there"
    ]


def test_unmatched_rows_are_counted_and_their_keys_named() -> None:
    put(Path("data/kinds.csv"), "kind,tax,shared\nflat,2,true\n")

    _, notes = ingested(REQUESTED, a=sales(*ROWS, "4,2009-01-02,9,house,5"))
    assert "3 of 4 rows have no match for kind: house, none" in notes[0]

    with pytest.raises(UserError, match=r"3 of 4 rows.*\n.*Add them to data/kinds.csv"):
        ingested(changed(unmatched="refuse"))


def test_a_partition_that_has_the_columns_keeps_its_own() -> None:
    own = "id,day,size,kind,price,tax,shared\n7,2009-01-01,1,flat,5,9,false\n8,2009-01-01,1,,5,8,\n"

    rows, notes = ingested(REQUESTED, a=sales(*ROWS[:2]), b=own)

    assert rows["tax"].tolist() == [2, 3.5, 9, 8]
    assert rows["shared"].tolist()[:3] == [1, 0, 0]
    assert notes == []  # nor does a row with columns of its own need a match


def test_keys_that_are_whole_numbers_match() -> None:
    numbers = Schema(
        (*SALES.columns, Column("shop", "Shop", int, nullable=True)), timezone=SALES.timezone
    )
    columns = (Column("shop", "Shop", int, role="key"), COLUMNS[1])
    join = changed(columns=columns, on="shop", path="data/shops.csv")
    put(Path(join.path), "shop,tax\n12,1\n7,2\n")
    put(
        Path("source/a.csv"), "id,day,size,kind,price,shop\n1,2009-01-01,,,5,7\n2,2009-01-01,,,5,\n"
    )
    table = read_partitions("source", with_joins(numbers, (join,)))

    rows, _ = bring(table.to_pandas(), lacking(table), join, read_table(join, "UTC"))
    assert rows["tax"].tolist()[0] == 2
    assert np.isnan(rows["tax"].tolist()[1])

    bundled = changed(join, serve="table")
    of_bundle = with_joins(numbers, (bundled,))
    schema = with_tables(of_bundle, joining.contents(of_bundle))
    found = derive({"shop": [12, None, 7, 8]}, schema)
    assert found["tax"].tolist()[::2] == [1, 2]
    assert np.isnan(found["tax"][[1, 3]]).all()


# From the bundle


def test_a_looked_up_feature_is_the_tables_value_wherever_it_is_derived() -> None:
    schema = joined(IN_BUNDLE)
    schema = with_tables(schema, json.loads(json.dumps(joining.contents(schema))))
    rows = pd.DataFrame({"size": [1.0] * 3, "kind": ["flat", None, "house"]})

    made = with_derived(rows, schema)

    assert made["tax"].tolist()[::2] == [2, 3.5]
    assert made["shared"].tolist()[::2] == [1, 0]
    assert made[["tax", "shared"]].isna().to_numpy()[1].all()
    assert [column.name for column in schema.inputs] == ["size", "kind"]


def test_a_schema_without_its_tables_says_so() -> None:
    rows = pd.DataFrame({"size": [1.0], "kind": ["flat"]})

    with pytest.raises(UserError, match="the tables of the joins have not been read"):
        with_derived(rows, joined(IN_BUNDLE))


# A project


SOURCES = """from mlops.columns import Column
from mlops.joins import Join
from project.schema import SCHEMA

PLACE = Column("neighborhood", "Name", str, choices=SCHEMA["neighborhood"].choices, role="key")
JOINS = (
    Join(
        table="neighborhoods",
        path="data/neighborhoods.csv",
        columns=(PLACE, Column("income", "Median income", float, "US dollars", 0, nullable=True)),
        on="neighborhood",
        serve="{}",
    ),
)
"""


def project(repository: Path, serve: str) -> dict[str, float]:
    """Give the demo a second table, of which one neighborhood is missing."""
    (repository / "src/project/sources.py").write_text(SOURCES.format(serve), encoding="utf-8")
    rows = pd.concat(map(pd.read_csv, sorted((repository / "data/source").glob("*.csv"))))
    income = (rows.groupby("neighborhood")["price"].median() / 4).round(2).iloc[1:]
    income.rename("income").to_csv(repository / "data/neighborhoods.csv")
    return dict(income)


SERVED = """
import json, sys
from mlops.project import load_schema
from mlops.testing import api, held_out_rows
from mlops.pipeline.equivalence import as_requests
schema = load_schema()
rows = held_out_rows()
sent = as_requests(rows.head(20), schema)
for row in sent:
    for name in [name for name, value in row.items() if value is None]:
        del row[name]
with api(schema) as client:
    batch = client.post("/predict", json={"rows": sent}).json()["predictions"]
    alone = [client.get("/predict", params=row).json()["predicted_price"] for row in sent]
    row = sent[0] | {"neighborhood": "NAmes"}
    other = client.get("/predict", params=row).json()["predicted_price"]
    strange = client.get("/predict", params=row | {"income": 1.0}).status_code
print(json.dumps({"batch": batch, "alone": alone, "other": other, "strange": strange,
                  "columns": sorted(rows.columns), "first": sent[0]}))
"""


def served(repository: Path) -> Any:
    told = run(repository, f"python -c '{SERVED}'", PYTHONPATH="engine:src")
    return json.loads(told.splitlines()[-1])


def recorded(repository: Path) -> list[float]:
    found = pd.read_parquet(repository / "artifacts/evaluate/predictions.parquet")
    return found["predicted"].head(20).tolist()


SCORED = "PYTHONPATH=engine:src python -m mlops.score artifacts/split/test.parquet scored.parquet"


@pytest.fixture(params=["request", "table"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_table_holds_in_training_the_api_scoring_and_the_review(
    quick: Path, tmp_path: Path, way: str
) -> None:
    repository = copy(quick, tmp_path / "own")
    income = project(repository, way)

    told = run(repository, "PYTHONPATH=engine:src python -m mlops.review --base HEAD; true")

    assert "rows have no match for neighborhood: " in told.replace("\\", "")
    assert edited(repository) == {"src/project/sources.py": 14}
    found, wanted = served(repository), recorded(repository)
    assert np.allclose(found["alone"], wanted, rtol=1e-7)
    assert np.allclose(found["batch"], wanted, rtol=1e-7)
    run(repository, SCORED)
    scored = pd.read_parquet(repository / "scored.parquet")
    assert np.allclose(scored["predicted_price"].head(20), wanted, rtol=1e-7)
    assert ("income" in found["columns"]) == (way == "request")
    assert found["strange"] == (200 if way == "request" else 422)
    if way == "request":
        assert found["first"]["income"] == income[found["first"]["neighborhood"]]
        return
    # From the bundle alone: a server has no folder of data.
    reference = json.loads((repository / "artifacts/bundle/reference.json").read_text())
    assert "income" in reference["features"]
    os.rename(repository / "data/neighborhoods.csv", repository / "elsewhere.csv")
    assert served(repository) == found
    os.rename(repository / "elsewhere.csv", repository / "data/neighborhoods.csv")

    run(repository, "git add -A && git commit -q -m 'a second table'")
    # Another table is another model: each side of a review looks up in its own.
    table = pd.read_csv(repository / "data/neighborhoods.csv")
    table.assign(income=table["income"][::-1].to_numpy()).to_csv(
        repository / "data/neighborhoods.csv", index=False
    )
    told = run(repository, "PYTHONPATH=engine:src python -m mlops.review --base HEAD; true")
    verdict = json.loads((repository / "artifacts/review/verdict.json").read_text())
    rmse = verdict["metrics"]["rmse"]
    assert rmse["base_on_this_data"] == rmse["base_recorded"] != rmse["candidate"], told
    assert json.loads((repository / "artifacts/bundle/lookups.json").read_text())


def test_a_change_of_the_table_runs_again_what_uses_it_and_a_word_does_not(
    quick: Path, tmp_path: Path, way: str
) -> None:
    repository = copy(quick, tmp_path / "own")
    project(repository, way)
    run(repository, "dvc repro --quiet split")
    sources, table = (repository / "src/project/sources.py", repository / "data/neighborhoods.csv")

    sources.write_text(sources.read_text().replace("Median income", "Income, median"))
    assert set(outcomes(run(repository, "dvc repro split")).values()) == {"skipped"}

    table.write_text(table.read_text().replace("Edwards,", "Edwards,1"))
    told = outcomes(run(repository, "dvc repro split"))
    assert told["ingest"] == "run"
    assert told["split"] == ("run" if way == "request" else "skipped")
    dry = run(repository, "dvc repro --dry train")
    assert "Running stage 'train'" in dry

    table.write_text(table.read_text() + table.read_text().splitlines()[-1] + "\n")
    told = run(repository, "dvc repro ingest", wanted=255)
    assert "wanted a unique key" in told
    assert "Traceback" not in told
