"""Data of one's own: what is proposed for it, what is left out and said, and that it then runs."""

import datetime
import io
import re
import runpy
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from ruamel.yaml import YAML

from clones import clone, edit_params, run
from mlops import params
from mlops.adopt import project_tests
from mlops.adopt.adopted_params import adapted
from mlops.adopt.docs_examples import rewritten
from mlops.adopt.features_text import FEATURES_TEXT
from mlops.adopt.guess import Guess
from mlops.adopt.metrics_text import metrics_text
from mlops.adopt.proposal import Proposal, propose
from mlops.adopt.reading import read_table
from mlops.adopt.schema_text import schema_text
from mlops.columns import Column, Schema
from mlops.errors import UserError
from mlops.pipeline.feature_frame import MOST_CATEGORIES
from mlops.pipeline.splitting import key_shares
from paths import DEMO, ROOT, SOURCES
from project.models import KINDS
from project.schema import SCHEMA
from tables import credit, progression

ROWS = 200
TODAY = datetime.date(2026, 11, 23)


def table(**columns: Any) -> pd.DataFrame:
    """Rows with two plain features and a target to predict from them, and further columns."""
    number = pd.Series(range(ROWS))
    plain = {"width": number % 37 / 2 + 10, "colour": number.map(lambda n: "rgb"[n % 3])}
    return pd.DataFrame({**plain, **columns, "y": (number * 7919 % 1000) + 0.5})


def column(proposal: Proposal, name: str) -> Column:
    return next(column for column in proposal.columns if column.name == name)


def left_out(proposal: Proposal, header: str) -> str:
    (note,) = [note for note in proposal.notes if note.startswith(f"{header}: left out")]
    return note


def test_each_column_becomes_a_line_that_its_values_keep_with_room() -> None:
    count = [n % 9 + 3 for n in range(ROWS)]
    found = propose(
        table(
            **{"Petal Length (cm)": [1.25 + n % 50 / 10 for n in range(ROWS)]},
            count=[None, *count[1:]],
            share=[n % 11 / 10 for n in range(ROWS)],
            loss=[-5.0 - n % 20 for n in range(ROWS)],
            flag=[n % 2 == 0 for n in range(ROWS)],
            size=[["S", "L", None][n % 3] for n in range(ROWS)],
        ),
        "y",
    )

    assert list(found.columns) == [
        Column("row_id", "Number of the row", int, low=1, role="key"),
        Column("width", "Width", float, "", 5, 33),
        Column("colour", "Colour", str, choices=("b", "g", "r")),
        Column("petal_length", "Petal Length", float, "cm", 0, 7.4),
        Column("count", "Count", int, "", 1, 13, nullable=True),
        Column("share", "Share", float, "", 0, 1),
        Column("loss", "Loss", int, "", -29, 0),
        Column("flag", "Flag", bool),
        Column("size", "Size", str, choices=("L", "S"), nullable=True),
        Column("y", "Y", float, "", 0, 1240, role="target"),
    ]
    assert list(found.rows) == [column.name for column in found.columns]
    assert found.rows["row_id"].tolist() == list(range(1, ROWS + 1))
    assert found.task == "regression"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([1.0] * ROWS, "always 1.0"),
        ([None] * ROWS, "empty"),
        ([f"2026-01-{n % 28 + 1:02}" for n in range(ROWS)], "a date"),
        ([f"{n % 12 + 1}/{n % 28 + 1}/26" for n in range(ROWS)], "a date"),
        (pd.date_range("2026-01-01", periods=ROWS), "a date"),
        ([f"somebody {n}" for n in range(ROWS)], "a different text in nearly every row"),
        (["one\nline" if n % 2 else "another" for n in range(ROWS)], "line breaks"),
        (["?" if n % 50 == 0 else str(n % 17) for n in range(ROWS)], "--missing '?'"),
        ([2 * (n * 7919 % 1000) + 3 for n in range(ROWS)], "gives y away"),
        ([-((n * 7919 % 1000) ** 3) for n in range(ROWS)], "gives y away"),
        ([float("inf") if n == 3 else n % 5 / 2 for n in range(ROWS)], "infinite values"),
    ],
)
def test_what_can_not_be_a_feature_is_left_out_and_said(values: Any, reason: str) -> None:
    found = propose(table(odd=values), "y")

    assert reason in left_out(found, "odd")
    assert "odd" not in found.rows


