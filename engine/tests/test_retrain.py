"""What a retraining takes in, and when it calls a model better."""

import contextlib
import datetime
import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import yaml

from clones import copy
from mlops.errors import UserError
from mlops.github.gh_api import GitHubRefused
from mlops.monitoring import feedback, retrain
from mlops.monitoring.feedback import labelled_rows, write_partition
from mlops.monitoring.label_shift import LISTED, label_shift
from mlops.monitoring.log_reader import read_feedback
from mlops.monitoring.new_rows import add_new_rows, is_corrected, move_window
from mlops.monitoring.retrain import is_better, not_compared
from mlops.paths import FEEDBACK
from mlops.pipeline.partitions import read_partitions
from mlops.review.checkouts import PipelineFailed
from mlops.review.model_comparison import Comparison
from paths import DEMO
from production import DAY, PARAMS, Log, sales
from project.schema import SCHEMA
from standard import PRICES

SALES = sales()
JUNE = datetime.datetime(2010, 6, 1, 12, tzinfo=datetime.UTC).timestamp()
MAY, END = datetime.date(2010, 5, 31), datetime.date(2010, 6, 30)


@pytest.fixture
def log(tmp_path: Path) -> Any:
    with contextlib.closing(Log(f"sqlite:///{tmp_path}/log.db")) as made:
        yield made


def test_params_move_on_and_keep_every_comment() -> None:
    text = (DEMO / "params.yaml").read_text(encoding="utf-8")

    edited = move_window(text, END, MAY, PARAMS, level=True)

    lines = [(a, b) for a, b in zip(text.splitlines(), edited.splitlines(), strict=True) if a != b]
    assert [new.split("#")[0].strip() for _, new in lines] == [
        'until: "2010-06-30"',
        'test_from: "2010-06-17"',
        'held_out: ["2010-05-18", "2010-05-31"]',
        "level_days: 14",
    ]
    assert all(old.split("#")[1:] == new.split("#")[1:] for old, new in lines)
    assert yaml.safe_load(edited)["monitor"] == yaml.safe_load(text)["monitor"]
    assert "level_days: null" in move_window(text, END, MAY, PARAMS, level=False)


@pytest.mark.parametrize(
    ("source", "held_out"),
    [
        ("2009-12-31", '["2009-12-18", "2009-12-31"]'),
        ("2010-06-16", '["2010-06-03", "2010-06-16"]'),
        ("2010-06-25", '["2010-06-03", "2010-06-16"]'),  # what is newer tests already
        ("2010-06-30", "null"),  # nothing is feedback
    ],
)
def test_where_feedback_tests_the_model_the_sources_last_days_are_held_out(
    source: str, held_out: str
) -> None:
    text = (DEMO / "params.yaml").read_text(encoding="utf-8")
    older = re.sub(r"(?m)^  held_out: .*\n", "", text)
    day = datetime.date.fromisoformat(source)

    for known in (
        text,
        older,
        move_window(text, MAY, datetime.date(2009, 1, 1), PARAMS, level=False),
    ):
        edited = move_window(known, END, day, PARAMS, level=False)

        assert f"\n  held_out: {held_out}" in edited
        assert yaml.safe_load(edited)["split"]["test_from"] == "2010-06-17"
        assert edited.count("held_out:") == 1


@pytest.mark.parametrize(
    ("chosen", "repository", "answer", "told"),
    [
        ("", None, None, None),  # a machine of one's own
        ("", "acme/demo", {"private": True}, None),
        ("", "acme/demo", {"private": False}, "is public"),
        ("", "acme/demo", {}, "is public"),
        ("", "acme/demo", GitHubRefused("x"), "does not report"),
        ("", "acme/demo", OSError("no gh"), "does not report"),
        ("yes", "acme/demo", {"private": False}, None),
        ("no", "acme/demo", {"private": True}, "is no"),
        ("no", None, None, "is no"),
    ],
)
def test_rows_of_production_are_published_only_where_that_was_switched_on(
    chosen: str, repository: str | None, answer: Any, told: str | None, monkeypatch: Any
) -> None:
    def api(path: str) -> Any:
        assert path == "repos/acme/demo"
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(feedback, "api", api)
    monkeypatch.setenv("PUBLISH_FEEDBACK", chosen)
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    if repository:
        monkeypatch.setenv("GITHUB_REPOSITORY", repository)

    why = feedback.why_not_published()

    assert (why is None) if told is None else told in str(why)


