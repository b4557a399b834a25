"""The API in this process: its contract, its limits, and that nothing malformed upsets it."""

import concurrent.futures
import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.pipeline import Pipeline

from databases import logged, rows_of
from malformed import BODIES, QUERIES
from mlops.pipeline.equivalence import as_requests
from mlops.pipeline.model import predict
from mlops.sampling import invalid_rows, valid_rows
from mlops.serving.app import Extension, create_app
from mlops.serving.prometheus import Metrics
from mlops.serving.service import Service
from mlops.serving.settings import Settings
from project.schema import SCHEMA
from served import KEY, PATIENCE, ROW, make_bundle

LARGEST_ANSWER = 16_384
FEATURES = [column.name for column in SCHEMA.features]


def start(
    bundle: Path, log: str = "none", extend: Extension | None = None, **changes: Any
) -> TestClient:
    values = {"bundle": bundle, "access_log": False, "reload_seconds": 0, "log_timeout": PATIENCE}
    values |= changes
    chosen = Settings(prediction_log_url=log, **values)
    service = Service(chosen, SCHEMA, Metrics(SCHEMA))
    client = TestClient(create_app(service, extend), raise_server_exceptions=False)
    client.service = service
    return client


@pytest.fixture(scope="module")
def api(bundle: Path) -> Iterator[TestClient]:
    with start(bundle, log=f"sqlite:///{bundle.parent}/log.db", max_rows=50) as client:
        yield client


def expected(model: Pipeline, rows: list[dict[str, Any]]) -> Any:
    return predict(model, pd.DataFrame(rows, columns=FEATURES), SCHEMA.target)


def wrong_fields(answer: Any) -> set[str]:
    assert answer.status_code == 422, answer.text
    assert len(answer.content) <= LARGEST_ANSWER
    return {str(problem["loc"][-1]) for problem in answer.json()["detail"]}


def test_get_and_post_give_the_pipelines_prediction(api: TestClient, model: Pipeline) -> None:
    one = api.get("/predict", params=ROW).json()
    many = api.post("/predict", json={"rows": [ROW, {**ROW, "size": 900.5}]}).json()

    assert set(one) == {"predicted_price", "prediction_id", "model_version"}
    assert many["predictions"][0] == one["predicted_price"]
    wanted = expected(model, [ROW, {**ROW, "size": 900.5}])
    np.testing.assert_allclose(many["predictions"], wanted, rtol=1e-9)
    assert len(set(many["prediction_ids"]) | {one["prediction_id"]}) == 3
    assert many["model_version"] == one["model_version"]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), missing=st.sampled_from([0.0, 0.3, 1.0]))
def test_single_batch_get_and_concurrent_answers_are_the_pipelines(
    api: TestClient, model: Pipeline, seed: int, missing: float
) -> None:
    rows = as_requests(valid_rows(SCHEMA, 12, seed=seed, missing=missing), SCHEMA)
    wanted = expected(model, rows)
    queries = [urlencode({k: v for k, v in row.items() if v is not None}) for row in rows]

    batch = api.post("/predict", json={"rows": rows}).json()["predictions"]
    back = api.post("/predict", json={"rows": rows[::-1]}).json()["predictions"]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        single = list(pool.map(lambda q: api.get(f"/predict?{q}").json(), queries))

    np.testing.assert_allclose(batch, wanted, rtol=1e-9)
    assert back[::-1] == batch
    np.testing.assert_allclose([s["predicted_price"] for s in single], wanted, rtol=1e-9)


def test_a_pickled_pipeline_serves_what_has_no_exported_form(
    model: Pipeline, tmp_path: Path
) -> None:
    make_bundle(tmp_path / "bundle", model, engine="joblib")
    with start(tmp_path / "bundle") as client:
        found = client.get("/predict", params=ROW).json()["predicted_price"]
    assert found == expected(model, [ROW])[0]


def test_every_bad_field_is_named_at_once(api: TestClient) -> None:
    bad = {"size": "1500", "rooms": 6.5, "quality": 11, "neighborhood": "Atlantis", "pool": 1}

    assert wrong_fields(api.post("/predict", json={"rows": [bad]})) == set(bad)
    assert wrong_fields(api.get("/predict", params=bad | {"size": "x"})) == set(bad)
    assert wrong_fields(api.get("/predict")) == {"size", "rooms"}


