"""Derived features from a request to the log, the monitor and the next training rows."""

import datetime
import sqlite3
import zoneinfo
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

import fitted
from databases import rows_of
from mlops.errors import UserError
from mlops.frames import with_derived, write_rows
from mlops.inference.derived_engine import with_features
from mlops.inference.engine import Exported
from mlops.inference.loaded_model import Served
from mlops.monitoring.feedback import labelled_rows
from mlops.monitoring.log_reader import read_feedback
from mlops.pipeline.equivalence import LIMITS, as_requests, edge_rows, largest_error
from mlops.pipeline.exporter import export_form
from mlops.pipeline.model import predict
from mlops.sampling import valid_rows
from mlops.score.__main__ import score_file
from mlops.serving.app import create_app
from mlops.serving.prometheus import Metrics
from mlops.serving.service import Service
from mlops.serving.settings import Settings
from orders import SCHEMA
from served import PATIENCE, make_bundle

ORDER = {"pieces": 3, "weight": 640.0, "express": True, "note": "by the door", "material": "wood"}
NOON = "2008-05-05T12:30:00"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("orders") / "bundle"
    make_bundle(folder, fitted.fit("orders", "hist_gradient_boosting"), schema=SCHEMA)
    return folder


@pytest.fixture(scope="module")
def api(bundle: Path) -> Iterator[TestClient]:
    values: dict[str, Any] = {"bundle": bundle, "access_log": False, "reload_seconds": 0}
    log = f"sqlite:///{bundle.parent}/log.db"
    settings = Settings(prediction_log_url=log, log_timeout=PATIENCE, **values)
    with TestClient(create_app(Service(settings, SCHEMA, Metrics(SCHEMA)))) as own:
        yield own


def logged(bundle: Path, prediction_id: str) -> dict[str, Any]:
    with sqlite3.connect(bundle.parent / "log.db") as log:
        wanted = "SELECT prediction_id, features, predicted, n_rows FROM predictions"
        found = [row for record in log.execute(wanted) for row in rows_of(*record)]
    log.close()
    return {name: features for name, features, _ in found}[prediction_id]


@pytest.mark.parametrize("kind", ["ridge", "random_forest", "hist_gradient_boosting"])
def test_every_kind_of_model_is_exported_with_its_derived_features(kind: str) -> None:
    model = fitted.fit("orders", kind)
    form = export_form(model, SCHEMA)
    engine = with_features(Exported(form.content, form.files), SCHEMA)
    rows = edge_rows(form.thresholds, SCHEMA, 3_000)
    assert largest_error(engine, model, rows, SCHEMA) <= LIMITS["regression"]


def test_get_post_and_scoring_give_what_the_pipeline_predicts(
    api: TestClient, bundle: Path, tmp_path: Path
) -> None:
    model = fitted.fit("orders", "hist_gradient_boosting")
    rows = valid_rows(SCHEMA, 40, seed=5, missing=0.2)
    wanted = predict(model, with_derived(rows, SCHEMA), SCHEMA.target)
    write_rows(tmp_path / "in.parquet", rows)
    asked = [
        {name: v.isoformat() if hasattr(v, "isoformat") else v for name, v in line.items()}
        for line in as_requests(rows, SCHEMA)
    ]

    several = api.post("/predict", json={"rows": asked})
    single = []
    for line in asked:
        given = {k: str(v).lower() if isinstance(v, bool) else v for k, v in line.items()}
        answer = api.get("/predict", params={k: v for k, v in given.items() if v is not None})
        assert answer.status_code == 200, answer.text
        single.append(answer.json()["predicted_hours"])
    score_file(tmp_path / "in.parquet", tmp_path / "out.parquet", Served.read(bundle, SCHEMA))
    scored = pq.read_table(tmp_path / "out.parquet")["predicted_hours"].to_pylist()

    assert several.status_code == 200, several.text
    for found in (several.json()["predictions"], single, scored):
        assert np.allclose(found, wanted, rtol=1e-9)


