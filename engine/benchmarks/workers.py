"""Compare one worker with several in the same container: rate, latency, processor time, memory.

Workers are separate processes on separate ports, as behind a proxy; the same 32 connections are
distributed among them. The load comes from this process, on the same cores, alternating round by
round. Usage: python engine/benchmarks/workers.py [WORKERS ...]
"""

import asyncio
import contextlib
import statistics
import sys
import time

import psutil
import uvloop

from servers import SERVERS, demo, memory, serving
from serving import make_loads, measure, spread

ROUNDS, SECONDS, CONNECTIONS = 5, 4.0, 32
LOAD = make_loads()[1]


async def ask(ports: list[int], requests: list[bytes]) -> tuple[float, float]:
    """Return requests per second of all workers, and the worst 99th percentile in ms."""
    share = CONNECTIONS // len(ports)
    found = await asyncio.gather(*(measure(port, requests, share, SECONDS) for port in ports))
    return sum(rate for rate, _ in found), max(late for _, late in found)


def used(pids: list[int]) -> float:
    """Return the processor seconds of these processes so far."""
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


def main(counts: list[int]) -> None:
    server = SERVERS["ours"]
    requests = [LOAD.request(server, rows) for rows in LOAD.rows]
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(serving(server)) for _ in range(max(counts))]
        ports, pids = [one[0] for one in started], [one[2] for one in started]
        rates: dict[int, list[float]] = {count: [] for count in counts}
        lates: dict[int, list[float]] = {count: [] for count in counts}
        costs: dict[int, list[float]] = {count: [] for count in counts}
        for _ in range(ROUNDS):
            for count in counts:
                start, before = time.perf_counter(), used(pids)
                rate, late = uvloop.run(ask(ports[:count], requests))
                rates[count].append(rate)
                lates[count].append(late)
                answered = rate * (time.perf_counter() - start)
                costs[count].append(1e6 * (used(pids) - before) / answered)
        held = statistics.mean(memory(pid) for pid in pids)
    print("| workers | requests/s | times one worker | p99, ms | processor, µs a request | MB |")
    print("|---:|---:|---:|---:|---:|---:|")
    for count in counts:
        ratios = [a / b for a, b in zip(rates[count], rates[counts[0]], strict=True)]
        cells = [f"{statistics.median(rates[count]):,.0f}", spread(ratios)]
        cells += [f"{statistics.median(lates[count]):.1f}", spread(costs[count])]
        print(f"| {count} | {' | '.join(cells)} | {count * held:,.0f} |")


if __name__ == "__main__":
    with demo():
        main([int(text) for text in sys.argv[1:]] or [1, 2, 4])
