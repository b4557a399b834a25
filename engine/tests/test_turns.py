"""Requests for one row that arrive about the same time are answered together."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from databases import logged
from mlops.inference.encoding import Columns
from mlops.inference.engine import FEW
from mlops.inference.loaded_model import Served
from mlops.prediction_log.log_writer import LogAway
from mlops.request_parsing.quick_requests import Values
from mlops.serving.prometheus import Metrics
from mlops.serving.service import Predicted, Service
from mlops.serving.settings import Settings
from project.schema import SCHEMA

BAD = 13.0
"""Size of a house that upsets the engine."""
QUICK = 2 * FEW


class Doubling:
    """An engine that predicts twice the size.

    Attributes:
        rows: how many rows it was given at once.
        threads: whether that was in a thread other than the main one.
    """

    def __init__(self, upset: Callable[[], float]) -> None:
        self._upset = upset
        self.rows: list[int] = []
        self.threads: list[bool] = []

    def predict_columns(self, columns: Columns) -> Any:
        sizes: Any = columns["size"]
        self.rows.append(len(sizes))
        self.threads.append(threading.current_thread() is not threading.main_thread())
        return np.array([self._upset() if size == BAD else 2.0 * size for size in sizes])


def fail() -> float:
    raise RuntimeError("upset")


def values(*sizes: float) -> Values:
    return {c.name: [None] * len(sizes) for c in SCHEMA.inputs} | {"size": list(sizes)}


@contextlib.asynccontextmanager
async def serving(
    bundle: Path, log: str = "none", upset: Callable[[], float] = fail, **changes: Any
) -> AsyncIterator[tuple[Service, Doubling]]:
    chosen = Settings(prediction_log_url=log, bundle=bundle, reload_seconds=0, **changes)
    service, engine = Service(chosen, SCHEMA, Metrics(SCHEMA)), Doubling(upset)
    service.served = Served(service.served.manifest, engine, SCHEMA, quick_rows=QUICK)
    if service.log is not None:
        service.log.start()
    yield service, engine
    if service.log is not None:
        await service.log.close()


async def together(*asked: Awaitable[Predicted]) -> list[Any]:
    waited = asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 10)
    return list(await waited)


def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/log.db"


@pytest.mark.parametrize("with_log", [False, True])
def test_each_request_of_a_turn_gets_its_own_prediction(
    with_log: bool, bundle: Path, tmp_path: Path
) -> None:
    n = FEW + 8

    async def ask() -> tuple[list[Predicted], list[int], bytes]:
        async with serving(bundle, url(tmp_path) if with_log else "none") as (service, engine):
            found = await together(
                *(service.predict(values(1000.0 + k), f"r{k}") for k in range(n)),
                service.predict(values(1.0, 2.0), "two"),
            )
            return found, engine.rows, service.metrics.text()

    found, rows, metrics = asyncio.run(ask())

    assert [one.values for one in found] == [[2000.0 + 2 * k] for k in range(n)] + [[2.0, 4.0]]
    assert sorted(rows) == [2, 8, FEW]
    ids = [name for one in found for name in one.ids]
    assert len({name[:-4] for name in ids}) == n + 1
    assert f"predictions_total {n + 2}.0".encode() in metrics
    assert f"prediction_rows_count {n + 1}.0".encode() in metrics
    assert f'prediction_rows_bucket{{le="1.0"}} {n}.0'.encode() in metrics
    if with_log:
        written = logged(url(tmp_path))
        assert [written[name][1] for name in ids] == [v for one in found for v in one.values]


@pytest.mark.parametrize(
    ("before", "seconds", "wanted"),
    [(2, 600.0, [FEW, 3]), (2, 0.0, [1] * (FEW + 3)), (1, 600.0, [1] * (FEW + 3))],
    ids=["clients that were answered together", "not for long", "a lone client"],
)
def test_requests_that_arrive_one_after_another_wait_for_others(
    before: int,
    seconds: float,
    wanted: list[int],
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mlops.serving.service._GATHERED", seconds)

    async def ask() -> list[int]:
        async with serving(bundle) as (service, engine):
            await together(*(service.predict(values(1.0), "r") for _ in range(before)))
            engine.rows.clear()
            asked = []
            for _ in range(FEW + 3):
                asked.append(asyncio.ensure_future(service.predict(values(1.0), "r")))
                await asyncio.sleep(0)  # a turn of the event loop
            assert sum(engine.rows) >= FEW, "no more than FEW wait"
            await together(*asked)
            return engine.rows

    assert asyncio.run(ask()) == wanted


def test_many_rows_hold_up_no_requests_for_one_row(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops.serving.service._LATELY", 600.0)  # whatever pauses the test
    many, too_many = values(*[1.0] * (FEW + 1)), values(*[1.0] * (QUICK + 1))

    async def ask() -> list[bool]:
        async with serving(bundle) as (service, engine):
            for asked in (many, too_many, values(1.0), many):
                await service.predict(asked, "r")
            return engine.threads

    assert asyncio.run(ask()) == [False, True, False, True]


def test_the_log_has_each_requests_own_inputs_and_id(bundle: Path, tmp_path: Path) -> None:
    import sqlite3

    async def ask() -> list[Predicted]:
        async with serving(bundle, url(tmp_path)) as (service, _):
            return await together(*(service.predict(values(10.0 * k), f"r{k}") for k in range(5)))

    found = asyncio.run(ask())

    with contextlib.closing(sqlite3.connect(tmp_path / "log.db")) as log:
        lines = log.execute(
            "SELECT prediction_id, request_id, json_extract(features, '$.size') FROM predictions"
        ).fetchall()
    assert sorted(lines) == sorted((one.ids[0], f"r{k}", 10.0 * k) for k, one in enumerate(found))


@pytest.mark.parametrize("upset", [fail, lambda: float("nan"), lambda: float("inf")])
@pytest.mark.parametrize("with_log", [False, True])
def test_a_request_that_fails_fails_alone(
    with_log: bool, upset: Callable[[], float], bundle: Path, tmp_path: Path
) -> None:
    sizes = [100.0, BAD, 300.0, BAD, 500.0]

    async def ask() -> list[Any]:
        address = url(tmp_path) if with_log else "none"
        async with serving(bundle, address, upset) as (service, _):
            return await together(*(service.predict(values(size), "r") for size in sizes))

    found = asyncio.run(ask())

    for size, one in zip(sizes, found, strict=True):
        if size == BAD:
            assert isinstance(one, RuntimeError | ValueError)
        else:
            assert one.values == [2 * size]
    if with_log:
        assert sorted(v for _, v in logged(url(tmp_path)).values()) == [200.0, 600.0, 1000.0]


@pytest.mark.parametrize("with_log", [False, True])
def test_a_request_that_is_cancelled_takes_no_other_with_it(
    with_log: bool, bundle: Path, tmp_path: Path
) -> None:
    async def ask() -> list[Any]:
        async with serving(bundle, url(tmp_path) if with_log else "none") as (service, _):
            asked = [
                asyncio.ensure_future(service.predict(values(s), "r")) for s in (1.0, 2.0, 3.0)
            ]
            await asyncio.sleep(0)
            asked[0].cancel()
            return await together(*asked)

    first, second, third = asyncio.run(ask())

    assert isinstance(first, asyncio.CancelledError)
    assert (second.values, third.values) == ([4.0], [6.0])


@pytest.mark.parametrize("log_failure", ["refuse", "answer"])
def test_all_requests_of_a_turn_are_refused_or_answered_if_the_log_is_away(
    log_failure: str, bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "log.db").write_bytes(b"not a database" * 1000)

    async def ask() -> tuple[list[Any], bytes]:
        async with serving(bundle, url(tmp_path), log_failure=log_failure) as (service, _):
            with caplog.at_level(logging.ERROR):
                found = await together(*(service.predict(values(5.0), f"r{k}") for k in range(4)))
            return found, service.metrics.text()

    found, metrics = asyncio.run(ask())

    if log_failure == "refuse":
        assert [type(one) for one in found] == [LogAway] * 4
        assert b"predictions_total 0.0" in metrics
    else:
        assert [one.values for one in found] == [[10.0]] * 4
        assert b"predictions_total 4.0" in metrics
    assert b'prediction_log_writes_total{outcome="failed"} 4.0' in metrics
    told = [record for record in caplog.records if record.message == "not logged"]
    assert [record.request_id for record in told] == ["r0", "r1", "r2", "r3"]


def test_an_input_that_cannot_be_logged_fails_its_own_request(bundle: Path, tmp_path: Path) -> None:
    """JSON of the log has no integer of more than 64 bits, whatever a schema allows."""

    async def ask() -> list[Any]:
        async with serving(bundle, url(tmp_path)) as (service, _):
            huge = values(7.0) | {"rooms": [2**70]}
            return await together(
                service.predict(values(1.0), "a"),
                service.predict(huge, "b"),
                service.predict(values(3.0), "c"),
            )

    first, second, third = asyncio.run(ask())

    assert (first.values, third.values) == ([2.0], [6.0])
    assert isinstance(second, TypeError)
    assert sorted(v for _, v in logged(url(tmp_path)).values()) == [2.0, 6.0]
