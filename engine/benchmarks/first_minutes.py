"""Time from `git clone` to the review in the terminal, by `make run`, for a new user.

Each round clones into an empty folder, first with an empty package cache, then with the one filled
by the first run, and prints seconds. Usage: python engine/benchmarks/first_minutes.py [ROUNDS]
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_paths import ROOT

CACHES = ("UV_CACHE_DIR", "PIP_CACHE_DIR")


def seconds(folder: Path, cache: Path) -> float:
    """Clone and run, with `cache` as the package cache; return the seconds."""
    caches = {name: str(cache / name) for name in CACHES}
    path = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if ".venv" not in p)
    start = time.perf_counter()
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    subprocess.run(
        ["make", "run"],
        cwd=folder,
        env=os.environ | caches | {"PATH": path},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - start


def main(rounds: int) -> None:
    found: dict[str, list[float]] = {"cold": [], "warm": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as scratch:
            for kind, times in found.items():
                times.append(seconds(Path(scratch) / kind, Path(scratch) / "cache"))
                print(f"{kind} package cache: {times[-1]:.0f} s", flush=True)
    for kind, times in found.items():
        spread = f"{min(times):.0f} to {max(times):.0f}"
        print(f"{kind}: {statistics.median(times):.0f} s ({spread}), {os.cpu_count()} cores")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
