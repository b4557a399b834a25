"""The monitor's verdict on each kind of production, good and bad, and on a log that is odd."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from databases import Postgres, connected, postgres  # noqa: F401  a fixture
from mlops.columns import Schema
from mlops.errors import UserError
from mlops.monitoring.decision import Decision, decide
from mlops.monitoring.log_reader import read_window
from mlops.monitoring.logged_rows import ACTUAL, ID
from mlops.monitoring.monitor_report import as_json, markdown
from mlops.monitoring.performance import Performance, too_much_worse
from mlops.params import Params
from mlops.prediction_log.tables import tell
from mlops.profile import number_profile
from production import DAY, MANIFEST, NOW, PARAMS, VERSION, Log, predicted, reference, sales
from project.schema import SCHEMA
from standard import PRICES

SALES = sales()
REFERENCE = reference(SALES[:2000])
LATER = SALES[2000:].reset_index(drop=True)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    made = Log(f"sqlite:///{tmp_path}/log.db")
    yield made
    made.close()


def judge(log: Log, params: Params = PARAMS, schema: Schema = SCHEMA) -> Decision:
    window = read_window(log.url, VERSION, schema, params.monitor, NOW)
    return decide(window, MANIFEST, REFERENCE, schema, params, PRICES)


def with_monitor(**changes: Any) -> Params:
    monitor = PARAMS.monitor.model_copy(update=changes)
    return PARAMS.model_copy(update={"monitor": monitor})


def texts(decision: Decision) -> str:
    return "\n".join([r.text for r in decision.reasons] + decision.notes)


def test_a_production_like_the_review_is_ok(log: Log) -> None:
    rows = LATER[:300]
    log.tell(log.predict(rows), rows["price"])

    decision = judge(log)

    assert (decision.verdict, decision.retrain) == ("ok", False), texts(decision)
    assert decision.reasons == []
    assert decision.notes == []
    assert {change.column for change in decision.changes} >= {"size", "neighborhood", "prediction"}
    assert [p.metric for p in decision.performance if p.part == "all"] == ["median_ape", "rmse"]


def test_a_fall_of_prices_asks_for_a_retraining(log: Log) -> None:
    rows = LATER[:100]
    log.tell(log.predict(rows), rows["price"] * 0.85)

    decision = judge(log)

    assert (decision.verdict, decision.retrain) == ("act", True)
    assert "median_ape is" in texts(decision)
    assert "worse than at the review" in texts(decision)


@pytest.mark.parametrize(
    ("worse", "surely", "told"),
    [(0.24, 0.1, False), (0.26, 0.01, True), (0.26, 0.0, False), (0.9, -0.1, False),
     (None, None, False)],
)  # fmt: skip
def test_accuracy_fell_if_by_more_than_allowed_and_not_by_chance(
    worse: float | None, surely: float | None, told: bool
) -> None:
    assert PARAMS.monitor.max_worse["median_ape"] == 0.25
    found = Performance("median_ape", "all", 50, 0.1, 0.05, 0.15, 0.08, worse, surely)

    assert too_much_worse(found, PARAMS.monitor) is told


def test_larger_houses_are_to_act_on_while_nobody_knows_the_accuracy(log: Log) -> None:
    rows = LATER[:300].assign(size=LATER["size"] * 1.25)
    log.predict(rows)

    decision = judge(log)

    assert (decision.verdict, decision.retrain) == ("act", True)
    assert "size: distribution differs" in texts(decision)


def test_larger_houses_are_only_watched_while_the_accuracy_holds(log: Log) -> None:
    rows = LATER[:300].assign(size=LATER["size"] * 1.25)
    log.tell(log.predict(rows), rows["price"])

    decision = judge(log)

    assert (decision.verdict, decision.retrain) == ("watch", False), texts(decision)
    assert "accuracy has not fallen" in texts(decision)


def lots_in_square_metres(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(lot_size=rows["lot_size"] / 10.764)


def garages_in_square_metres(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(garage_size=rows["garage_size"] / 10.764)


def no_quality(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(quality=None)


@pytest.mark.parametrize("mistake", [lots_in_square_metres, garages_in_square_metres, no_quality])
def test_mistaken_data_are_found_in_fifty_rows_and_nothing_learns_from_them(
    mistake: Callable[[pd.DataFrame], pd.DataFrame], log: Log
) -> None:
    log.predict(mistake(LATER[:50]))

    decision = judge(log)

    assert (decision.verdict, decision.retrain) == ("act", False), texts(decision)
    assert any(reason.cause == "data" for reason in decision.reasons)
    assert "fix the data" in markdown(decision, PARAMS)


def test_a_neighborhood_that_training_never_saw_is_named(log: Log) -> None:
    rows = LATER[:200].copy()
    rows.loc[:40, "neighborhood"] = "Landmrk"
    known = REFERENCE["features"]["neighborhood"]["choices"]
    known.pop("Landmrk", None)
    log.predict(rows)

    decision = judge(log)

    assert decision.verdict == "act"
    assert (
        "neighborhood: 20% of the values are outside the training data's range or choices"
        in texts(decision)
    )


def test_requests_that_are_refused_are_counted_by_reason(log: Log) -> None:
    log.refuse("size: greater_than_equal", 50)

    decision = judge(log)

    assert (decision.verdict, decision.retrain) == ("act", False)
    assert "100% of 50 requests were refused" in texts(decision)
    assert "size: greater_than_equal (50)" in texts(decision)


def test_a_few_refused_requests_are_nothing_to_act_on(log: Log) -> None:
    log.predict(LATER[:300])
    log.refuse("size: greater_than_equal", 15)

    assert judge(log).verdict == "ok"


def test_requests_are_told_apart_by_what_the_server_made_not_by_the_clients_name(
    log: Log,
) -> None:
    log.predict(LATER[:300], request_id="job-7")
    log.refuse("size: greater_than_equal", 3)

    window = read_window(log.url, VERSION, SCHEMA, PARAMS.monitor, NOW)

    assert (window.requests, window.refused) == (300, 3)
    assert judge(log).verdict == "ok"


def test_a_batch_counts_as_one_request_whatever_the_client_names_its_rows(log: Log) -> None:
    log.predict(LATER[:300], together=100)

    assert read_window(log.url, VERSION, SCHEMA, PARAMS.monitor, NOW).requests == 3


def test_without_predictions_nothing_is_called_ok(log: Log) -> None:
    decision = judge(log)

    assert (decision.verdict, decision.retrain) == ("watch", False)
    assert "0 prediction(s) in the last 90 days" in texts(decision)
    assert markdown(decision, PARAMS).startswith("## 👀 Watch")


def test_without_feedback_the_accuracy_is_said_to_be_unknown(log: Log) -> None:
    log.predict(LATER[:300])

    decision = judge(log)

    assert decision.verdict == "ok"
    assert "Accuracy was not judged: 0 prediction(s)" in texts(decision)


@pytest.mark.parametrize(("rows", "judged"), [(29, False), (30, True)])
def test_fewer_rows_than_wanted_are_not_judged(rows: int, judged: bool, log: Log) -> None:
    log.tell(log.predict(LATER[:rows]), LATER["price"][:rows])

    decision = judge(log)

    assert bool(decision.changes) is bool(decision.performance) is judged


def test_feedback_for_one_slice_alone_is_said_to_say_nothing_of_the_others(log: Log) -> None:
    rows = LATER[:400]
    ids = pd.Series(log.predict(rows))
    told = rows["building_type"] == "single_family"
    log.tell(list(ids[told]), rows["price"][told])

    decision = judge(log)

    assert decision.verdict == "ok"
    assert "No feedback for building_type townhouse_end: accuracy" in texts(decision)


def test_feedback_for_unknown_predictions_counts_nowhere_and_is_named(log: Log) -> None:
    rows = LATER[:100]
    log.tell(log.predict(rows), rows["price"])
    log.tell([f"{number:028x}" for number in range(50)], [1.0] * 50)

    decision = judge(log)

    assert decision.verdict == "ok"
    assert decision.labelled == 100
    assert "50 feedback row(s) are of predictions that the log doesn't have" in texts(decision)


def test_of_repeated_and_contradictory_feedback_the_last_counts_once(log: Log) -> None:
    rows = LATER[:100]
    ids = log.predict(rows)
    for factor in (0.5, 0.5, 1.0):  # as the API writes it
        with connected(log.url) as connection:
            for name, price in zip(ids, rows["price"], strict=True):
                assert tell(connection, name, str(price * factor))

    window = read_window(log.url, VERSION, SCHEMA, PARAMS.monitor, time.time())
    decision = decide(window, MANIFEST, REFERENCE, SCHEMA, PARAMS, PRICES)

    assert list(window.labelled[ID]) == ids[::-1]
    assert sorted(window.labelled[ACTUAL]) == sorted(rows["price"])
    assert (decision.labelled, decision.verdict) == (100, "ok"), texts(decision)


def test_feedback_for_an_earlier_model_says_nothing_of_this_one(log: Log) -> None:
    rows = LATER[:100]
    log.tell(log.predict(rows, version="another"), rows["price"] * 0.5)

    decision = judge(log)

    assert decision.labelled == 0
    assert decision.verdict == "watch"
    assert "100 prediction(s) of other models are not judged: another" in decision.notes
    assert "100 feedback row(s) of other models are not judged: another" in decision.notes


def test_what_a_release_changed_is_no_drift_of_the_model_that_it_brought(log: Log) -> None:
    rows = LATER[:300]
    log.predict(rows, values=predicted(rows) * 1.3, version="earlier", at=NOW - DAY * 0.9)
    log.predict(rows, version="trial", at=NOW - DAY * 0.8)
    ids = log.predict(rows, at=NOW - DAY / 2)
    log.tell(ids, rows["price"])

    decision = judge(log)

    assert (decision.verdict, decision.total) == ("ok", 300), texts(decision)
    assert "600 prediction(s) of other models are not judged: earlier, trial" in decision.notes


def test_what_an_earlier_schema_lacked_is_not_missing_now(log: Log) -> None:
    log.predict(LATER[:300].assign(quality=None, size="large"), version="earlier", at=NOW - DAY / 2)
    log.predict(LATER[300:400], at=NOW - DAY / 3)

    assert judge(log).verdict == "ok"


@pytest.mark.parametrize("rows", [0, 100])
def test_a_log_of_an_earlier_task_is_named_and_breaks_nothing(log: Log, rows: int) -> None:
    log.predict(LATER[:50], values=[{"yes": 0.5, "no": 0.5}] * 50, version="earlier")
    log.predict(LATER[:rows], at=NOW - DAY / 3)

    decision = judge(log)

    assert decision.total == rows
    assert decision.verdict == ("ok" if rows else "watch"), texts(decision)
    assert "50 prediction(s) of other models are not judged: earlier" in decision.notes


def test_refusals_of_an_earlier_model_are_not_those_of_this_one(log: Log) -> None:
    log.predict(LATER[:300], version="earlier", at=NOW - DAY / 2)
    log.refuse("size: missing", 100, at=NOW - DAY / 2 + 60)

    assert judge(log).refusals == {}
    log.predict(LATER[:100], at=NOW - DAY / 3)
    assert judge(log).verdict == "ok"
    log.refuse("size: missing", 100, at=NOW - DAY / 4)
    assert "50% of 200 requests were refused" in texts(judge(log))


def test_an_empty_log_is_watched(log: Log) -> None:
    decision = judge(log)

    assert (decision.verdict, decision.total) == ("watch", 0)
    assert "nothing could be judged" in texts(decision)


@pytest.mark.parametrize(("off", "verdict"), [(0, "ok"), (30, "act")])
def test_a_constant_feature_has_no_distribution_and_other_values_are_unseen(
    log: Log, off: int, verdict: str
) -> None:
    known = SALES[:2000].assign(rooms=5)
    asked = LATER[:100].assign(rooms=5)
    asked.loc[: off - 1, "rooms"] = 6
    log.predict(asked)
    window = read_window(log.url, VERSION, SCHEMA, PARAMS.monitor, NOW)

    decision = decide(window, MANIFEST, reference(known), SCHEMA, PARAMS, PRICES)

    assert decision.verdict == verdict, texts(decision)
    if off:
        assert "rooms: 30% of the values are outside the training data's range or choices" in texts(
            decision
        )


@pytest.mark.parametrize(("said", "verdict"), [(100_000.0, "ok"), (90_000.0, "act")])
def test_a_model_that_says_one_number_is_judged(log: Log, said: float, verdict: str) -> None:
    constant = REFERENCE | {"predicted": number_profile([100_000.0] * 500)}
    log.predict(LATER[:100], values=[said] * 100)
    window = read_window(log.url, VERSION, SCHEMA, PARAMS.monitor, NOW)

    decision = decide(window, MANIFEST, constant, SCHEMA, PARAMS, PRICES)

    assert decision.verdict == verdict, texts(decision)
    assert ("prediction: 100% of the values are outside" in texts(decision)) == (verdict == "act")


def test_clocks_that_differ_are_named(log: Log) -> None:
    rows = LATER[:100]
    ids = log.predict(rows, at=NOW + DAY)
    log.tell(ids, rows["price"])

    decision = judge(log)

    assert "100 prediction(s) lie in the future" in texts(decision)
    assert "100 feedback row(s) are older than their predictions" in texts(decision)
    assert decision.rows == 100


def test_a_slow_log_is_read_back_to_enough_rows_and_no_further(log: Log) -> None:
    log.predict(LATER[:300], at=NOW - 80 * DAY, step=DAY / 10)

    assert judge(log).total == 200


def test_a_busy_log_is_read_for_a_day(log: Log) -> None:
    log.predict(LATER[:300], at=NOW - DAY / 2)
    log.predict(LATER[300:600], at=NOW - 5 * DAY)

    assert judge(log).total == 300


def test_nothing_older_than_allowed_is_read(log: Log) -> None:
    log.predict(LATER[:100], at=NOW - 91 * DAY)

    assert judge(log).total == 0


def test_of_many_rows_some_are_taken_by_chance_and_requests_are_still_counted(log: Log) -> None:
    log.predict(LATER[:900])

    decision = judge(log, with_monitor(max_rows=300, window_rows=900))

    assert decision.total == 900
    assert 240 < decision.rows < 360
    assert "of them sampled" in markdown(decision, PARAMS)


@pytest.mark.parametrize(
    "url", ["sqlite:////no/such/folder/log.db", "postgresql://monitor:secret@127.0.0.1:1/none"]
)
def test_a_log_that_is_away_is_one_error_without_the_password(url: str) -> None:
    with pytest.raises(UserError, match="can't be read") as caught:
        read_window(url, VERSION, SCHEMA, PARAMS.monitor, NOW)

    assert "secret" not in str(caught.value)


def test_a_log_without_tables_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "log.db").touch()

    with pytest.raises(UserError, match="no such table"):
        read_window(f"sqlite:///{tmp_path}/log.db", VERSION, SCHEMA, PARAMS.monitor, NOW)


def test_the_reports_hold_what_was_decided(log: Log) -> None:
    rows = LATER[:200]
    log.tell(log.predict(rows), rows["price"] * 0.85)
    log.refuse("size: @team <script>", 3)

    decision = judge(log)
    text, content = markdown(decision, PARAMS), as_json(decision, PARAMS)

    assert text.startswith("## 🚨 Act")
    assert "@team" not in text
    assert "<script>" not in text
    assert content["verdict"] == "act"
    assert content["predictions"] == 200
    assert {line["column"] for line in content["drift"]} >= {"size", "prediction"}
    assert predicted(rows).shape == (200,)


def test_a_log_in_postgres_is_read_as_one_in_sqlite(log: Log, postgres: Postgres) -> None:  # noqa: F811
    other = Log(postgres.new_database())
    rows = LATER[:200]
    for one in (log, other):
        one.tell(one.predict(rows), rows["price"] * 0.85)
        one.refuse("size: greater_than_equal", 7)

    found = [as_json(judge(one, with_monitor(max_rows=150)), PARAMS) for one in (log, other)]

    assert found[0] == found[1]
    assert (found[0]["verdict"], found[0]["refusals"]["any"]) == ("act", 7)
    postgres.control("stop", "-m", "immediate")
    with pytest.raises(UserError, match="can't be read"):
        judge(other)
    other.close()
    postgres.control("start")