def test_every_way_in_which_a_column_can_be_wrong_is_refused_by_name(api: TestClient) -> None:
    for case in invalid_rows(SCHEMA):
        if case.column not in FEATURES or case.reason == "infinite":
            continue
        row = {k: case.row[k] for k in FEATURES}
        assert wrong_fields(api.post("/predict", json={"rows": [row]})) == {case.column}


def test_a_rule_between_columns_holds(api: TestClient) -> None:
    answer = api.post("/predict", json={"rows": [{**ROW, "bedrooms": 9}]})

    assert answer.status_code == 422
    assert "bedrooms must not outnumber rooms" in answer.text


@pytest.mark.parametrize("query", QUERIES)
def test_a_malformed_query_is_refused(api: TestClient, query: str) -> None:
    assert wrong_fields(api.get(f"/predict?{query}")) <= {"size", "rooms", "unknown"}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("path", ["/predict", "/feedback"])
def test_a_malformed_body_is_refused_briefly_and_never_echoed(
    api: TestClient, path: str, name: str
) -> None:
    answer = api.post(path, content=BODIES[name])

    assert answer.status_code == 422, answer.text
    assert len(answer.content) <= LARGEST_ANSWER
    assert answer.json()["detail"][0]["msg"]
    assert "DROP TABLE" not in answer.text
    assert "7*7" not in answer.text
    assert answer.headers["content-type"] == "application/json"


def test_a_refusal_lists_twenty_problems_and_counts_the_rest(api: TestClient) -> None:
    answer = api.post("/predict", content=BODIES["rows of zeros"]).json()

    assert len(answer["detail"]) == 20
    assert answer["more"] == 21


def test_a_value_refused_by_its_type_is_not_in_the_answer(api: TestClient) -> None:
    answer = api.post("/predict", json={"rows": [{**ROW, "neighborhood": "my secret street"}]})

    assert wrong_fields(answer) == {"neighborhood"}
    assert "secret" not in answer.text


def test_limits_of_body_and_headers_hold(bundle: Path) -> None:
    with start(bundle, max_body_bytes=200, max_header_bytes=1000) as client:
        large = b'{"rows": [' + b" " * 300 + b"]}"
        assert client.post("/predict", content=large).status_code == 413
        parts = (large[i : i + 50] for i in range(0, len(large), 50))
        assert client.post("/predict", content=parts).status_code == 413
        assert client.get("/health/live", headers={"x-a": "a" * 1000}).status_code == 431
        assert client.get("/predict?size=" + "1" * 1000).status_code == 431
        assert client.post("/predict", json={"rows": [ROW]}).status_code == 200


@pytest.mark.parametrize("length", ["-1", "x", "1" * 40, "²"])
def test_a_length_that_is_none_is_refused(api: TestClient, length: str) -> None:
    headers = {"content-length": length.encode("latin-1")}
    assert api.post("/predict", content=b"{}", headers=headers).status_code in (413, 422)


def test_an_api_key_guards_predictions_and_feedback_alone(bundle: Path) -> None:
    with start(bundle, api_key=KEY) as client:
        for key in (None, "", "wrong", KEY + "x", KEY[:-1]):
            headers = {} if key is None else {"X-API-Key": key}
            assert client.get("/predict", params=ROW, headers=headers).status_code == 401
            assert client.post("/feedback", json={}, headers=headers).status_code == 401
        assert client.get("/predict", params=ROW, headers={"X-API-Key": KEY}).status_code == 200
        assert client.get("/health/ready").status_code == 200


