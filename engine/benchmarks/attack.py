"""A well-behaved client during denial-of-service attacks: never reading, trickling, flooding.

All on loopback, with the default settings. Prints the latency of the good client's responses, the
server's memory before and after, and tracebacks. The attackers run in a separate process, on the
same cores as the server and the good client.
"""

import argparse
import asyncio
import collections
import contextlib
import datetime
import http.client
import multiprocessing
import os
import resource
import socket
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path

import bench_paths  # noqa: F401
from served import Process, make_bundle, running, small_model

SECONDS, DEAF, HALF, FLOODS = 300.0, 200, 1000, 50
SETTLE = 25.0  # seconds after the attack: longer than every deadline
_PAGE = b"GET / HTTP/1.1\r\nhost: x\r\n"
_POST = b"POST /predict HTTP/1.1\r\nhost: x\r\n"
TRICKLES = (
    (b"", b""),
    (_PAGE, b"x"),
    (_PAGE + b"\r\n", b"\r\n"),
    (_PAGE + b"transfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    (_POST + b"content-length: 10000\r\n\r\n", b"x"),
    (_POST + b"content-length: 100000000\r\n\r\n", b"x"),
)
"""First bytes of a connection, then the bytes it trickles; every second one half-closes."""


async def deaf(port: int, number: int) -> None:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    with connection:
        await loop.sock_connect(connection, ("127.0.0.1", port))
        async with asyncio.timeout(20):
            while True:
                await loop.sock_sendall(connection, (_PAGE + b"\r\n") * 100)


async def half(port: int, number: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    first, more = TRICKLES[number // 2 % len(TRICKLES)]
    try:
        writer.write(first)
        if number % 2:
            writer.write_eof()
        for _ in range(20):
            await asyncio.sleep(1)
            if reader.at_eof() or writer.is_closing():
                return
            if not number % 2:
                writer.write(more)
                await writer.drain()
    finally:
        writer.close()


async def flood(port: int, number: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for _ in range(20):
            writer.write((_PAGE + b"\r\n") * (256_000 // len(_PAGE)))
            await asyncio.sleep(1)
            if reader.at_eof() or writer.is_closing():
                return
    finally:
        writer.transport.abort()


async def _repeat(kind: Callable[[int, int], Awaitable[None]], port: int, number: int) -> None:
    """Reconnect as soon as the server has closed the connection."""
    await asyncio.sleep(number % 50 / 25)
    while True:
        with contextlib.suppress(OSError, TimeoutError):
            await kind(port, number)
        await asyncio.sleep(0.2)


def attack(port: int, seconds: float) -> None:
    """Attack for so many seconds."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    async def run() -> None:
        kinds = ((deaf, DEAF), (half, HALF), (flood, FLOODS))
        attackers = [_repeat(kind, port, n) for kind, many in kinds for n in range(many)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*attackers)

    asyncio.run(run())


def ask(port: int, connection: http.client.HTTPConnection | None) -> tuple[str, float]:
    """Request a prediction on a new or kept connection; return status or error, and seconds."""
    began = time.perf_counter()
    try:
        used = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        used.request("GET", "/predict?size=1500&rooms=6")
        answer = used.getresponse()
        answer.read()
        told = str(answer.status)
    except (OSError, http.client.HTTPException) as error:
        told = type(error).__name__
        if connection is not None:
            connection.close()
    return told, time.perf_counter() - began


def good(port: int, until: float) -> tuple[collections.Counter[str], list[float]]:
    """Send up to twenty requests a second until then, half of them on new connections."""
    counted: collections.Counter[str] = collections.Counter()
    times: list[float] = []
    kept = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while time.monotonic() < until:
        for connection in (None, kept):
            told, seconds = ask(port, connection)
            counted[told] += 1
            times.append(seconds)
            time.sleep(0.05)
    return counted, sorted(times)


def memory(server: Process) -> float:
    """Return the resident memory of a server in MB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_bundle(Path(folder) / "bundle", small_model())
        log = f"sqlite:///{folder}/log.db"
        settings = {"SERVE_LOG_TIMEOUT": "2", "SERVE_ACCESS_LOG": "0"}
        with running(Path(folder) / "bundle", log, **settings) as server:
            # The first such request imports FastAPI, which is no memory of the attack.
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}/model").close()
            good(server.port, time.monotonic() + 3)
            before = memory(server)
            attackers = multiprocessing.Process(target=attack, args=(server.port, options.seconds))
            attackers.start()
            counted, times = good(server.port, time.monotonic() + options.seconds)
            during = memory(server)
            attackers.join()
            time.sleep(SETTLE)
            after = memory(server)
            tracebacks = server.end()[1].count("Traceback")
    print(f"date: {datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {options.seconds:.0f} s")
    print(f"load of the machine: {os.getloadavg()[0]:.1f}, processors: {os.cpu_count()}")
    print(f"the good client got: {dict(counted)}")
    middle, late = times[len(times) // 2], times[int(len(times) * 0.99)]
    print(f"its seconds: median {middle:.3f}, p99 {late:.3f}, most {times[-1]:.3f}")
    print(f"memory, MB: before {before:.0f}, at the end of it {during:.0f}, after {after:.0f}")
    print(f"tracebacks: {tracebacks}")


if __name__ == "__main__":
    main()
