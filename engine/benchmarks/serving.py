"""Compare our server with the plain way to serve the same bundle and with peers, as ratios.

The plain way: FastAPI, a typed body, the joblib pipeline, a DataFrame per request. The peers run
the same pipeline as documented by them. Every server has one worker and OMP_NUM_THREADS=1, and gets
distinct rows; responses are checked. Servers are measured alternately, round by round, so that
other work on the machine affects all. The load comes from this process, on the same cores, which
slows fast servers down more than slow ones.
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import uvloop

from bench_paths import ROOT
from mlops.bundle import load_model
from project.schema import SCHEMA
from servers import (
    BUNDLE,
    SERVERS,
    Rows,
    Server,
    demo,
    get,
    install_peers,
    memory,
    post_columns,
    post_v2,
    serving,
)

ROUNDS, SECONDS, BATCH_ROWS, STARTS = 5, 2.0, 1000, 2
OURS = ("ours", "ours, logging")
PROTOCOL = (*OURS, "mlserver")
Results = dict[str, dict[str, list[tuple[float, float]]]]
"""Load -> server -> for each round: rows per second, 99th percentile in milliseconds."""


@dataclass
class Load:
    """One kind of load; `request` returns the HTTP request for some rows."""

    name: str
    connections: int
    rows: list[Rows]
    request: Callable[[Server, Rows], bytes] = Server.post
    neighbours: int = 0
    only: tuple[str, ...] = ()  # servers; none: all


def make_row(rng: random.Random) -> dict[str, Any]:
    """Draw a distinct row that the API accepts."""
    row: dict[str, Any] = {}
    for column in SCHEMA.features:
        if column.choices:
            row[column.name] = rng.choice(column.choices)
        else:
            drawn = rng.uniform(column.low or 0, column.high or 1000)
            row[column.name] = int(drawn) if column.type is int else round(drawn, 3)
    return {**row, "bedrooms": min(row["bedrooms"], row["rooms"])}


def make_loads() -> list[Load]:
    rng = random.Random(0)
    single = [[make_row(rng)] for _ in range(4000)]
    batches = [[make_row(rng) for _ in range(BATCH_ROWS)] for _ in range(20)]
    return [
        Load("POST, 8 connections", 8, single),
        Load("POST, 32 connections", 32, single),
        Load("GET, 8 connections", 8, single, lambda _, rows: get(rows[0]), only=OURS),
        Load(f"POST, {BATCH_ROWS} rows", 1, batches),
        Load(f"POST, {BATCH_ROWS} rows as columns", 1, batches, post_columns, only=PROTOCOL),
        Load(f"Open Inference Protocol, {BATCH_ROWS} rows", 1, batches, post_v2, only=PROTOCOL),
        Load("POST, 8 connections, two busy neighbours", 8, single, neighbours=2),
    ]


class Client(asyncio.Protocol):
    """Sends one request after another until the end time."""

    def __init__(
        self, requests: list[bytes], start: int, end: float, done: "asyncio.Future[None]"
    ) -> None:
        self._requests, self._next, self._end, self._done = requests, start, end, done
        self._buffer, self._wanted = b"", 0
        self.seconds: list[float] = []

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(error or RuntimeError("closed under way"))

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._requests[self._next % len(self._requests)])
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
            self._done.set_result(None)
            self._transport.close()


async def measure(
    port: int, requests: list[bytes], connections: int, seconds: float
) -> tuple[float, float]:
    """Return requests per second, and the 99th percentile of latency in milliseconds."""
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    clients, waiting = [], []
    for number in range(connections):
        done = loop.create_future()
        client = Client(requests, number * 997, began + seconds, done)
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)
        clients.append(client)
        waiting.append(done)
    await asyncio.gather(*waiting)
    took = time.perf_counter() - began
    times = sorted(second for client in clients for second in client.seconds)
    return len(times) / took, times[int(len(times) * 0.99)] * 1000


def _spin() -> None:
    while True:
        pass


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """Run so many busy processes in the background."""
    running = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(processes)]
    for process in running:
        process.start()
    yield
    for process in running:
        process.kill()
        process.join()


def check_answers(server: Server, port: int) -> float:
    """Return the largest relative difference between a server and the pipeline itself."""
    rng = random.Random(7)
    rows = [make_row(rng) for _ in range(200)]
    wanted = load_model(BUNDLE).predict(pd.DataFrame(rows))
    connection = http.client.HTTPConnection("127.0.0.1", port)
    body = json.dumps(server.content(rows))
    connection.request("POST", server.path, body, {"content-type": "application/json"})
    found = server.answer(json.loads(connection.getresponse().read()))
    worst = max(abs(f / w - 1) for f, w in zip(found, wanted, strict=True))
    if worst > 1e-9:
        raise SystemExit(f"a server's answers are off by {worst}")
    return worst


def measure_all(servers: dict[str, Server], rounds: int, seconds: float) -> tuple[Results, Any]:
    """Measure every load on every server; return results, and the memory afterwards."""
    results: Results = defaultdict(lambda: {name: [] for name in servers})
    with contextlib.ExitStack() as stack:
        ports, pids = {}, {}
        for name, server in servers.items():
            ports[name], _, pids[name] = stack.enter_context(serving(server))
            if name != "hello":
                print(f"{name} is off by {check_answers(server, ports[name]):.1g}", file=sys.stderr)
        for number in range(rounds):
            for load in make_loads():
                for name in list(servers)[:: 1 if number % 2 else -1]:
                    if load.only and name not in load.only:
                        continue
                    requests = [load.request(servers[name], rows) for rows in load.rows]
                    with busy(load.neighbours):
                        found = measure(ports[name], requests, load.connections, seconds)
                        rate, p99 = uvloop.run(found)
                    results[load.name][name].append((rate * len(load.rows[0]), p99))
                    told = f"{rate * len(load.rows[0]):.0f}/s, {p99:.1f} ms"
                    print(f"{load.name}, {name}: {told}, load {os.getloadavg()[0]:.1f}")
                    sys.stdout.flush()
        return results, {name: memory(pid) for name, pid in pids.items()}


def spread(values: list[float], form: str = ".3g") -> str:
    middle = statistics.median(values)
    return f"{middle:{form}} ({min(values):{form}} to {max(values):{form}})"


def rate_table(results: Results) -> str:
    """Return a table of rates, our speed relative to each server, and latency."""
    lines = ["| load | server | rows/s | ours is so many times as quick | logging | p99, ms |"]
    lines.append("|---|---|---:|---:|---:|---:|")
    for load, servers in results.items():
        for name, found in ((name, found) for name, found in servers.items() if found):
            ratios = []
            for mine in OURS:
                pairs = zip(servers[mine], found, strict=True)
                ratios.append(spread([a[0] / b[0] for a, b in pairs]))
            rate = statistics.median(rate for rate, _ in found)
            late = statistics.median(p99 for _, p99 in found)
            lines.append(f"| {load} | {name} | {rate:,.0f} | {' | '.join(ratios)} | {late:.1f} |")
    return "\n".join(lines)


def goals_table(results: Results, servers: dict[str, Server], used: dict[str, float]) -> str:
    """Return a table of other figures: latency ratios, cold starts, memory, size."""
    few, many = results["POST, 8 connections"], results["POST, 32 connections"]
    one, noisy = (
        results["GET, 8 connections"],
        results["POST, 8 connections, two busy neighbours"],
    )

    def over(above: list[tuple[float, float]], below: list[tuple[float, float]], at: int) -> str:
        return spread([a[at] / b[at] for a, b in zip(above, below, strict=True)], ".2f")

    lines = ["| what | found |", "|---|---|"]
    lines.append(f"| GET's rate by POST's | {over(one['ours'], few['ours'], 0)} |")
    lines.append(f"| p99 at 32 connections by hello's | {over(many['ours'], many['hello'], 1)} |")
    lines.append(
        f"| p99 under two busy neighbours by idle | {over(noisy['ours'], few['ours'], 1)} |"
    )
    for name, server in servers.items():
        starts = []
        for _ in range(STARTS):
            with serving(server) as (_, seconds, _):
                starts.append(seconds)
        told = f"{spread(starts, '.2f')} s, {used[name]:.0f} MB"
        lines.append(f"| {name}: start to first answer, memory after the load | {told} |")
    for name, size in sizes(servers).items():
        lines.append(f"| {name}: installed | {size:.0f} MB |")
    return "\n".join(lines)


def sizes(servers: dict[str, Server]) -> dict[str, float]:
    """Return the sizes in MB of the serving image's packages and of the peers' environments."""
    with tempfile.TemporaryDirectory() as folder:
        locked = ["--no-deps", "-r", str(ROOT / "requirements-serve.txt")]
        uv = [Path(sys.executable).with_name("uv"), "pip", "install", "-q", "--target", folder]
        subprocess.run([*uv, *locked], check=True)
        found = {"ours": _size(Path(folder))}
    for name, server in servers.items():
        if server.environment is not None:
            found[name] = _size(server.environment)
    return found


def _size(folder: Path) -> float:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 2**20


def plot(results: Results, path: Path) -> None:
    """Plot the relative speed of our server, a panel per load."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    loads = ["POST, 8 connections", "POST, 32 connections", f"POST, {BATCH_ROWS} rows"]
    figure, panels = plt.subplots(1, 3, figsize=(11, 3.4), sharey=True, layout="constrained")
    for panel, load in zip(panels, loads, strict=True):
        others = [name for name in results[load] if name not in (*OURS, "hello")]
        for shift, mine in zip((-0.19, 0.19), OURS, strict=True):
            for place, name in enumerate(others):
                pairs = zip(results[load][mine], results[load][name], strict=True)
                ratios = [a[0] / b[0] for a, b in pairs]
                middle = statistics.median(ratios)
                error = [[middle - min(ratios)], [max(ratios) - middle]]
                color = "#0b5cad" if mine == "ours" else "#e08a1e"
                panel.barh(place + shift, middle, 0.36, xerr=error, color=color, ecolor="#444",
                           label=mine if place == 0 else None)  # fmt: skip
        panel.axvline(1, color="#444", linewidth=0.8)
        panel.set_yticks(range(len(others)), others)
        panel.set_title(load, fontsize=10)
        panel.set_xlabel("times as quick")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].invert_yaxis()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, loc="outside lower center", ncols=2)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--peers", type=Path, help="folder for the peers' environments")
    parser.add_argument("--plot", type=Path, help="picture to draw")
    options = parser.parse_args()
    peers = install_peers(options.peers.resolve()) if options.peers else {}
    servers = {**SERVERS, **peers}
    with demo():
        results, used = measure_all(servers, options.rounds, options.seconds)
        print(rate_table(results))
        print(goals_table(results, servers, used))
    if options.plot:
        plot(results, options.plot)


if __name__ == "__main__":
    main()