@pytest.mark.parametrize(
    ("why", "more", "url"),
    [(None, [], "sqlite:///log.db"), ("it is public", [], ""), (None, ["--no-feedback"], "")],
)
def test_feedback_that_must_not_be_published_is_not_read(
    why: str | None, more: list[str], url: str, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def take(params: Any, schema: Any, today: Any, url: str, level: bool) -> dict[str, Any]:
        asked.append(url)
        return {"until": "2009-12-31", "was": "2009-12-31", "feedback_rows": 0, "left_out": 0}

    monkeypatch.setenv("PREDICTION_LOG_URL", "sqlite:///log.db")
    monkeypatch.setattr(sys, "argv", ["retrain", *more])
    monkeypatch.setattr(retrain, "why_not_published", lambda: why)
    monkeypatch.setattr(retrain, "add_new_rows", take)
    monkeypatch.setattr(retrain, "is_corrected", lambda source: False)

    retrain.main()

    assert asked == [url]
    decision = json.loads((tree / "artifacts/retrain/decision.json").read_text(encoding="utf-8"))
    assert decision["withheld"] == why


def test_a_pull_request_says_that_feedback_was_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "report.md").write_text("the review\n")
    monkeypatch.setattr(retrain, "REPORT", tmp_path / "report.md")
    facts = {"until": "2010-06-01", "was": "2009-12-31", "why": "better", "feedback_rows": 0}

    assert "Feedback is left out: it is public." in retrain.body(
        facts | {"withheld": "it is public"}, PARAMS, SCHEMA
    )
    assert "left out" not in retrain.body(facts | {"withheld": None}, PARAMS, SCHEMA)