def test_a_request_has_an_id_and_safe_headers(api: TestClient) -> None:
    assert api.get("/health/live", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == (
        "abc-1"
    )
    odd = api.get("/health/live", headers={"X-Request-ID": "a b\x7f" * 40})
    assert len(odd.headers["x-request-id"]) == 16
    assert odd.headers["x-content-type-options"] == "nosniff"
    assert "server" not in odd.headers


def test_predictions_and_feedback_are_in_the_log(api: TestClient, bundle: Path) -> None:
    answer = api.post(
        "/predict", json={"rows": [ROW, {**ROW, "size": 700}]}, headers={"X-Request-ID": "log-1"}
    ).json()
    first = answer["prediction_ids"][0]

    for actual in (150_000, 150_000, 151_000.5):
        told = api.post("/feedback", json={"prediction_id": first, "actual": actual})
        assert told.json() == {"prediction_id": first, "status": "recorded"}
    log = sqlite3.connect(bundle.parent / "log.db")
    logged = log.execute(
        "SELECT prediction_id, features, predicted, n_rows FROM predictions"
        " WHERE request_id = 'log-1'"
    ).fetchall()
    kept = log.execute("SELECT actual FROM feedback WHERE prediction_id = ?", [first]).fetchall()
    log.close()

    (record,) = logged
    ids, features, predicted = zip(*rows_of(*record), strict=True)
    assert list(ids) == answer["prediction_ids"]
    assert list(predicted) == answer["predictions"]
    assert features[1]["size"] == 700
    assert kept == [("151000.5",)]


def test_more_feedback_than_allowed_in_a_minute_is_told_to_wait(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("mlops.serving.prediction_routes.time.monotonic", lambda: clock[0])
    with start(bundle, f"sqlite:///{tmp_path}/log.db", feedback_per_minute=3) as client:
        ids = client.post("/predict", json={"rows": [ROW] * 4}).json()["prediction_ids"]

        def tell(name: str) -> int:
            return client.post("/feedback", json={"prediction_id": name, "actual": 1e5}).status_code

        assert [tell(name) for name in ids] == [200, 200, 200, 429]
        refused = client.post("/feedback", json={"prediction_id": ids[3], "actual": 1e5})
        assert refused.headers["retry-after"] == "20"
        assert "at most 3 per minute" in refused.json()["detail"][0]["msg"]
        assert client.post("/predict", json={"rows": [ROW]}).status_code == 200
        clock[0] += 20
        assert [tell(ids[3]), tell(ids[3])] == [200, 429]
    with contextlib.closing(sqlite3.connect(tmp_path / "log.db")) as log:
        assert log.execute("SELECT count(*) FROM feedback").fetchone() == (4,)


def test_feedback_wants_a_known_id_and_a_possible_value(api: TestClient) -> None:
    unknown = {"prediction_id": "ab12", "actual": 1000}
    assert api.post("/feedback", json=unknown).status_code == 404
    assert wrong_fields(api.post("/feedback", json={"prediction_id": "x'", "actual": -5})) == {
        "prediction_id",
        "actual",
    }


def test_the_model_is_described(api: TestClient) -> None:
    shown = api.get("/model").json()

    assert shown["model_version"] == api.get("/predict", params=ROW).json()["model_version"]
    assert shown["git_commit"] == "unknown"
    assert set(shown["files_sha256"]) == {
        "form.json", "leaves.npy", "masks.npy", "model.joblib",
    }  # fmt: skip
    assert shown["schema"]["request"]["required"] == ["size", "rooms"]


@pytest.mark.parametrize("pairs", [[1], [20], [1, 20, 1, 30]], ids=["few", "many", "both"])
def test_metrics_count_requests_rows_gaps_and_unseen_values(bundle: Path, pairs: list[int]) -> None:
    pair, n = [{**ROW, "size": 5000}, {**ROW, "quality": 5}], sum(pairs)
    with start(bundle) as client:
        for times in pairs:
            client.post("/predict", json={"rows": pair * times})
        client.get("/predict")
        client.get("/no/such/path")
        text = client.get("/metrics").text

    for line in (
        f'http_requests_total{{method="POST",route="/predict",status="200"}} {len(pairs)}.0',
        'http_requests_total{method="GET",route="/predict",status="422"} 1.0',
        'http_requests_total{method="GET",route="unmatched",status="404"} 1.0',
        f"predictions_total {2 * n}.0",
        f"prediction_value_count {2 * n}.0",
        f'feature_missing_total{{feature="quality"}} {n}.0',
        f'feature_unseen_total{{feature="size"}} {n}.0',
    ):
        assert line in text
    assert "model_data_age_days" in text
    assert 'model_info{engine="arrays"' in text


@pytest.mark.parametrize("quick", [True, False])
def test_head_answers_as_get_and_records_no_prediction_for_nobody_is_told_one(
    bundle: Path, tmp_path: Path, quick: bool
) -> None:
    url = f"sqlite:///{tmp_path}/log.db"

    def by_fastapi(app: FastAPI) -> None:
        app.router.dependencies.append(Depends(lambda: None))

    with start(bundle, url, extend=None if quick else by_fastapi) as client:
        head, got = client.head("/predict", params=ROW), client.get("/predict", params=ROW)
        text = client.get("/metrics").text
    assert head.status_code == got.status_code == 200
    assert head.headers["content-type"] == got.headers["content-type"]
    assert len(logged(url)) == 1
    assert "predictions_total 1.0" in text


def test_openapi_describes_every_route_and_error(api: TestClient) -> None:
    document = api.get("/openapi.json").json()

    assert set(document["paths"]) == {
        "/", "/predict", "/feedback", "/model", "/metrics", "/health/live", "/health/ready",
        "/v2", "/v2/health/live", "/v2/health/ready",
        *(f"/v2/models/price{version}{what}" for version in ("", "/versions/{version}")
          for what in ("", "/ready", "/infer")),
    }  # fmt: skip
    get = document["paths"]["/predict"]["get"]
    assert [p["name"] for p in get["parameters"]] == FEATURES
    example = {p["name"]: p["example"] for p in get["parameters"] if "example" in p}
    assert api.get("/predict", params=example).status_code == 200
    post = document["paths"]["/predict"]["post"]
    assert {"200", "401", "413", "422", "503"} <= set(post["responses"])
    for shown in post["requestBody"]["content"]["application/json"]["examples"].values():
        assert api.post("/predict", json=shown["value"]).status_code == 200
    assert "predicted_price" in document["components"]["schemas"]["Prediction"]["properties"]


@pytest.mark.parametrize("policy", ["refuse", "answer"])
def test_a_log_that_is_away_refuses_or_counts(bundle: Path, tmp_path: Path, policy: str) -> None:
    (tmp_path / "file").write_text("no folder")
    log = f"sqlite:////proc/nowhere/{policy}.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "mkdir", lambda *a, **k: None)
        client = start(bundle, log=log, log_failure=policy, log_timeout=0.5)
    with client:
        answer = client.get("/predict", params=ROW)
        ready = client.get("/health/ready")
        text = client.get("/metrics").text

    assert answer.status_code == (503 if policy == "refuse" else 200)
    assert ("retry-after" in answer.headers) == (policy == "refuse")
    assert ready.status_code == 503
    assert 'prediction_log_writes_total{outcome="failed"} 1.0' in text


def test_more_requests_at_a_time_than_allowed_get_503(bundle: Path) -> None:
    with start(bundle, max_concurrency=1) as client:
        gate: Any = client.app
        gate._under_way = 1
        refused = client.get("/predict", params=ROW)
        assert client.get("/health/live").status_code == 200
        gate._under_way = 0
        accepted = client.get("/predict", params=ROW)

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert accepted.status_code == 200


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_prediction_that_is_no_finite_number_is_no_answer(
    value: float, api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = api.service.served.engine
    monkeypatch.setattr(
        engine,
        "predict_columns",
        lambda columns: np.array([1.0] * len(columns["size"]) + [value])[1:],
    )

    assert api.get("/predict", params=ROW).status_code == 500
    for body in ({"rows": [ROW]}, {"rows": [ROW, ROW]}):
        answer = api.post("/predict", json=body)
        assert answer.status_code == 500
        assert "null" not in answer.text


def test_a_failure_shows_no_stack_and_names_the_request(
    api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any, **named: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(api.service, "predict", fail)
    answer = api.get("/predict", params=ROW, headers={"X-Request-ID": "bad-1"})

    assert answer.status_code == 500
    assert "bad-1" in answer.text
    assert "secret" not in answer.text