def test_a_column_of_many_texts_is_open_unless_they_are_long() -> None:
    many = pd.concat([table()] * 3, ignore_index=True)
    many["town"] = [f"town {n % (MOST_CATEGORIES + 1)}" for n in range(len(many))]
    many["region"] = [f"region {n % MOST_CATEGORIES}" for n in range(len(many))]
    many["clause"] = [f"{n % 40} " + "x" * 200 for n in range(len(many))]
    many["essay"] = [f"{n % 201} " + "x" * 200 for n in range(len(many))]

    found = propose(many, "y")

    assert column(found, "town").open
    assert len(column(found, "region").choices) == MOST_CATEGORIES
    assert len(column(found, "clause").choices) == 40
    assert 'Column("town", "Town", str, open=True),' in schema_text(found.columns)
    assert "texts of more than 200 characters" in left_out(found, "essay")


@pytest.mark.parametrize(("classes", "refused"), [(MOST_CATEGORIES + 1, False), (201, True)])
def test_a_target_lists_its_classes_up_to_a_limit(classes: int, refused: bool) -> None:
    many = pd.concat([table()] * 6, ignore_index=True)
    many["kind"] = [f"kind {n % classes}" for n in range(len(many))]

    if refused:
        with pytest.raises(UserError, match="201 classes, wanted at most 200"):
            propose(many, "kind")
    else:
        assert len(column(propose(many, "kind"), "kind").choices) == classes


def test_what_seems_to_give_the_target_away_may_be_kept() -> None:
    twice = table(twice=[2 * (n * 7919 % 1000) for n in range(ROWS)])

    assert "twice" in propose(twice, "y", keep=["twice"]).rows


def test_a_category_that_tells_the_class_is_left_out() -> None:
    rows = table()
    rows["y"] = rows["colour"].map({"r": "yes", "g": "no", "b": "no"})

    assert "gives y away" in left_out(propose(rows, "y"), "colour")


def test_names_are_such_that_python_and_the_api_can_use() -> None:
    headers = ["Größe", "medInc", "2nd floor", "class", "json", "a.b", "A b", "???"]
    values = {header: table()["width"] + n for n, header in enumerate(headers)}

    found = propose(table(**values), "y")

    assert [c.name for c in found.columns[3:-1]] == [
        *("groe", "med_inc", "x_2nd_floor", "class_", "json_", "a_b", "a_b_2", "column")
    ]
    (note,) = [note for note in found.notes if note.startswith("renamed")]
    assert "medInc to med_inc" in note


@pytest.mark.parametrize(
    ("values", "kind"),
    [(range(5, ROWS + 5), int), ([f"u{n}" for n in range(ROWS)], str)],
)
def test_a_column_that_is_an_id_becomes_the_key(values: Any, kind: type) -> None:
    found = propose(table(user_id=list(values)), "y")

    assert found.columns[0] == Column("user_id", "User id", kind, role="key")
    assert "key: user_id, which is unique; to change it: --key" in found.notes


def test_a_key_that_is_none_is_refused_with_the_values_that_stand_twice() -> None:
    with pytest.raises(
        UserError, match=r"colour can't be the key: 200 rows .* a duplicate: r, g, b"
    ):
        propose(table(), "y", key="colour")


def test_days_are_read_and_test_the_model() -> None:
    rows = table(day=pd.date_range("2026-01-01", periods=ROWS).strftime("%Y-%m-%d"))
    found = propose(rows, "y", time="day")

    assert column(found, "day") == Column("day", "Day", datetime.date, role="time")
    written = yaml.safe_load(settings_of(found))
    assert written["ingest"]["until"] == "2026-07-19"
    day = {"test_from": "2026-06-10", "test_share": None, "max_train_rows": None, "held_out": None}
    assert written["split"] == day