def test_a_time_with_an_offset_is_the_same_moment_in_the_time_zone_of_the_project(
    api: TestClient, bundle: Path
) -> None:
    given = [NOON, "2008-05-05T10:30:00Z", "2008-05-05T06:30-04:00", "2008-05-05 12:30:00.000"]
    rows = [{**ORDER, "ordered": text} for text in given]
    answer = api.post("/predict", json={"rows": rows}).json()
    assert {logged(bundle, one)["ordered"] for one in answer["prediction_ids"]} == {NOON}


def test_without_a_time_the_present_moment_counts_and_is_logged(
    api: TestClient, bundle: Path
) -> None:
    answer = api.post("/predict", json={"rows": [ORDER, {**ORDER, "ordered": NOON}]}).json()
    now, given = (logged(bundle, one)["ordered"] for one in answer["prediction_ids"])
    assert given == NOON
    moment = datetime.datetime.fromisoformat(now)
    assert moment.tzinfo is None
    wanted = datetime.datetime.now(zoneinfo.ZoneInfo(SCHEMA.timezone)).replace(tzinfo=None)
    assert abs((wanted - moment).total_seconds()) < 120


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("ordered", "yesterday", "wanted a date and time such as"),
        ("ordered", "2008-13-01T00:00:00", "wanted a date and time such as"),
        ("ordered", 1209988800, "datetime"),
        ("ordered", True, "datetime"),
        ("since", "2008-05-05T12:00:00", "without a time"),
        ("since", "05.05.2008", "wanted a date such as"),
        ("express", 1, "boolean"),
        ("express", "true", "boolean"),
        ("express", 0.0, "boolean"),
        ("note", "", "at least 1 character"),
        ("note", 5, "string"),
        ("hour", 5, "not permitted"),
    ],
)
def test_a_value_of_another_type_is_named(
    api: TestClient, field: str, value: Any, told: str
) -> None:
    answer = api.post("/predict", json={"rows": [{**ORDER, field: value}]})
    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert problem["loc"][-1] == field
    assert told in problem["msg"]


def test_the_document_the_model_and_the_page_tell_inputs_from_derived_features(
    api: TestClient,
) -> None:
    properties = api.get("/openapi.json").json()
    (get,) = [
        p for p in properties["paths"]["/predict"]["get"]["parameters"] if p["name"] == "ordered"
    ]
    assert not get["required"]
    assert get["schema"]["anyOf"][0]["format"] == "date-time"
    told = api.get("/model").json()["schema"]
    assert [one["name"] for one in told["derived"]] == [one.name for one in SCHEMA.derived]
    assert "hour" not in told["request"]["properties"]
    page = api.get("/").text
    assert 'type="datetime-local"' in page
    assert 'name="each"' not in page


def test_feedback_of_such_predictions_becomes_rows_with_the_time_that_was_asked_for(
    api: TestClient, bundle: Path
) -> None:
    answer = api.post("/predict", json={"rows": [{**ORDER, "ordered": NOON}]}).json()
    name = answer["prediction_ids"][0]
    told = {"prediction_id": name, "actual": 40.0}
    assert api.post("/feedback", json=told).status_code == 200
    found = read_feedback(f"sqlite:///{bundle.parent}/log.db", SCHEMA)
    today = datetime.datetime.now(datetime.UTC).date()
    rows, left_out = labelled_rows(
        found, today - datetime.timedelta(2), today + datetime.timedelta(1), SCHEMA
    )
    assert not left_out
    (row,) = rows.to_dict("records")
    assert row["ordered"].isoformat() == NOON
    assert (row["express"], row["hours"], row["note"]) == (1.0, 40.0, "by the door")
    assert found["hour"].tolist() == [12.0]


def test_a_bundle_made_by_other_functions_is_refused_in_words(bundle: Path) -> None:
    changed = replace(SCHEMA, derived_code="another")
    with pytest.raises(UserError, match="made with other functions than those of src/project"):
        Served.read(bundle, changed)
    with pytest.raises(UserError, match="made with other functions"):
        Served.read(bundle, replace(SCHEMA, timezone="Asia/Tokyo"))
