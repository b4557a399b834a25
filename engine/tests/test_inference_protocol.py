"""Columns, by the Open Inference Protocol and by POST /predict: a real client, all refusals."""

import json
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from databases import rows_of
from mlops.pipeline.equivalence import as_requests
from mlops.sampling import valid_rows
from project.schema import SCHEMA
from served import KEY, ROW, running
from test_api import expected, start

INFER = "/v2/models/price/infer"
SIZE = {"name": "size", "shape": [2], "datatype": "FP64", "data": [1500, 900.5]}
ROOMS = {"name": "rooms", "shape": [2, 1], "datatype": "INT64", "data": [[6], [5]]}
PLACE = {"name": "neighborhood", "shape": [2], "datatype": "BYTES", "data": ["", None]}


@pytest.fixture(scope="module")
def api(bundle: Path) -> Iterator[TestClient]:
    with start(bundle, log=f"sqlite:///{bundle.parent}/v2.db", max_rows=50) as client:
        yield client


def columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def tensors(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kinds = {float: "FP64", int: "INT64", bool: "BOOL", str: "BYTES"}
    return [
        {"name": name, "shape": [len(rows), 1], "datatype": kinds[SCHEMA[name].type], "data": data}
        for name, data in columns(rows).items()
    ]


def infer(api: TestClient, *inputs: Any, **more: Any) -> Any:
    return api.post(INFER, json={"inputs": inputs, **more})


def test_rows_columns_and_tensors_give_the_same_predictions_to_the_bit(
    api: TestClient, model: Any
) -> None:
    for seed, missing in ((1, 0.0), (2, 0.4), (3, 1.0)):
        rows = as_requests(valid_rows(SCHEMA, 40, seed=seed, missing=missing), SCHEMA)
        wanted = api.post("/predict", json={"rows": rows}).json()["predictions"]
        by_column = api.post("/predict", json={"columns": columns(rows)}).json()
        by_tensor = infer(api, *tensors(rows)).json()["outputs"]
        np.testing.assert_allclose(wanted, expected(model, rows), rtol=1e-9)
        assert by_column["predictions"] == by_tensor[0]["data"] == wanted
        assert len(set(by_column["prediction_ids"] + by_tensor[1]["data"])) == 80


def test_an_answer_has_what_the_protocol_says(api: TestClient) -> None:
    found = infer(api, SIZE, ROOMS, PLACE, id="job: 1", parameters={"a": {"b": 1}}).json()
    assert (found["id"], found["model_name"]) == ("job: 1", "price")
    assert [(o["name"], o["datatype"], o["shape"]) for o in found["outputs"]] == [
        ("predicted_price", "FP64", [2]),
        ("prediction_id", "BYTES", [2]),
    ]
    chosen = infer(api, SIZE, ROOMS, outputs=[{"name": "predicted_price"}]).json()
    assert [o["name"] for o in chosen["outputs"]] == ["predicted_price"]
    assert "id" not in chosen
    name = found["outputs"][1]["data"][0]
    assert api.post("/feedback", json={"prediction_id": name, "actual": 1e5}).status_code == 200


def test_the_server_and_its_model_are_described_and_only_this_model_and_version_answer(
    api: TestClient,
) -> None:
    assert api.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    assert api.get("/v2/").json() == api.get("/v2").json()
    assert api.get("/v2/health/live").json() == {"live": True}
    assert api.get("/v2/health/ready").json() == {"live": True}
    model = api.get("/v2/models/price").json()
    (version,) = model["versions"]
    assert model["inputs"][0] == {"name": "size", "datatype": "FP64", "shape": [-1]}
    assert api.get("/v2/models/price/ready").json() == {"name": "price", "ready": True}
    below = f"/v2/models/price/versions/{version}"
    assert api.get(below).json() == model
    assert api.get(f"{below}/ready").status_code == 200
    assert api.post(f"{below}/infer", json={"inputs": [SIZE, ROOMS]}).status_code == 200
    assert api.head("/v2/models/price").status_code == 200
    for path in ("/v2/models/price/versions/x", "/v2/models/other", "/v2/models/other/ready"):
        answer = api.get(path)
        assert (answer.status_code, list(answer.json())) == (404, ["error"])
    assert "/v2/models/price" in api.post("/v2/models/x/infer", json={}).json()["error"]
    assert api.get(INFER).status_code == 405
    assert list(api.delete(INFER).json()) == ["error"]


def test_a_project_names_its_model_by_a_setting(bundle: Path) -> None:
    with start(bundle, model_name="house-prices") as client:
        assert client.get("/v2/models/house-prices/ready").json()["name"] == "house-prices"
        assert client.get("/v2/models/price").status_code == 404


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ([SIZE], "rooms: Field required"),
        ([SIZE, ROOMS, SIZE], "size: is duplicated"),
        ([SIZE, ROOMS, {**SIZE, "name": "x"}], "x: no such input"),
        ([{**SIZE, "datatype": "BYTES"}, ROOMS], "size: wanted datatype FP64"),
        ([{**SIZE, "datatype": "BOOL"}, ROOMS], "size: wanted datatype FP64"),
        ([{**SIZE, "datatype": "FP7"}, ROOMS], "size: wanted datatype FP64"),
        ([{**PLACE, "datatype": "INT8"}, SIZE, ROOMS], "neighborhood: wanted datatype BYTES"),
        (
            [{**SIZE, "shape": [3]}, ROOMS],
            "size: wanted as many values as its shape declares, found 2",
        ),
        ([{**SIZE, "shape": []}, ROOMS], "size: wanted shape"),
        ([{**SIZE, "shape": [-1]}, ROOMS], "size: wanted shape"),
        ([{**SIZE, "shape": [1, 2]}, ROOMS], "size: wanted shape"),
        ([{**SIZE, "shape": [2, 1, 1]}, ROOMS], "size: wanted shape"),
        ([{**SIZE, "data": "x"}, ROOMS], "body: Expected `array`"),
        ([{"name": "size", "shape": [2], "datatype": "FP64"}, ROOMS], "size: wanted data"),
        ([{**SIZE, "shape": [1], "data": [1500]}, ROOMS], "found 1 to 2"),
        ([{**SIZE, "shape": [0], "data": []}], "wanted at least 1 row"),
        ([], "wanted at least 1 row"),
        ([{**SIZE, "shape": [60], "data": [1500] * 60}, ROOMS], "wanted at most 50 rows"),
        ([{**SIZE, "data": [1500, True]}, ROOMS], "size[1]: Input should be a valid number"),
        ([{**SIZE, "data": [None, 1500]}, ROOMS], "size[0]: Input should be a valid number"),
        ([SIZE, {**ROOMS, "data": [6, 6.5], "datatype": "FP32"}], "rooms[1]: Input should be"),
        ([SIZE, ROOMS, {**PLACE, "data": ["Atlantis", 1]}], "neighborhood[1]: Input should be"),
        ([{**SIZE, "parameters": {"binary_data_size": 16}}, ROOMS], "found 0"),
        ([{**SIZE, "parameters": {"binary_data_size": "x"}}, ROOMS], "found 0"),
    ],
)
def test_every_bad_tensor_or_value_is_named_by_its_column_and_row(
    api: TestClient, inputs: list[Any], told: str
) -> None:
    answer = infer(api, *inputs)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert told in answer.json()["error"]
    assert "Atlantis" not in answer.text