def test_a_time_of_day_is_kept_for_features_to_be_derived_from() -> None:
    moments = pd.date_range("2026-01-01 09:30", periods=ROWS, freq="7h").astype("str")
    rows = table(ordered=moments, express=[False, True] * (ROWS // 2))
    found = propose(rows, "y", time="ordered")

    assert column(found, "ordered").type is datetime.datetime
    text = schema_text(found.columns, "Europe/Paris")
    assert "datetime.datetime, role=" in text
    assert 'timezone="Europe/Paris",\n)' in text
    assert found.rows["ordered"].dt.hour.nunique() == 24
    example = project_tests.tests_of(found)[Path("tests/test_schema.py")]
    assert '"ordered": "2026-01-01T09:30:00",' in example
    assert '"express": False,' in example


def test_what_is_no_day_is_named_with_its_row() -> None:
    days = ["2026-01-01"] * (ROWS - 1) + ["soon"]
    with pytest.raises(UserError, match=r"day: 1 rows have no day\n  row 199: found soon"):
        propose(table(day=days), "y", time="day")


@pytest.mark.parametrize(
    ("values", "task", "choices"),
    [
        (["yes", "no"], "classification", ("no", "yes")),
        ([True, False], "classification", ("False", "True")),
        ([0, 1], "classification", ("0", "1")),
        ([1.0, 2.0, 3.0], "classification", ("1", "2", "3")),
        ([1.5, 2.5, 3.5], "regression", ()),
    ],
)
def test_the_task_follows_from_the_targets_values(values: Any, task: str, choices: Any) -> None:
    rows = table()
    rows["y"] = [values[n * 7919 % 1000 % len(values)] for n in range(ROWS)]

    found = propose(rows, "y")

    assert (found.task, column(found, "y").choices) == (task, choices)
    assert f"task: {task}, inferred from the values of y; to change it: --task" in found.notes


def test_grades_are_a_number_if_the_task_is_said() -> None:
    rows = table()
    rows["y"] = [n * 7919 % 1000 % 7 for n in range(ROWS)]

    assert column(propose(rows, "y", task="regression"), "y").type is float


def test_rows_without_a_target_are_left_out_and_counted() -> None:
    rows = table()
    rows.loc[:9, "y"] = None

    found = propose(rows, "y")

    assert len(found.rows) == ROWS - 10
    assert "10 rows have no y: left out" in found.notes


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"target": "z"}, "No such column: z\nThe file has: width, colour, y"),
        ({"target": "y", "key": "k", "time": "t"}, "No such column: k, t"),
        ({"target": "colour", "task": "regression"}, "colour can't be the target: not a number"),
    ],
)
def test_what_can_not_be_done_is_said(asked: Any, told: str) -> None:
    with pytest.raises(UserError, match=re.escape(told)):
        propose(table(), **asked)


def proposals() -> list[Proposal]:
    dated = table(day=pd.date_range("2026-01-01", periods=ROWS))
    classes = table(**{"Long (mm)": [-1e6 - n % 9 for n in range(ROWS)]})
    classes["y"] = [f'say "{n * 7919 % 1000 % 30}" é' for n in range(ROWS)]
    classes["kind"] = [f"a kind with quite a long name, {n % 9}" for n in range(ROWS)]
    classes["six"] = [f"of six, {n % 6}" for n in range(ROWS)]
    return [propose(table(), "y"), propose(dated, "y", time="day"), propose(classes, "y")]


def settings_of(proposal: Proposal) -> str:
    return adapted((DEMO / "params.yaml").read_text(encoding="utf-8"), proposal, TODAY)


@pytest.mark.parametrize("proposal", proposals())
def test_the_schema_is_written_as_a_person_would_write_it(
    proposal: Proposal, tmp_path: Path
) -> None:
    file = tmp_path / "schema.py"
    file.write_text(schema_text(proposal.columns), encoding="utf-8")

    formatted = subprocess.run(
        ["ruff", "format", "--diff", "--config", ROOT / "pyproject.toml", file],
        capture_output=True, text=True,
    )  # fmt: skip
    assert formatted.returncode == 0, formatted.stdout
    assert runpy.run_path(str(file))["SCHEMA"] == Schema(proposal.columns)


