"""A person's everyday tasks with data, played to the end: two files at most, fifteen lines each."""

import json
import sqlite3
from pathlib import Path

import pandas as pd
import pytest

from clones import copy, edit_params, run
from mlops.frames import read_rows
from mlops.paths import INGESTED_ROWS, TEST_ROWS, VALIDATION_MD

ENGINE = "PYTHONPATH=engine:src"


@pytest.fixture
def own(quick: Path, tmp_path: Path) -> Path:
    return copy(quick, tmp_path / "own")


def edited(repository: Path) -> dict[str, int]:
    """Count the lines written by hand, by file: rows, days in params.yaml and locks are none."""
    run(repository, "git add --intent-to-add .")
    found = {}
    for line in run(repository, "git diff --numstat").splitlines():
        added, _, name = line.split("\t")
        if name not in ("dvc.lock", "params.yaml") and not name.endswith(".csv"):
            found[name] = int(added)
    return found


def insert(path: Path, before: str, text: str) -> None:
    edit(path, before, text + before)


def edit(path: Path, old: str, new: str) -> None:
    content = path.read_text(encoding="utf-8")
    assert old in content
    path.write_text(content.replace(old, new, 1), encoding="utf-8")


POOL = '        Column("pool", "Area of the pool", float, "square feet", 0, 2000, nullable=True),\n'
FEATURES = """from mlops.columns import Derived

FEATURES = (
    Derived("pool_share", "Pool per lot", float, "", ("pool", "lot_size"), lambda p, lot: p / lot),
)
"""


def test_a_new_raw_column_needs_no_older_partition_to_be_rewritten(own: Path) -> None:
    path = own / "data/source/2010-q1.csv"
    newest = pd.read_csv(path)
    newest["pool"] = [100.0 if number % 2 else None for number in range(len(newest))]
    newest.to_csv(path, index=False)
    insert(own / "src/project/schema.py", '        Column("price"', POOL)
    (own / "src/project/features.py").write_text(FEATURES, encoding="utf-8")
    edit_params(own, {"ingest.until": "2010-03-31"})

    run(own, f"dvc repro && {ENGINE} python -m mlops.params")

    said = (own / VALIDATION_MD).read_text(encoding="utf-8")
    assert (
        "- pool: 18 partition(s) without it, where it is missing: 2006-q1.csv, 2006-q2.csv," in said
    )
    rows = read_rows(own / INGESTED_ROWS)
    known = rows["pool"].notna()
    assert known.sum() == len(newest) // 2
    assert rows["sold_on"][known].min() >= pd.Timestamp("2010-01-01")
    told = run(own, f"{ENGINE} python -c \"import mlops; rows = mlops.load_rows('test'); "
                    'print(rows.pool_share.notna().sum(), rows.pool.notna().sum())"')  # fmt: skip
    made, given = map(int, told.split()[-2:])
    assert 0 < made <= given == known.sum()
    assert edited(own) == {"src/project/schema.py": 1, "src/project/features.py": 5}

    # A column that may not be missing has to be in each partition.
    schema = own / "src/project/schema.py"
    edit(schema, POOL, POOL.replace(", nullable=True", ""))
    told = run(own, "dvc repro ingest", wanted=255)
    assert "2006-q1.csv: line 1: missing column(s) pool" in told
    assert "Traceback" not in told


def test_a_column_that_no_partition_has_is_refused_by_name(own: Path) -> None:
    insert(own / "src/project/schema.py", '        Column("price"', POOL)

    told = run(own, "dvc repro ingest", wanted=255)

    assert "ingest.source data/source: no partition has column(s) pool" in told
    assert "Traceback" not in told


QUERY = """SELECT * FROM sales
WHERE sold_on >= :since AND sold_on < :until
"""


def put_database(own: Path, quarters: list[str]) -> str:
    """Move partitions into a database; give its address."""
    database = own.parent / "sales.db"
    with sqlite3.connect(database) as connection:
        for quarter in quarters:
            path = own / f"data/source/{quarter}.csv"
            pd.read_csv(path).to_sql("sales", connection, if_exists="append", index=False)
            path.unlink()
    connection.close()
    return f"sqlite:///{database}"


def test_a_database_becomes_partitions_and_a_retraining_collects_them(own: Path) -> None:
    before = read_rows(own / INGESTED_ROWS)
    url = put_database(own, ["2009-q4", "2010-q1", "2010-q2", "2010-q3"])
    (own / "data/query.sql").write_text(QUERY, encoding="utf-8")
    collect = f"{ENGINE} python -m mlops.collect"

    told = run(own, f"{collect} --today 2010-01-01", SOURCE_DATABASE_URL=url)

    [path] = (own / "data/source").glob("2009-10-*_2009-12-*.csv")
    assert f"collect: {path.relative_to(own)} written" in told
    run(own, "dvc repro split")
    assert read_rows(own / INGESTED_ROWS).equals(before)  # as if it had come as a file
    assert edited(own) == {"data/query.sql": 2}

    run(own, "git add -A && git commit -q -m 'a database'")
    told = run(own, f"{collect} --today 2010-01-01", SOURCE_DATABASE_URL=url)
    assert "0 new row(s) after 2009-12-" in told
    assert run(own, "git status --porcelain") == ""

    retrain = f"{ENGINE} python -m mlops.monitoring.retrain --today 2010-04-01 --force"
    told = run(own, retrain, SOURCE_DATABASE_URL=url)
    proposed = own / "artifacts/retrain/files/data/source"
    [partition] = proposed.iterdir()
    assert partition.name.startswith("2010-01-")
    assert partition.read_bytes() == (own / "data/source" / partition.name).read_bytes()
    decision = json.loads((own / "artifacts/retrain/decision.json").read_text())
    assert decision["propose"]
    assert decision["source_until"] == str(read_rows(own / TEST_ROWS)["sold_on"].max().date())


PREPARE = '''import pandas as pd


def prepare(rows: pd.DataFrame) -> pd.DataFrame:
    """Without what is no ordinary sale."""
    rows["garage_size"] = rows["garage_size"].clip(upper=1200)
    return rows[rows["size"] < 4000]
'''


def test_cleaning_of_ones_own_is_one_file(own: Path) -> None:
    (own / "src/project/prepare.py").write_text(PREPARE, encoding="utf-8")

    told = run(own, f"dvc repro && {ENGINE} python -m mlops.review --base HEAD; true")

    assert "removed by prepare" in told
    assert edited(own) == {"src/project/prepare.py": 7}