def test_all_bad_values_are_named_at_once_and_at_most_twenty(api: TestClient) -> None:
    bad = {"size": [1, "x"], "rooms": [6.5, 6], "neighborhood": ["Atlantis", None], "x": [1, 1]}
    found = api.post("/predict", json={"columns": bad})
    assert found.status_code == 422
    assert {tuple(one["loc"]) for one in found.json()["detail"]} == {
        ("body", "columns", "size", 0),
        ("body", "columns", "size", 1),
        ("body", "columns", "rooms", 0),
        ("body", "columns", "neighborhood", 0),
        ("body", "columns", "x"),
    }
    many = [{**SIZE, "shape": [40], "data": [1] * 40}, {**ROOMS, "shape": [40], "data": [6] * 40}]
    assert infer(api, *many).json()["error"].endswith("and 20 more")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"columns": {"size": [1500], "size": [1600], "rooms": [6]}}', "a key is duplicated"),
        (b'{"columns": {"size": [1500], "rooms": [6]}, "rows": []}', "not permitted"),
        (b'{"columns": [1]}', "wanted a list for each input"),
        (b'{"columns": {"size": 1500, "rooms": [6]}}', "wanted a list"),
        (b'{"columns": {"size": [1500], "rooms": [6, 6]}}', "found 1 to 2"),
        (b'{"columns": {"size": [1500, 900], "rooms": [6, 6], "bedrooms": [5, 9]}}', "outnumber"),
        (b'{"columns": {}}', "wanted at least 1 row"),
    ],
)
def test_columns_that_are_none_are_refused(api: TestClient, body: bytes, told: str) -> None:
    answer = api.post("/predict", content=body)
    assert answer.status_code == 422
    assert told in answer.text


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"inputs": 1}', b'{"inputs": [1]}', b'{"inputs": [{"name": 1}]}',
     b"\xff", b"[" * 100_000, b'{"inputs": [], "inputs": []}', b'{"inputs": [NaN]}',
     b'{"inputs": [], "outputs": [{"name": "x"}]}'],
)  # fmt: skip
def test_what_is_no_request_to_infer_is_refused_in_one_line(api: TestClient, body: bytes) -> None:
    answer = api.post(INFER, content=body)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