@pytest.mark.parametrize("proposal", proposals())
def test_the_parameters_fit_the_schema_and_keep_their_comments(
    proposal: Proposal, tmp_path: Path
) -> None:
    file, shipped = tmp_path / "params.yaml", (DEMO / "params.yaml").read_text(encoding="utf-8")
    file.write_text(settings_of(proposal), encoding="utf-8")

    assert params.load_params(file, Schema(proposal.columns)).task == proposal.task
    comments = [line.partition("#")[2] for line in shipped.splitlines() if "#" in line]
    assert [line.partition("#")[2] for line in file.read_text().splitlines() if "#" in line] == [
        *comments
    ]


def test_other_writers_of_yaml_write_as_before() -> None:
    settings_of(proposals()[0])
    written = io.StringIO()

    YAML().dump({"nothing": None}, written)

    assert written.getvalue() == "nothing:\n", "as DVC writes dvc.lock"


def test_the_pages_ask_for_rows_of_the_new_columns_and_lose_links_to_the_demos_figures() -> None:
    pages = [(ROOT / f"docs/{name}.md").read_text() for name in ("serving", "monitoring")]
    proposal = propose(table(), "y")

    serving, monitoring = (rewritten(page, proposal) for page in pages)

    assert "curl '127.0.0.1:8000/predict?width=10.0&colour=b'" in serving
    assert """-d '{"rows": [{"width": 10.0, "colour": "b"}]}'""" in serving
    assert "engine/docs/measured" in pages[1]
    assert "](../engine/docs/measured" not in serving + monitoring
    assert rewritten(serving, proposal) == serving
    assert rewritten(pages[1], proposal, keep_measured=True) == pages[1]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "The file is empty"),
        (b"a\n1\n2\n", "found 2 rows of 1 column"),
        (b"a,b\n", "found 0 rows of 2 column"),
        (b"a,b\n\xff\xfe,1\n", "is not utf-8"),
        (None, "can't be read"),
    ],
)
def test_a_file_that_is_no_table_is_refused(
    content: bytes | None, told: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "rows.csv").write_bytes(content)

    with pytest.raises(UserError, match=told):
        read_table(tmp_path / "rows.csv")


@pytest.fixture
def repository(origin: Path, tmp_path: Path) -> Path:
    return clone(origin, tmp_path / "repository")


def adopt(folder: Path, words: str, wanted: int = 0) -> str:
    python = "python -m mlops.adopt"
    return run(folder, f"{python} {words}", wanted, PYTHONPATH=SOURCES)


def test_data_that_validation_would_stop_are_written_and_it_is_said(
    repository: Path, tmp_path: Path
) -> None:
    daily = pd.date_range("2024-01-01", periods=ROWS - 4)
    dated = table(day=daily.append(pd.date_range(daily[-1], periods=5, freq="30D")[1:]))
    dated.to_csv(tmp_path / "rows.csv", index=False)

    told = adopt(repository, f"{tmp_path}/rows.csv --target y --time day --yes")

    assert "The stage validate will fail until `validate:` or the data change" in told
    assert "validate.min_window_share" in told
    assert not list((repository / "data/source").glob("20*"))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (FEATURES_TEXT, "FEATURES: tuple[Derived, ...]"),
        (metrics_text("regression"), "METRICS: tuple[Metric, ...]"),
        (metrics_text("classification"), "METRICS: tuple[Metric, ...]"),
    ],
)
def test_the_example_in_an_adopted_file_passes_its_tests(
    text: str, name: str, tmp_path: Path
) -> None:
    _, lines, _ = re.split(r"For example:\n\n|\n\nSee docs/", text)
    empty = text[text.index("\nfrom mlops") :].replace(f"{name} = ()\n", "")
    example = textwrap.dedent(lines).replace(name.split(":")[0], name)
    file = tmp_path / "example.py"
    file.write_text(f'"""An example."""\n{empty}{example}\n', encoding="utf-8")

    found = runpy.run_path(str(file))
    typed = run(ROOT, f"mypy {file}", PYTHONPATH=SOURCES)

    assert len(found[name.split(":")[0]]) == 1
    assert "Success: no issues found in 1 source file" in typed


