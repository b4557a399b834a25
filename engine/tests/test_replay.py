"""Replay: what production asked, answered by both models; kept by opt-in, out of a fork's reach."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clones import copy, edit_params, run
from github_markdown import powers
from hostile_markdown import SPELLINGS
from mlops.errors import UserError
from mlops.monitoring.replay_sample import get, put, sample
from mlops.params import Replay as Kept
from mlops.params import load_params
from mlops.remote import PUBLIC, connect
from mlops.review.replay import Replay, check_replay, compare_replay
from mlops.review.replay_section import replay_section
from paths import DEMO
from project.schema import SCHEMA

N = 1000
COLUMNS: list[dict[str, Any]] = [
    {"name": "size", "type": "float", "low": 10, "high": 500, "choices": [], "nullable": False,
     "role": "feature"},
    {"name": "kind", "type": "str", "low": None, "high": None, "choices": ["a", "b"],
     "nullable": True, "role": "feature"},
]  # fmt: skip
MANIFEST: dict[str, Any] = {"data": {"seen": {"size": [10.0, 400.0], "kind": ["a", "b"]}}}


def requests() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"size": rng.uniform(20, 380, N), "kind": rng.choice(["a", "b"], N)})


def replayed(
    asked: pd.DataFrame | None = None,
    moved: Any = 1.0,
    columns: list[dict[str, Any]] = COLUMNS,
    manifest: dict[str, Any] = MANIFEST,
) -> Replay:
    asked = requests() if asked is None else asked
    base = np.full(len(asked), 100.0)
    tested = np.full(600, 100.0)
    return compare_replay(
        "regression", asked, [MANIFEST, manifest], [COLUMNS, columns],
        [base, base * moved], [tested, tested],
    )  # fmt: skip


def test_answers_that_move_more_than_on_the_test_rows_are_a_warning() -> None:
    found = replayed(moved=np.where(np.arange(N) < 50, 1.3, 1.0))

    (check,) = check_replay(found)

    assert found.moved == {0.01: 0.05, 0.05: 0.05, 0.2: 0.05}
    assert check.outcome == "warn"
    assert check.why == (
        "5.0% of production's 1,000 requests would get answers that differ by more than 20%, "
        "of the test rows 0.0%"
    )


def test_the_same_answers_and_moves_as_on_the_test_rows_are_no_warning() -> None:
    asked = requests()
    base, tested = np.full(N, 100.0), np.full(600, 100.0)
    alike = compare_replay(
        "regression", asked, [MANIFEST] * 2, [COLUMNS] * 2, [base, base * 1.1],
        [tested, tested * 1.1],
    )  # fmt: skip

    assert check_replay(replayed()) == check_replay(alike) == check_replay(None) == []


def test_requests_that_the_candidate_alone_refuses_are_counted_by_column() -> None:
    narrower = [{**COLUMNS[0], "high": 200}, {**COLUMNS[1], "choices": ["a"]}]

    found = replayed(columns=narrower)

    n_size = int((requests()["size"] > 200).sum())
    assert found.refused[0] == 0
    assert found.refused_by == {"kind": int((requests()["kind"] == "b").sum()), "size": n_size}
    assert any(check.name == "requests refused" for check in check_replay(found))


def test_a_missing_value_is_refused_where_it_is_not_allowed() -> None:
    asked = requests()
    asked.loc[:9, "kind"] = None

    found = replayed(asked, columns=[COLUMNS[0], {**COLUMNS[1], "nullable": False}])

    assert found.refused_by == {"kind": 10}


def test_values_that_training_did_not_see_are_told() -> None:
    narrower = {"data": {"seen": {"size": [10.0, 300.0], "kind": ["a"]}}}

    found = replayed(manifest=narrower)

    assert found.outside[0] == 0
    assert set(found.outside_by) == {"kind", "size"}
    assert any("outside of what training saw" in check.why for check in check_replay(found))


def test_a_prediction_that_is_no_number_has_moved() -> None:
    assert replayed(moved=np.where(np.arange(N) < 50, np.nan, 1.0)).moved[0.2] == 0.05


def test_requests_that_all_are_refused_have_no_answers() -> None:
    found = replayed(columns=[{**COLUMNS[0], "low": 1000, "high": 2000}, COLUMNS[1]])

    assert (found.moved, found.refused[1]) == ({}, N)
    assert "changed answers: none" in replay_section(found)


def test_classes_that_change_are_counted() -> None:
    base = np.tile([0.8, 0.2], (N, 1))
    candidate = np.where((np.arange(N) < 100)[:, None], [0.3, 0.7], base)

    found = compare_replay(
        "classification", requests(), [MANIFEST] * 2, [COLUMNS] * 2, [base, candidate], [base] * 2
    )

    assert found.moved == {0.0: 0.1}
    assert "10.0% with another class" in replay_section(found)


def test_fifty_thousand_requests_are_compared() -> None:
    many = pd.concat([requests()] * 50, ignore_index=True)

    assert replayed(many).requests == 50_000


def test_the_report_shows_counts_and_never_a_value_of_a_request() -> None:
    secret = requests().assign(kind="Ms Smith, 5 Oak Lane")

    found = replayed(secret)

    assert "Smith" not in replay_section(found) + str(found.as_json())
    assert "Smith" not in " ".join(check.why for check in check_replay(found))


def test_hostile_names_stay_text() -> None:
    for text in (text for spelled in SPELLINGS.values() for text in spelled):
        found = Replay(9, {0.2: 0.1}, {0.2: 0.0}, 9, (0, 1), {text: 1}, (0, 1), {text: 1})
        assert powers(replay_section(found)) == set(), text


def test_the_sample_has_the_named_columns_alone_and_says_nothing_by_its_order() -> None:
    rows = requests().assign(email="a@b", __at=np.arange(N))

    kept = sample(rows, Kept(columns=["size"], rows=100), seed=1)

    assert list(kept.columns) == ["size"]
    assert len(kept) == 100
    assert not kept["size"].is_monotonic_increasing
    assert list(kept.index) == list(range(100))


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A repository with a storage."""
    root = tmp_path / "repository"
    root.mkdir()
    run(root, "git init -q && dvc init -q && dvc remote add -d storage ../storage")
    connect(root, str(tmp_path / "storage"))
    return root


