"""Requests for several rows in the prediction log: a record each, also beside those of old form."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from databases import connected, logged, postgres  # noqa: F401  a fixture
from mlops.monitoring import log_reader
from mlops.monitoring.log_reader import read_feedback, read_window
from mlops.monitoring.logged_rows import ACTUAL, ID, PREDICTED, REQUEST
from mlops.params import Monitor
from mlops.prediction_log import tables
from production import DAY, NOW, PARAMS, VERSION, Log, sales
from project.schema import SCHEMA
from served import ROW, running
from test_prediction_log import url  # noqa: F401  a fixture

SALES = sales()
OLD = (
    "INSERT INTO predictions (prediction_id, at, model_version, request_id, features, predicted)",
    "INSERT INTO feedback (prediction_id, at, actual)",
)
"""The columns that servers of an earlier release write, also while newer ones run."""


def write_old(log_url: str, requests: dict[str, int], at: float) -> None:
    """Write requests as such a server does: a record for each row, and feedback for it."""
    with connected(log_url) as connection:
        for token, n_rows in requests.items():
            for place in range(n_rows):
                name, features = f"{token}{place:04x}", json.dumps({"size": 1000.0 + place})
                values = f"VALUES ('{name}', {at}, '{VERSION}', 'r', '{features}', '{place}')"
                connection.execute(f"{OLD[0]} {values}")
                connection.execute(f"{OLD[1]} VALUES ('{name}', {at + 9}, '{place + 0.5}')")


def window(log: Log, **changes: Any) -> log_reader.Window:
    params: Monitor = PARAMS.monitor.model_copy(update=changes)
    return read_window(log.url, VERSION, SCHEMA, params, NOW)


@pytest.fixture
def log(tmp_path: Path) -> Any:
    made = Log(f"sqlite:///{tmp_path}/log.db")
    yield made
    made.close()


def test_each_row_of_a_batch_takes_feedback_and_no_other_id_does(bundle: Path, url: str) -> None:  # noqa: F811
    with running(bundle, url) as server:

        def tell(name: str, actual: float) -> int:
            return server.ask("POST", "/feedback", {"prediction_id": name, "actual": actual})[0]

        ids = server.ask("POST", "/predict", {"rows": [ROW] * 18})[1]["prediction_ids"]
        alone = server.ask("POST", "/predict", {"rows": [ROW]})[1]["prediction_ids"][0]
        assert sorted(logged(url)) == sorted([*ids, alone])
        told = [ids[0], ids[9], ids[17], alone]
        assert [tell(name, 1000.0) for name in [*told, ids[17]]] == [200] * 5
        assert tell(ids[17], 2000.0) == 200
        token = ids[0][:-4]
        for unknown in (f"{token}0012", f"{token}ffff", f"{alone[:-4]}0001", token, "0011"):
            assert tell(unknown, 1000.0) == 404

    with connected(url) as connection:
        found = connection.execute("SELECT prediction_id, actual, record_id FROM feedback")
        feedback = {name: tuple(rest) for name, *rest in found}
    assert feedback == {
        ids[0]: ("1000.0", None),
        ids[9]: ("1000.0", ids[0]),
        ids[17]: ("2000.0", ids[0]),
        alone: ("1000.0", None),
    }


@pytest.mark.parametrize("place", ["000A", "+00a", "0_0a", " 00a", "00a", "", "00\u0661\u0661"])
def test_a_row_is_named_by_four_digits_only(log: Log, place: str) -> None:
    ids = log.predict(SALES[:40], together=40)

    with connected(log.url) as connection:
        assert tables.find_record(connection, ids[10]) == ids[0]
        assert tables.find_record(connection, ids[0][:-4] + place) is None


def test_an_earlier_log_is_read_with_the_batches_of_servers_old_and_new(url: str) -> None:  # noqa: F811
    with connected(url) as connection:
        for statement in (s for version in tables.MIGRATIONS for s in version):
            connection.execute(statement)
        connection.execute("CREATE TABLE log_version (version INTEGER)")
        connection.execute("INSERT INTO log_version VALUES (2)")
    write_old(url, {"a" * 28: 3, "b" * 28: 1}, at=NOW - DAY / 2)
    before = read_window(url, VERSION, SCHEMA, PARAMS.monitor, NOW)
    told_before = read_feedback(url, SCHEMA)
    log = Log(url)  # brings it up to date
    write_old(url, {"c" * 28: 2}, at=NOW - DAY / 3)  # a server that was not replaced yet
    rows = SALES[:5]
    ids = log.predict(rows, together=4)
    log.tell(ids[1:], rows["price"][1:])
    old = [f"{token * 28}{k:04x}" for token, n in (("a", 3), ("b", 1), ("c", 2)) for k in range(n)]

    with connected(url) as connection:
        assert [tables.find_record(connection, name) for name in old] == old
    found, feedback = window(log), read_feedback(url, SCHEMA)
    log.close()
    with connected(url) as connection:  # else an earlier release, deployed again, rejects the log
        assert connection.execute("SELECT version FROM log_version").fetchone() == (2,)

    assert (before.total, len(before.rows), before.requests) == (4, 4, 2)
    assert len(before.labelled) == len(told_before) == 4
    assert (found.total, len(found.rows), found.requests) == (11, 11, 5)
    assert sorted(found.rows["size"]) == sorted(
        [1000.0, 1001, 1002, 1000, 1000, 1001, *rows["size"]]
    )
    assert list(found.labelled[ID])[:4] == ids[:0:-1]
    assert sorted(found.labelled[ID][4:]) == old
    assert list(feedback[ID]) == old + ids[1:]
    told = feedback.set_index(ID)
    assert list(told.loc[ids[1:], "size"]) == list(rows["size"][1:])
    assert list(told.loc[ids[1:], ACTUAL]) == list(rows["price"][1:])
    assert list(told.loc[old, ACTUAL]) == [0.5, 1.5, 2.5, 0.5, 0.5, 1.5]
    assert list(told.loc[old, PREDICTED]) == [0, 1, 2, 0, 0, 1]
    assert found.oddities == []


def test_a_batch_is_read_as_its_rows_would_be_alone(tmp_path: Path) -> None:
    windows = []
    for name, one_record in (("new", True), ("old", False)):
        log = Log(f"sqlite:///{tmp_path}/{name}.db")
        ids = log.predict(SALES[:500], together=100, step=0, one_record=one_record)
        log.tell(ids[::3], SALES["price"][:500:3])
        windows.append(window(log))
        log.close()

    new, old = windows
    assert (new.total, new.requests, len(new.labelled)) == (500, 5, 167)
    assert (old.total, old.requests, len(old.labelled)) == (500, 5, 167)
    by = [REQUEST, *(column.name for column in SCHEMA.features)]
    pd.testing.assert_frame_equal(
        new.rows.sort_values(by, ignore_index=True), old.rows.sort_values(by, ignore_index=True)
    )
    pd.testing.assert_frame_equal(new.labelled, old.labelled)


def test_a_batch_with_feedback_for_each_row_is_parsed_once(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = SALES[:1000]
    log.tell(log.predict(rows, together=1000), rows["price"])
    parsed: Counter[str] = Counter()
    loads = json.loads

    def counting(text: str) -> Any:
        parsed[text] += len(text) > 1000
        return loads(text)

    monkeypatch.setattr(log_reader.json, "loads", counting)

    assert list(read_feedback(log.url, SCHEMA)[ACTUAL]) == list(rows["price"])
    assert [n for n in parsed.values() if n] == [1, 1]  # the features, and the predicted values


def test_windows_are_of_rows_whatever_the_size_of_their_requests(log: Log) -> None:
    log.predict(SALES[:300], at=NOW - 80 * DAY, step=DAY / 10, together=50)
    assert PARAMS.monitor.window_rows == 200

    assert window(log).total == 200
    assert window(log, window_rows=201).total == 250
    assert window(log, window_rows=10_000).total == 300


def test_of_many_batches_some_are_taken_whole_by_chance(log: Log) -> None:
    log.predict(SALES[:1200], together=4)

    found = window(log, max_rows=400, window_rows=1200)

    assert found.total == 1200
    assert 280 < len(found.rows) < 520
    assert set(found.rows[REQUEST].value_counts()) == {4}
    assert 290 <= found.requests <= 310


def test_what_is_odd_is_counted_in_rows(log: Log) -> None:
    earlier = log.predict(SALES[:100], together=50, version="earlier")
    log.tell(earlier[:30], SALES["price"])
    early = log.predict(SALES[:60], together=20, at=NOW + DAY, step=0)
    log.tell(early[:7], SALES["price"], at=NOW)
    log.tell([f"{1:024x}{place:04x}" for place in range(11)], SALES["price"])

    assert window(log).oddities == [
        "100 prediction(s) of other models are not judged: earlier",
        "30 feedback row(s) of other models are not judged: earlier",
        "60 prediction(s) lie in the future: a server's clock is ahead",
        "11 feedback row(s) are of predictions that the log doesn't have; they are ignored",
        "7 feedback row(s) are older than their predictions: the servers' clocks differ",
    ]


def test_expired_batches_are_deleted_in_smaller_slices(url: str) -> None:  # noqa: F811
    log = Log(url)
    rows = pd.concat([SALES[:1]] * 1000, ignore_index=True)
    log.predict(SALES[:5], at=1.0, step=0.001)
    for number in range(30):
        log.predict(rows, at=2.0 + number, step=0, together=1000)
    log.predict(SALES[:1001], at=100.0, step=0.001)
    left = []
    for _ in range(6):
        with connected(url) as connection:
            more = tables.forget(connection, 200.0, 1000)
            left.append(connection.execute("SELECT count(*) FROM predictions").fetchone()[0])
        if not more:
            break
    log.close()

    assert left == [1021, 1011, 1001, 1, 0]
