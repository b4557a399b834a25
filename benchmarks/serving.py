"""Ours against the plain way to serve the same bundle, interleaved, as ratios.

The plain way: FastAPI, a typed body, the joblib pipeline, a DataFrame a request. Every server runs
with OMP_NUM_THREADS=1 and one worker, and answers distinct rows; answers are checked. Servers are
measured in turn, round by round, so that a busy machine is busy for all. The load comes from this
process, on the same cores: it holds the quick servers back more than the slow ones.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import uvloop

from mlops.bundle import load_model
from mlops.schema import SCHEMA

BUNDLE = Path("artifacts/bundle").resolve()
HERE = Path(__file__).parent
ROUNDS, SECONDS, BATCH_ROWS = 5, 2.0, 1000

SERVERS: dict[str, tuple[list[str], dict[str, str]]] = {
    "ours": (["-m", "mlops.serving"], {"PREDICTION_LOG_URL": "none"}),
    "ours, logging": (["-m", "mlops.serving"], {}),
    "plain": (["-m", "uvicorn", "plain_api:app", "--no-access-log"], {}),
    "hello": (["-m", "uvicorn", "plain_api:hello", "--no-access-log"], {}),
}


@dataclass
class Load:
    """One kind of load; `requests` are whole, ready to send."""

    name: str
    connections: int
    requests: list[bytes]
    rows: int = 1


@dataclass
class Result:
    """Of one server under one load, a value for each round: rows a second, p99 in seconds."""

    rate: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)


def make_row(rng: random.Random) -> dict[str, Any]:
    """Draw a row that the API takes, no two alike."""
    row: dict[str, Any] = {}
    for column in SCHEMA.features:
        if column.choices:
            row[column.name] = rng.choice(column.choices)
        else:
            drawn = rng.uniform(column.low or 0, column.high or 1000)
            row[column.name] = int(drawn) if column.type is int else round(drawn, 3)
    return {**row, "bedrooms": min(row["bedrooms"], row["rooms"])}


def post(rows: list[dict[str, Any]]) -> bytes:
    body = json.dumps({"rows": rows}).encode()
    head = "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def get(row: dict[str, Any]) -> bytes:
    return f"GET /predict?{urlencode(row)} HTTP/1.1\r\nhost: x\r\n\r\n".encode()


def make_loads() -> list[Load]:
    rng = random.Random(0)
    rows = [make_row(rng) for _ in range(4000)]
    single = [post([row]) for row in rows]
    batches = [post([make_row(rng) for _ in range(BATCH_ROWS)]) for _ in range(20)]
    return [
        Load("POST, 8 connections", 8, single),
        Load("POST, 32 connections", 32, single),
        Load("GET, 8 connections", 8, [get(row) for row in rows]),
        Load(f"POST, {BATCH_ROWS} rows", 1, batches, BATCH_ROWS),
    ]


class Client(asyncio.Protocol):
    """Sends one request after another until the time is up."""

    def __init__(self, load: Load, start: int, end: float, done: "asyncio.Future[None]") -> None:
        self._load, self._next, self._end, self._done = load, start, end, done
        self._buffer, self._wanted = b"", 0
        self.seconds: list[float] = []

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._load.requests[self._next % len(self._load.requests)])
        self._next += 1

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        if not self._wanted:
            lower = self._buffer[:head].lower()
            if b" 200 " not in lower[:13]:
                self._done.set_exception(RuntimeError(self._buffer.decode(errors="replace")))
                return
            length = lower.split(b"content-length: ")[1].split(b"\r\n")[0]
            self._wanted = head + 4 + int(length)
        if len(self._buffer) < self._wanted:
            return
        self._buffer, self._wanted = b"", 0
        now = time.perf_counter()
        self.seconds.append(now - self._sent)
        if now < self._end:
            self._send()
        else:
            self._transport.close()
            self._done.set_result(None)


async def measure(port: int, load: Load, seconds: float) -> tuple[float, float]:
    """Give rows a second, and the 99th percentile of the seconds that a request took."""
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    clients, waiting = [], []
    for number in range(load.connections):
        done = loop.create_future()
        client = Client(load, number * 997, began + seconds, done)
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)
        clients.append(client)
        waiting.append(done)
    await asyncio.gather(*waiting)
    took = time.perf_counter() - began
    times = sorted(second for client in clients for second in client.seconds)
    return len(times) * load.rows / took, times[int(len(times) * 0.99)]


@contextlib.contextmanager
def serving(name: str, folder: str) -> Iterator[tuple[int, float]]:
    """Start a server; give its port and the seconds to its first answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments, settings = SERVERS[name]
    more = ["--port", str(port)] if "uvicorn" in arguments else []
    environment = {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{HERE.parent / 'src'}:{HERE}",
        "SERVE_BUNDLE": str(BUNDLE),
        "SERVE_PORT": str(port),
        "SERVE_ACCESS_LOG": "0",
    }
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments, *more],
        env=os.environ | environment | settings,
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield port, wait(port, began)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def wait(port: int, began: float) -> float:
    for _ in range(3000):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as probe:
            probe.sendall(b"GET /predict?size=1500&rooms=6 HTTP/1.1\r\nhost: x\r\n\r\n")
            if probe.recv(100).startswith(b"HTTP/1.1 200"):
                return time.perf_counter() - began
        time.sleep(0.01)
    raise RuntimeError("the server gave no answer in 30 seconds")