def test_what_is_kept_is_read_again_and_replaced(stored: Path, tmp_path: Path) -> None:
    for n in (10, 20):
        put(stored, requests().head(n))

    assert get(stored, tmp_path / "out.parquet")
    assert pd.read_parquet(tmp_path / "out.parquet").equals(requests().head(20))
    assert (tmp_path / "storage/replay/requests.parquet").exists()


def test_without_columns_or_a_log_no_request_is_stored_and_the_command_says_so(
    reproduced: Path, tmp_path: Path
) -> None:
    folder = copy(reproduced, tmp_path / "repository")
    command = "PYTHONPATH=engine:src python -m mlops.monitoring.replay_sample"

    assert "monitor.replay is null: no requests are stored" in run(folder, command)
    edit_params(folder, {"monitor.replay": {"columns": ["size", "rooms"], "rows": 20}})
    assert "PREDICTION_LOG_URL is not set: no requests are stored" in run(folder, command)


def test_where_nothing_was_kept_or_no_storage_is_set_there_is_no_replay(
    stored: Path, tmp_path: Path
) -> None:
    assert not get(stored, tmp_path / "out.parquet")
    assert not get(tmp_path, tmp_path / "out.parquet")


def test_a_storage_that_everybody_can_read_takes_no_sample_and_gives_none(
    stored: Path, tmp_path: Path
) -> None:
    put(stored, requests())
    (stored / PUBLIC).write_text("https://example.org/storage", encoding="utf-8")

    with pytest.raises(UserError, match="marks the storage as public"):
        put(stored, requests())
    assert not get(stored, tmp_path / "out.parquet")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("[size, rooms, sale_id]", "'sale_id': wanted inputs"),
        ("[size]", "wanted rooms too: requests need it"),
    ],
)
def test_columns_that_can_not_be_replayed_are_refused(
    columns: str, said: str, tmp_path: Path
) -> None:
    text = (DEMO / "params.yaml").read_text(encoding="utf-8")
    path = tmp_path / "params.yaml"
    path.write_text(text.replace("replay: null", f"replay: {{columns: {columns}}}"))

    with pytest.raises(UserError) as raised:
        load_params(path, SCHEMA)

    assert said in " ".join(raised.value.problems)


def test_parameters_of_before_have_no_replay_no_limit_of_cost_and_judge_slices_by_default(
    tmp_path: Path,
) -> None:
    new = ("replay:", "max_slower:", "max_bytes:", "error_rate:", "max_regression: null")
    lines = (DEMO / "params.yaml").read_text(encoding="utf-8").splitlines()
    path = tmp_path / "params.yaml"
    path.write_text("\n".join(x for x in lines if not x.strip().startswith(new)))

    params = load_params(path, SCHEMA)

    assert params.monitor.replay is None
    assert params.gate.slice_limits == params.gate.max_regression
    assert params.gate.slices.error_rate == 0.01