def binary(header: dict[str, Any], data: bytes, told: str | None = None) -> dict[str, Any]:
    text = json.dumps(header).encode()
    length = str(len(text)) if told is None else told
    headers = {"inference-header-content-length": length}
    return {"content": text + data, "headers": headers}


def packed(tensor: dict[str, Any], size: int, kind: str = "") -> dict[str, Any]:
    parameters = {"binary_data_size": size}
    found = {k: v for k, v in tensor.items() if k != "data"}
    return {**found, "parameters": parameters, **({"datatype": kind} if kind else {})}


def test_binary_tensors_give_what_json_gives(api: TestClient) -> None:
    place = {**PLACE, "data": ["NAmes", None]}
    quality = {"name": "quality", "shape": [2], "datatype": "FP32", "data": [5, None]}
    wanted = infer(api, SIZE, ROOMS, place, quality).json()["outputs"][0]
    texts = struct.pack("<I", 5) + b"NAmes" + struct.pack("<I", 0)
    data = struct.pack("<2d", 1500, 900.5) + struct.pack("<2b", 6, 5) + texts
    data += struct.pack("<2f", 5, float("nan"))
    inputs = [
        packed(SIZE, 16), packed(ROOMS, 2, "INT8"), packed(PLACE, len(texts)), packed(quality, 8),
    ]  # fmt: skip
    assert api.post(INFER, **binary({"inputs": inputs}, data)).json()["outputs"][0] == wanted


@pytest.mark.parametrize(
    ("inputs", "data", "told", "length"),
    [
        ([packed(SIZE, 16), ROOMS], struct.pack("<2d", 1, float("inf")), "finite numbers", None),
        ([packed(SIZE, 15), ROOMS], b"x" * 15, "whole values", None),
        ([packed(SIZE, 16), ROOMS], b"x" * 8, "found 1", None),
        ([SIZE, ROOMS], b"x", "wanted 0 bytes of binary data", None),
        ([packed(PLACE, 9), SIZE, ROOMS], struct.pack("<I", 9) + b"x" * 5, "whole texts", None),
        ([packed(PLACE, 5), SIZE, ROOMS], struct.pack("<I", 1) + b"\xff", "UTF-8", None),
        ([packed(PLACE, 2), SIZE, ROOMS], b"xx", "UTF-8", None),
        ([SIZE, ROOMS], b"", "wanted the length of the JSON", "x"),
        ([SIZE, ROOMS], b"", "wanted the length of the JSON", "9" * 30),
        ([SIZE, ROOMS], b"", "not JSON", "5"),
    ],
)
def test_binary_data_that_does_not_fit_is_refused(
    api: TestClient, inputs: list[Any], data: bytes, told: str, length: str | None
) -> None:
    answer = api.post(INFER, **binary({"inputs": inputs}, data, length))
    assert answer.status_code == 400
    assert told in answer.json()["error"]