def check_answers(ports: dict[str, int]) -> float:
    """Give the largest relative difference between the servers and the pipeline itself."""
    import http.client

    import pandas as pd

    rng = random.Random(7)
    rows = [make_row(rng) for _ in range(200)]
    wanted = load_model(BUNDLE).predict(pd.DataFrame(rows))
    worst = 0.0
    for name in (name for name in ports if name != "hello"):
        connection = http.client.HTTPConnection("127.0.0.1", ports[name])
        body = json.dumps({"rows": rows})
        connection.request("POST", "/predict", body, {"content-type": "application/json"})
        found = json.loads(connection.getresponse().read())["predictions"]
        worst = max(worst, *(abs(f / w - 1) for f, w in zip(found, wanted, strict=True)))
    return worst


def table(results: dict[str, dict[str, Result]]) -> str:
    lines = ["| load | server | rows/s, times plain (least to most) | p99, times plain |"]
    lines.append("|---|---|---:|---:|")
    for load, servers in results.items():
        plain = servers["plain"]
        for name, result in servers.items():
            ratios = [a / b for a, b in zip(result.rate, plain.rate, strict=True)]
            late = statistics.median(a / b for a, b in zip(result.p99, plain.p99, strict=True))
            rate = statistics.median(ratios)
            lines.append(
                f"| {load} | {name} | {rate:.1f} ({min(ratios):.1f} to {max(ratios):.1f}) "
                f"| {late:.3f} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    results: dict[str, dict[str, Result]] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        ports = {}
        for name in SERVERS:
            ports[name], cold = stack.enter_context(serving(name, folder))
            print(f"{name}: {cold:.2f} s to the first answer", file=sys.stderr)
        print(f"largest relative difference: {check_answers(ports):.1g}", file=sys.stderr)
        for number in range(options.rounds):
            for load in make_loads():
                for name in list(SERVERS)[:: 1 if number % 2 else -1]:
                    rate, p99 = uvloop.run(measure(ports[name], load, options.seconds))
                    found = results.setdefault(load.name, {s: Result() for s in SERVERS})[name]
                    found.rate.append(rate)
                    found.p99.append(p99)
                    print(f"{load.name}, {name}: {rate:.0f}/s, {p99 * 1e3:.1f} ms", file=sys.stderr)
    print(table(results))


if __name__ == "__main__":
    main()