def test_the_offset_of_the_times_is_the_time_zone_of_the_schema(
    repository: Path, tmp_path: Path
) -> None:
    times = pd.date_range("2026-01-01 08:30", periods=ROWS, freq="7h")
    table(at=times.strftime("%Y-%m-%dT%H:%M:%S+05:30")).to_csv(tmp_path / "rows.csv", index=False)

    adopt(repository, f"{tmp_path}/rows.csv --target y --time at --yes")
    shown = "from mlops.project import load_schema; print(load_schema().timezone)"
    zone = run(repository, f'python -c "{shown}"', PYTHONPATH=SOURCES)

    assert '    timezone="+05:30",\n' in (repository / "src/project/schema.py").read_text()
    assert zone == "+05:30\n"
    assert "2026-01-01 08:30:00" in (repository / "data/source/rows.csv").read_text()


def test_nothing_is_written_unless_all_can_be(repository: Path, tmp_path: Path) -> None:
    table().to_csv(tmp_path / "rows.csv", index=False)
    broken = table(user_id=[f"two\nlines {n}" for n in range(ROWS)])
    broken.to_csv(tmp_path / "broken.csv", index=False)

    asked = adopt(repository, f"{tmp_path}/rows.csv --target y", wanted=1)
    stops = adopt(repository, f"{tmp_path}/broken.csv --target y --yes", wanted=1)
    run(repository, "echo '# mine' >> params.yaml")
    changed = adopt(repository, f"{tmp_path}/rows.csv --target y --yes", wanted=1)

    assert '+        Column("width", "Width", float' in asked
    assert "Nothing was written" in asked
    assert "mlops.pipeline.ingest would fail on these rows; nothing was changed" in stops
    assert "broken.csv: line 2: found a " in stops
    assert "Not committed, and would be overwritten:\n   M params.yaml" in changed
    assert run(repository, "git status --porcelain") == " M params.yaml\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "target"), [(progression, "target"), (credit, "Status")], ids=["number", "classes"]
)
def test_an_adopted_repository_is_theirs_and_its_tests_are_about_their_table(
    make: Callable[[], pd.DataFrame], target: str, repository: Path, tmp_path: Path
) -> None:
    make().to_csv(tmp_path / "theirs.csv", index=False)
    adopt(repository, f"{tmp_path}/theirs.csv --target {target} --yes")
    run(repository, "git add -A && git commit -qm 'Our own data'")
    made = "make -o .venv/run -o .venv/test"

    first = run(repository, f"{made} test", PYTHONPATH=SOURCES)
    edit_params(repository, {"models.hist_gradient_boosting.learning_rate": 0.04})
    second = run(repository, f"{made} test", PYTHONPATH=SOURCES)

    files = run(repository, "git ls-files").split()
    assert len([name for name in files if not name.startswith("engine/")]) <= 120
    assert not [name for name in files if name.startswith(("engine/tests", "engine/benchmarks"))]
    for told in (first, second):
        assert re.search(r"^=+ \d+ passed in ", told, re.MULTILINE)
    text = (repository / "tests/test_schema.py").read_text(encoding="utf-8")
    assert f'"{SCHEMA.key.name}"' not in text
    told = run(repository, f"{made} -o .venv/dev test-engine", wanted=2, PYTHONPATH=SOURCES)
    assert "The engine's tests are in the template: adoption removes them" in told


@pytest.mark.slow
def test_the_engines_tests_may_stay_and_need_no_project_but_their_own(
    repository: Path, tmp_path: Path
) -> None:
    progression().to_csv(tmp_path / "theirs.csv", index=False)
    adopt(repository, f"{tmp_path}/theirs.csv --target target --keep-engine-tests --yes")
    run(repository, "git add -A && git commit -qm 'Our own data'")

    told = run(
        repository / "engine/tests",
        "python -m pytest -q test_schema.py test_params.py test_model.py test_api.py -m 'not slow'",
    )

    assert " passed" in told


EXPORT = "Id;Wohn Fläche (m2);Hat Pool;Kauf Preis;Tag\n"