def test_tensors_are_logged_counted_and_refusals_told_like_rows(bundle: Path) -> None:
    url = f"sqlite:///{bundle.parent}/v2-own.db"
    with start(bundle, log=url) as client:
        done = infer(client, SIZE, ROOMS, PLACE).json()
        infer(client, {**SIZE, "data": [1, 1]}, ROOMS)
        text = client.get("/metrics").text
    with sqlite3.connect(bundle.parent / "v2-own.db") as log:
        record = "SELECT prediction_id, features, predicted, n_rows FROM predictions"
        ids, features, predicted = zip(*rows_of(*log.execute(record).fetchone()), strict=True)
        refused = log.execute("SELECT reason FROM refusals ORDER BY 1").fetchall()
    log.close()
    assert list(ids) == done["outputs"][1]["data"]
    assert list(predicted) == done["outputs"][0]["data"]
    assert features[1] == dict.fromkeys(features[1]) | {"size": 900.5, "rooms": 5}
    assert refused == [("any",), ("size: greater_than_equal",)]
    assert f'http_requests_total{{method="POST",route="{INFER}",status="200"}} 1.0' in text
    assert "predictions_total 2.0" in text


def test_the_protocol_wants_the_key_and_holds_the_limits_in_its_own_words(bundle: Path) -> None:
    with start(bundle, api_key=KEY, max_body_bytes=300, max_concurrency=1) as client:
        for path in ("/v2/health/live", "/v2/health/ready"):
            assert client.get(path).status_code == 200
        for path in ("/v2", "/v2/", "/v2/models/price", "/v2/models/x", INFER, "/v2/health"):
            answer = client.get(path)
            assert (answer.status_code, list(answer.json())) == (401, ["error"])
        known = {"X-API-Key": KEY}
        assert client.post(INFER, json={"inputs": []}).status_code == 401
        large = client.post(INFER, content=b" " * 400, headers=known)
        assert (large.status_code, list(large.json())) == (413, ["error"])
        gate: Any = client.app
        gate._under_way = 1
        busy = client.post(INFER, json={"inputs": []}, headers=known)
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")
        assert list(busy.json()) == ["error"]


CLIENT = """
import sys
import numpy as np
import tritonclient.http as triton

client = triton.InferenceServerClient(sys.argv[1])
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("price")
model = client.get_model_metadata("price")
for binary in (True, False):
    size = triton.InferInput("size", [2], "FP64")
    size.set_data_from_numpy(np.array([1500.0, 900.5]), binary_data=binary)
    rooms = triton.InferInput("rooms", [2, 1], "INT64")
    rooms.set_data_from_numpy(np.array([[6], [5]]), binary_data=binary)
    place = triton.InferInput("neighborhood", [2], "BYTES")
    place.set_data_from_numpy(np.array(["", ""], dtype=object), binary_data=binary)
    found = client.infer("price", [size, rooms, place], request_id="7", model_version=binary and
                         model["versions"][0] or "")
    print(*found.as_numpy("predicted_price").tolist())
    assert found.as_numpy("prediction_id").shape == (2,)
    assert found.get_response()["id"] == "7"
try:
    client.infer("price", [size])
except triton.InferenceServerException as error:
    print(error)
"""


def test_a_client_of_triton_is_answered(bundle: Path) -> None:
    with running(bundle) as server:
        rows = {"rows": [ROW, {"size": 900.5, "rooms": 5}]}
        wanted = server.ask("POST", "/predict", rows)[1]["predictions"]
        run = subprocess.run(
            [sys.executable, "-c", CLIENT, f"127.0.0.1:{server.port}"],
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert run.returncode == 0, run.stderr
    *found, refused = run.stdout.splitlines()
    assert [[float(value) for value in line.split()] for line in found] == [wanted, wanted]
    assert refused == "[400] rooms: Field required"