@pytest.mark.parametrize("chosen", ["Yes", "true", "1", "on", " no"])
def test_a_switch_that_says_neither_yes_nor_no_is_refused(
    chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBLISH_FEEDBACK", chosen)

    with pytest.raises(UserError, match="wanted yes or no"):
        feedback.why_not_published()


def test_sections_that_a_person_wrote_on_one_line_move_on_too() -> None:
    text = "ingest: {until: '2009-12-31'}  # so far\nsplit: {test_from: '2009-01-01'}\n"

    edited = move_window(text, END, MAY, PARAMS, level=False)

    assert yaml.safe_load(edited) == {
        "ingest": {"until": "2010-06-30"},
        "split": {"test_from": "2010-06-17", "held_out": ["2010-05-18", "2010-05-31"]},
    }
    assert "# so far" in edited


def test_feedback_becomes_rows_of_the_days_that_the_source_lacks(log: Log, tmp_path: Path) -> None:
    rows = SALES[:40]
    ids = log.predict(rows, at=JUNE - 30 * DAY, together=40)
    log.tell(ids[:10], rows["price"], at=JUNE - DAY)  # the source's own days
    log.tell(ids[10:30], rows["price"][10:], at=JUNE)
    log.tell(ids[30:], rows["price"][30:], at=JUNE + 60 * DAY)  # too new to be complete

    told = read_feedback(log.url, SCHEMA)
    taken, left_out = labelled_rows(told, MAY, END, SCHEMA)
    write_partition(str(tmp_path), taken, SCHEMA)
    read = read_partitions(str(tmp_path), SCHEMA).to_pandas()

    assert (len(taken), left_out) == (20, 0)
    assert sorted(read["price"]) == sorted(rows["price"][10:30])
    assert set(read["sold_on"].dt.date) == {datetime.date(2010, 6, 1)}
    assert read["sale_id"].is_unique
    assert sorted(read["size"]) == sorted(rows["size"][10:30])


def test_feedback_that_breaks_the_contract_is_left_out_and_counted(log: Log) -> None:
    rows = SALES[:20]
    prices = [-5.0, 3e9, *rows["price"][2:]]
    log.tell(log.predict(rows, at=JUNE - DAY), prices, at=JUNE)

    taken, left_out = labelled_rows(read_feedback(log.url, SCHEMA), MAY, END, SCHEMA)

    assert (len(taken), left_out) == (18, 2)


def test_feedback_that_the_source_has_caught_up_with_leaves_no_partition(tmp_path: Path) -> None:
    (tmp_path / FEEDBACK).write_text(f"sale_id,price\n{2**41},1\n")

    write_partition(str(tmp_path), pd.DataFrame(), SCHEMA)

    assert not (tmp_path / FEEDBACK).exists()


@pytest.mark.parametrize("source", ["s3://bucket/sales", "/no/such/folder"])
def test_feedback_for_a_source_elsewhere_is_refused_with_the_way_out(source: str) -> None:
    with pytest.raises(UserError, match="--no-feedback"):
        write_partition(source, SALES[:3], SCHEMA)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work tree with parameters and a source that ends in 2009."""
    source = tmp_path / "tree/data/source"
    source.mkdir(parents=True)
    for path in sorted((DEMO / "data/source").glob("200*.csv")):
        (source / path.name).write_bytes(path.read_bytes())
    text = (DEMO / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "tree/params.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path / "tree")
    return tmp_path / "tree"


def test_the_newest_day_of_source_and_feedback_is_taken_in_but_not_today(
    tree: Path, log: Log
) -> None:
    rows = SALES[:6]
    log.tell(log.predict(rows, at=JUNE), rows["price"], at=JUNE)
    june = datetime.date(2010, 6, 1)

    today = add_new_rows(PARAMS, SCHEMA, june, log.url, level=False)
    tomorrow = add_new_rows(PARAMS, SCHEMA, june + datetime.timedelta(days=1), log.url, level=False)

    assert (today["feedback_rows"], tomorrow["feedback_rows"]) == (0, 6)
    assert (today["until"], tomorrow["until"]) == ("2009-12-31", "2010-06-01")


def test_a_second_time_changes_nothing_more(tree: Path, log: Log) -> None:
    rows = SALES[:6]
    log.tell(log.predict(rows, at=JUNE), rows["price"], at=JUNE)

    states = []
    for _ in range(2):
        add_new_rows(PARAMS, SCHEMA, END, log.url, level=True)
        states.append({p.name: p.read_bytes() for p in tree.rglob("*") if p.is_file()})

    assert states[0] == states[1]


def test_a_source_of_another_schema_stops_before_anything_is_changed(tree: Path) -> None:
    (tree / "data/source/2010-q1.csv").write_text("sale_id,sold_on,surface\n1,2010-01-01,9\n")
    before = (tree / "params.yaml").read_text(encoding="utf-8")

    with pytest.raises(UserError, match="2010-q1"):
        add_new_rows(PARAMS, SCHEMA, END, "", level=False)

    assert (tree / "params.yaml").read_text(encoding="utf-8") == before


def compared(**intervals: tuple[float | None, float | None]) -> list[Comparison]:
    """Give comparisons of which nothing but the interval is known."""
    rest = (None,) * 4
    return [
        Comparison(metric, *rest, low, high, regression=None, spread=None)
        for metric, (low, high) in intervals.items()
    ]


@pytest.mark.parametrize(
    ("rmse", "mape", "better"),
    [
        ((-9.0, -1.0), (-9.0, -1.0), True),
        ((-9.0, 1.0), (-9.0, -1.0), True),
        ((-9.0, 1.0), (-9.0, 1.0), False),
        ((1.0, 9.0), (-9.0, -1.0), False),
        ((-9.0, 0.0), (-9.0, 0.0), False),
        ((None, None), (-9.0, -1.0), False),
    ],
)
def test_better_is_better_beyond_chance_in_one_metric_and_worse_in_none(
    rmse: Any, mape: Any, better: bool
) -> None:
    assert is_better(compared(rmse=rmse, mape=mape), PARAMS) is better


@pytest.mark.parametrize("rows", [0, 1234])
def test_the_pull_request_says_how_much_came_by_feedback(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "report.md").write_text("the review\n")
    monkeypatch.setattr(retrain, "REPORT", tmp_path / "report.md")
    facts = {"until": "2010-06-01", "was": "2009-12-31", "why": "better", "withheld": None}
    facts |= {"source_until": "2009-12-31", "feedback_rows": rows, "left_out": 7}

    monkeypatch.setattr(retrain, "label_shift", lambda params, schema: "the shift")

    text = retrain.body(facts, PARAMS, SCHEMA)

    assert text.endswith("the review\n")
    assert ("**1,234 rows are feedback**" in text and "7 more fail" in text) is bool(rows)
    assert ("the shift" in text) is bool(rows)


@pytest.mark.parametrize("rows", [0, 5])
@pytest.mark.parametrize("text", [None, "not,ours\n1,2\n", "sale_id\n12\n", "\xff"])
def test_a_persons_file_of_the_reserved_name_is_neither_overwritten_nor_deleted(
    rows: int, text: str | None, tmp_path: Path
) -> None:
    path = tmp_path / FEEDBACK
    if text is None:
        SALES.to_csv(path, index=False)
    else:
        path.write_text(text, encoding="latin-1")
    before = path.read_bytes()
    told = SALES[:rows].assign(sale_id=range(2**40, 2**40 + rows))
    with pytest.raises(UserError, match="was not written by retraining"):
        write_partition(str(tmp_path), told, SCHEMA)

    assert path.read_bytes() == before


def test_a_slice_whose_feedback_is_of_other_prices_stands_out(tree: Path) -> None:
    known = read_partitions("data/source", SCHEMA).to_pandas()
    duplexes = known[known["building_type"] == "duplex"][:20]
    usual = known[known["building_type"] == "single_family"][:200]
    told = pd.concat([duplexes.assign(price=duplexes["price"] * 3), usual])[SCHEMA.names]
    told["sale_id"] = range(10**6, 10**6 + len(told))
    write_partition("data/source", told, SCHEMA)

    lines = {line.split(" |")[0]: line for line in label_shift(PARAMS, SCHEMA).splitlines()}

    assert re.search(r"\| 220 \| .* [+-][0-9]% \|$", lines["| all rows"])
    assert re.search(r"\| 20 \| 18% \| .* \+[12]\d\d% \|$", lines["| building\\_type: duplex"])
    assert "| building\\_type: townhouse\\_end" not in lines, "no feedback came for it"
    assert len(lines) <= LISTED + 6


@pytest.mark.parametrize("better", [False, True])
@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("until", ["2009-12-31", "2010-06-01"])
def test_only_force_proposes_what_is_not_better_or_not_newer(
    until: str, force: bool, better: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = (-9.0, -1.0) if better else (-9.0, 9.0)
    monkeypatch.setattr(retrain, "is_corrected", lambda source: False)
    found = SimpleNamespace(failure=None, comparisons=compared(rmse=ends, mape=ends))
    monkeypatch.setattr(retrain, "review", lambda *given: found)
    monkeypatch.setattr(retrain, "write_review", lambda *given: None)

    new = {"until": until, "was": "2009-12-31"}
    decision = retrain.decide(new, None, force, PARAMS, SCHEMA, PRICES)

    assert decision["propose"] is (force or (better and until > "2009-12-31"))
    if force:
        assert ("not better" in decision["why"]) is not better


@pytest.mark.parametrize("corrected", [False, True])
def test_without_newer_or_corrected_data_nothing_is_trained(
    corrected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {"until": "2009-12-31", "was": "2009-12-31", "feedback_rows": 0, "left_out": 0}
    monkeypatch.setattr(retrain, "is_corrected", lambda source: corrected)

    def reviewed(*given: Any) -> Any:
        raise PipelineFailed("reviewed")

    monkeypatch.setattr(retrain, "review", reviewed)

    if corrected:
        with pytest.raises(UserError, match="reviewed"):
            retrain.decide(facts, None, False, PARAMS, SCHEMA, PRICES)
    else:
        assert retrain.decide(facts, None, False, PARAMS, SCHEMA, PRICES)["propose"] is False


def test_only_another_source_counts_as_corrected_and_not_a_runner_without_outputs(
    quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy(quick, tmp_path / "repository")
    monkeypatch.chdir(folder)
    shutil.rmtree("artifacts")
    assert not is_corrected("data/source")

    with Path("data/source/2009-q4.csv").open("a") as partition:
        partition.write("\n")

    assert is_corrected("data/source")


def test_feedback_for_a_model_of_another_task_is_left_out(log: Log) -> None:
    rows = SALES[:3]
    ids = log.predict(rows, at=JUNE)
    log.tell(ids[:2], rows["price"], at=JUNE)
    log.tell(ids[2:], ["yes"], at=JUNE)

    kept, left_out = labelled_rows(read_feedback(log.url, SCHEMA), MAY, END, SCHEMA)

    assert (len(kept), left_out) == (2, 1)


def test_why_a_metric_of_the_gate_can_not_be_compared_is_said() -> None:
    (rmse,) = compared(rmse=(-1.0, 1.0))
    (mape,) = compared(mape=(None, None))

    said = not_compared([rmse, replace(mape, reason="1 of 9 targets is 0")], PARAMS)

    assert said == ["mape can't be compared: 1 of 9 targets is 0"]