def export(first: int, rows: int) -> str:
    """Write rows as a company's system does: decimal comma, days first, a word for nothing."""
    lines = [
        f"{n};{n * 7919 % 1000 // 4},5;{'TRUE' if n % 3 else 'FALSE'};"
        f"{'k.A.' if n % 50 == 9 else f'{n * 104729 % 999 + 1},25 €'};"
        f"{n % 28 + 1:02}.{n % 12 + 1:02}.2026"
        for n in range(first, first + rows)
    ]
    return EXPORT + "\n".join(lines) + "\n"


def test_the_next_export_is_taken_as_it_comes_and_a_second_adoption_asks(
    repository: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_bytes(export(1, 300).encode("cp1252"))
    second.write_bytes(export(301, 20).encode("cp1252"))
    said = "--missing k.A. --encoding cp1252 --yes"
    told = adopt(repository, f"{first} --target 'Kauf Preis' {said}")
    run(repository, "git add -A && git commit -qm 'Our own data'")

    added = adopt(repository, f"{second} --add --yes")
    again = adopt(repository, f"{second} --add --yes", wanted=1)
    other = adopt(repository, f"{second} --target 'Kauf Preis' {said}", wanted=1)

    assert "Kauf Preis: 294 value(s) read as numbers, decimal ',', '€' removed" in told
    assert "data/source/second.csv. Then: make run" in added
    assert "already exists" in again
    assert "they would be removed" in other or "Not committed" in other
    rows = pd.read_csv(repository / "data/source/second.csv")
    assert len(rows) == 19, "one has no price"
    assert rows["kauf_preis"].tolist()[0] == 301 * 104729 % 999 + 1.25
    assert rows["hat_pool"].tolist()[:2] == [True, True]
    run(repository, "python -m mlops.pipeline.ingest", PYTHONPATH=SOURCES)
    broken = tmp_path / "third.csv"
    broken.write_bytes(export(401, 3).replace(",5;", ".5;").encode("cp1252"))
    told = adopt(repository, f"{broken} --add --yes", wanted=1)
    assert "row 1: Wohn Fläche (m2): found" in told


def test_the_next_export_may_bring_a_new_column_and_a_second_table_stays_out_of_it(
    repository: Path, tmp_path: Path
) -> None:
    first, second, third = (tmp_path / f"{name}.csv" for name in ("first", "second", "third"))
    first.write_text("id;kind;area;price\n" + "".join(
        f"{n};{'abc'[n % 3]};{n % 90},5;{n * 7 % 50 + 1}\n" for n in range(1, 301)
    ))  # fmt: skip
    second.write_text("id;kind;area;price;floor\n301;a;5,5;9;3\n302;b;6,5;9;\n")
    third.write_text("id;kind;area;price\n303;c;5,5;9\n")
    adopt(repository, f"{first} --target price --key id --yes")
    schema = repository / "src/project/schema.py"
    line = '        Column("floor", "Floor", int, low=0, nullable=True),\n'
    schema.write_text(
        schema.read_text().replace('        Column("area"', f'{line}        Column("area"')
    )
    (repository / "data/kinds.csv").write_text("kind,tax\na,1\nb,2\n")
    (repository / "src/project/sources.py").write_text(
        "from mlops.columns import Column\nfrom mlops.joins import Join\n\n"
        'KIND = Column("kind", "Kind", str, choices=("a", "b", "c"), role="key")\n'
        'TAX = Column("tax", "Tax", float, nullable=True)\n'
        'JOINS = (Join(table="kinds", path="data/kinds.csv", columns=(KIND, TAX), on="kind",\n'
        '              serve="request"),)\n'
    )

    adopt(repository, f"{second} --add --yes")
    adopt(repository, f"{third} --add --yes")

    told = run(repository, "python -m mlops.pipeline.ingest", PYTHONPATH=SOURCES)
    assert "floor: 2 partition(s) without it, where it is missing: first.csv, third.csv" in told
    assert "table 'kinds': 101 of 303 rows have no match for kind: c" in told
    rows = pd.read_parquet(repository / "artifacts/ingest/rows.parquet").set_index("id")
    assert rows["floor"].dropna().to_dict() == {301: 3.0}
    assert rows.loc[[301, 302], "tax"].tolist() == [1.0, 2.0]


def test_rows_without_a_key_go_on_counting_and_repeated_ones_are_said(
    repository: Path, tmp_path: Path
) -> None:
    table().to_csv(tmp_path / "rows.csv", index=False)
    table().to_csv(tmp_path / "more.csv", index=False)
    adopt(repository, f"{tmp_path}/rows.csv --target y --yes")

    told = adopt(repository, f"{tmp_path}/more.csv --add --yes")

    assert f"rows are numbered as row_id from {ROWS + 1}" in told
    assert "rows are already in data/source" in told


def test_a_name_that_retraining_writes_is_refused(repository: Path, tmp_path: Path) -> None:
    table().to_csv(tmp_path / "feedback.csv", index=False)

    told = adopt(repository, f"{tmp_path}/feedback.csv --target y --yes", wanted=1)

    assert "the name feedback.csv is reserved" in told


CLASSES = Column("y", "", str, choices=("no", "yes"), role="target")
NUMBER = Column("y", "", float, role="target")
OF_POSITIVES = ["roc_auc", "average_precision", "recall"]


@pytest.mark.parametrize(
    ("target", "train", "test", "floors", "undefined"),
    [
        (CLASSES, ["no"] * 3 + ["yes"], ["no", "yes"], {"roc_auc": 0.5, "log_loss": 0.8369}, []),
        (CLASSES, ["no"] * 3 + ["yes"], ["no", "no"], {"log_loss": 0.2876}, OF_POSITIVES),
        (NUMBER, [1.0, 2.0, 4.0], [1.0, 3.0], {"r2": 0.0}, []),
        (NUMBER, [1.0, 2.0, 4.0], [5.0, 5.0], {"rmse": 3.0}, ["r2"]),
        (NUMBER, [1.0, 2.0, 4.0], [0.0, 3.0], {"r2": 0.0}, ["mape", "median_ape"]),
        (NUMBER, [5.0, 5.0], [5.0, 5.0], {"rmse": 0.0}, ["r2"]),
    ],
)
def test_floors_are_defined_on_the_test_rows_and_no_worse_than_a_guess_there(
    target: Column, train: Any, test: Any, floors: dict[str, float], undefined: list[str]
) -> None:
    sides = [pd.DataFrame({"y": values}) for values in (train, test)]

    guess = Guess.of(*sides, target)

    task = "classification" if target.choices else "regression"
    assert guess.floors(task) == floors  # type: ignore[arg-type]
    assert list(guess.undefined) == undefined
    assert all(why in " ".join(guess.notes()) for why in guess.undefined.values())
    reached = {name: guess.metrics[name] for name in floors}
    assert all(floors[name] <= reached[name] for name in floors if name in ("rmse", "log_loss"))


def test_limits_are_set_on_no_metric_that_the_test_rows_do_not_define() -> None:
    rows = table()
    rows["y"] = ["yes" if n % 4 == 0 else "no" for n in range(ROWS)]
    proposal = propose(rows, "y")
    guess = Guess.of(proposal.rows, proposal.rows[proposal.rows["y"] == "no"], CLASSES)

    text = adapted((DEMO / "params.yaml").read_text("utf-8"), proposal, TODAY, guess=guess)

    gate = yaml.safe_load(text)["gate"]
    assert "roc_auc" not in gate["floors"] | gate["max_regression"]
    assert "log_loss" in gate["floors"]


@pytest.mark.parametrize(
    ("case", "target", "said", "share"),
    [
        ("h09_one_class_train.csv", "churn", "all 224 training rows have the churn 'no'", 0.2),
        ("h10_single_day.csv", "y", "0 training and 280 test rows of 280", 0.2),
        ("h07_const_test.csv", "y", "r2 is undefined on the test rows", None),
    ],
)
def test_the_split_is_rehearsed_and_rows_by_chance_test_where_days_can_not(
    case: str, target: str, said: str, share: float | None, repository: Path
) -> None:
    file = ROOT / "engine/tests/cases" / case

    told = adopt(repository, f"{file} --target {target} --time day --yes")

    split = yaml.safe_load((repository / "params.yaml").read_text())["split"]
    assert said in told
    assert split["test_share"] == share


def test_a_library_that_aborts_at_exit_does_not_change_what_a_rehearsal_found(
    repository: Path, tmp_path: Path
) -> None:
    """As Arrow's threads do on a busy machine; what is not written by then is lost."""
    aborting = "\nimport ctypes\nlibc = ctypes.CDLL(None)\n"
    aborting += "libc.__cxa_atexit(ctypes.cast(libc.abort, ctypes.c_void_p), None, None)\n"
    with (repository / "engine/mlops/pipeline/ingest.py").open("a") as ingest:
        ingest.write(aborting)
    run(repository, "git commit --quiet --all --message aborting")
    table().to_csv(tmp_path / "rows.csv", index=False)
    broken = table(user_id=[f"two\nlines {n}" for n in range(ROWS)])
    broken.to_csv(tmp_path / "broken.csv", index=False)

    refused = adopt(repository, f"{tmp_path}/broken.csv --target y --yes", wanted=1)

    assert refused.startswith("mlops.pipeline.ingest would fail on these rows"), refused
    assert "Written." in adopt(repository, f"{tmp_path}/rows.csv --target y --yes")


def test_rows_of_which_no_split_makes_a_model_are_refused_in_words(
    repository: Path, tmp_path: Path
) -> None:
    rows = table(day=["2026-01-01"] * ROWS)
    tested = np.flatnonzero(key_shares(pd.Series(range(1, ROWS + 1))) < 0.2)[0]
    rows["y"] = ["rare" if n == tested else "often" for n in range(ROWS)]
    rows.to_csv(tmp_path / "rare.csv", index=False)

    told = adopt(repository, f"{tmp_path}/rare.csv --target y --time day --yes", wanted=1)

    assert "No model can be trained on these rows" in told
    assert "training rows have the y 'often'" in told
    assert run(repository, "git status --porcelain") == ""


def test_many_rows_get_the_hyper_parameters_that_the_library_has() -> None:
    text = (DEMO / "params.yaml").read_text(encoding="utf-8")
    few, many = propose(table(), "y"), propose(pd.concat([table()] * 30, ignore_index=True), "y")

    own, librarys = (
        yaml.safe_load(adapted(text, p, TODAY, kinds=KINDS))["models"]["hist_gradient_boosting"]
        for p in (few, many)
    )

    assert own == yaml.safe_load(text)["models"]["hist_gradient_boosting"]
    assert librarys == own | {
        "learning_rate": 0.1, "max_iter": 100, "max_leaf_nodes": 31, "l2_regularization": 0.0
    }  # fmt: skip
    ridge = text.replace("kind: hist_gradient_boosting", "kind: ridge")
    assert adapted(ridge, many, TODAY, kinds=KINDS) == adapted(ridge, many, TODAY)


def test_few_rows_give_nothing_away_by_chance_and_few_texts_are_categories() -> None:
    found = propose(table().head(4), "y")

    assert [c.name for c in found.columns] == ["row_id", "width", "colour", "y"]

    few = (
        table()
        .head(19)
        .assign(grown=[7 * n + n % 3 for n in range(19)], y=np.linspace(100.5, 200.25, 19))
    )
    assert "grown" in [c.name for c in propose(few, "y").columns]


@pytest.mark.parametrize(
    ("values", "logarithm"),
    [
        (np.exp(np.linspace(0, 5, ROWS)), True),
        (np.exp(np.linspace(0, 1, ROWS)), False),  # hardly skewed: errors count as they are
        (-np.exp(np.linspace(0, 5, ROWS)), False),
        (np.r_[0.0, np.exp(np.linspace(0, 5, ROWS - 1))], False),
        (np.linspace(1, 9, ROWS), False),
    ],
)
def test_a_highly_skewed_target_above_0_is_learnt_as_its_logarithm(
    values: Any, logarithm: bool
) -> None:
    rows = table()
    rows["y"] = np.random.default_rng(0).permutation(values)

    found = yaml.safe_load(settings_of(propose(rows, "y")))

    assert found["train"]["log_target"] is logarithm
