"""More load than the server takes, new models under load, several workers: nothing is lost."""

import asyncio
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from databases import logged
from load import Load, wait_for
from malformed import CLASSES
from mlops.serving.app import create_app
from mlops.serving.prometheus import Metrics
from mlops.serving.service import Service
from mlops.serving.settings import Settings
from project.schema import SCHEMA
from served import ROW, Process, running
from test_malformed import send_malformed


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=pytest.mark.slow)])
def test_four_times_the_load_gets_answers_or_503_and_leaves_nothing_behind(
    bundle: Path, tmp_path: Path, seconds: float
) -> None:
    url = f"sqlite:///{tmp_path}/log.db"
    with running(bundle, url, SERVE_MAX_CONCURRENCY="16") as server:
        with Load(server.port, 4 * 16) as load:
            time.sleep(seconds)
        ended = time.monotonic()
        assert server.ask("POST", "/predict", {"rows": [ROW]})[0] == 200
        assert server.ask("GET", "/health/ready")[0] == 200
        assert time.monotonic() - ended < 2
    assert load.statuses == {200, 503}
    assert load.unanswered == 0
    assert all(b"retry-after: 1" in answer.head for answer in load.answers if answer.status == 503)
    accepted = sorted(answer.seconds for answer in load.answers if answer.status == 200)
    assert accepted[int(len(accepted) * 0.99)] < 1
    assert load.acknowledged.items() <= logged(url).items()


def test_malformed_requests_beside_an_overload_get_no_other_5xx_than_the_announced_one(
    bundle: Path, tmp_path: Path
) -> None:
    with running(bundle, f"sqlite:///{tmp_path}/log.db", SERVE_MAX_CONCURRENCY="4") as server:
        with Load(server.port, 4 * 4) as load:
            send_malformed(server, 3 * len(CLASSES), seed=2, also=frozenset({503}))
        assert server.ask("POST", "/predict", {"rows": [ROW]})[0] == 200
        assert "Traceback" not in server.end()[1]
    assert load.statuses == {200, 503}
    assert load.unanswered == 0


def test_requests_that_wait_for_fastapi_leave_places_for_predictions(bundle: Path) -> None:
    chosen = Settings(bundle=bundle, prediction_log_url="none", access_log=False, reload_seconds=0)
    app = create_app(Service(chosen, SCHEMA, Metrics(SCHEMA)))

    async def status_of(path: str, query: bytes = b"") -> int:
        statuses: list[int] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            statuses.append(message.get("status"))

        scope = {"type": "http", "method": "GET", "path": path, "query_string": query}
        await app({**scope, "headers": []}, receive, send)
        return statuses[0]

    async def flood() -> tuple[int, list[int], int]:
        pages = [asyncio.create_task(status_of("/model")) for _ in range(100)]
        await asyncio.sleep(0)  # all of them are under way
        predicted = await status_of("/predict", b"size=1500&rooms=6")
        return predicted, await asyncio.gather(*pages), await status_of("/model")

    predicted, pages, later = asyncio.run(flood())

    assert predicted == later == 200
    assert set(pages) == {200, 503}


def scrape(server: Process) -> dict[str, float]:
    """Read /metrics, by name and labels."""
    address = f"http://127.0.0.1:{server.port}/metrics"
    with urllib.request.urlopen(address, timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_workers_that_share_a_folder_count_together(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    shared = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "shared")}
    with running(bundle, **shared) as first, running(bundle, **shared) as second:
        for server, rows in ((first, 3), (second, 2)):
            assert server.ask("POST", "/predict", {"rows": [ROW] * rows})[0] == 200
        for server in (first, second):
            wait_for(lambda server=server: scrape(server)["predictions_total"] == 5)
            found = scrape(server)
            posts = 'http_requests_total{method="POST",route="/predict",status="200"}'
            assert found[posts] == 2
            assert found['feature_missing_total{feature="quality"}'] == 5
            assert found["prediction_value_count"] == 5
            (model,) = (name for name in found if name.startswith("model_info{"))
            assert found[model] == 1
