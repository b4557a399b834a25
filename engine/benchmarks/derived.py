"""Compare the latency of requests with that of the same model with five derived features more.

Both servers have one worker, with and without the prediction log, and get the same distinct rows,
each for a second in turns.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import uvloop

from bench_paths import PYTHONPATH
from servers import Server, demo, serving
from serving import make_loads, measure, spread

FEATURES = """
import numpy as np

from mlops.columns import Derived


def age(sold_on, year_built):
    return np.maximum(sold_on.astype("datetime64[Y]").astype(int) + 1970 - year_built, 0)


FEATURES = (
    Derived("age", "", int, "years", ("sold_on", "year_built"), age),
    Derived("log_lot", "", float, "", ("lot_size",), np.log1p),
    Derived("other_rooms", "", int, "", ("rooms", "bedrooms"), np.subtract),
    Derived("lot_share", "", float, "", ("size", "lot_size"), lambda a, b: a / np.maximum(b, 1)),
    Derived("bathrooms_each", "", float, "", ("bathrooms", "bedrooms"), lambda a, b: a / b),
)
"""


def reproduced(plain: Path) -> Path:
    """Copy a repository, and reproduce it with the derived features."""
    folder = plain.with_name("derived")
    shutil.copytree(plain, folder)
    (folder / "src/project/features.py").write_text(FEATURES)
    environment = os.environ | {"PYTHONPATH": f"{folder / 'src'}:{PYTHONPATH}"}
    repro = ["dvc", "repro", "--quiet", "--no-run-cache"]
    subprocess.run(repro, cwd=folder, env=environment, check=True)
    return folder


def server(folder: Path, log: str | None) -> Server:
    """Return the server of a reproduced repository."""
    settings = {
        "PYTHONPATH": f"{folder / 'src'}:{PYTHONPATH}",
        "SERVE_BUNDLE": str(folder / "artifacts/bundle"),
    }
    return Server(
        ["-m", "mlops.serving"], settings=settings | ({"PREDICTION_LOG_URL": log} if log else {})
    )


def compare(folders: list[Path], log: str | None, connections: int, rounds: int) -> str:
    """Return a line of the table: p99 of both, and the ratios' spread."""
    servers = [server(folder, log) for folder in folders]
    requests = [servers[0].post(rows) for rows in make_loads()[0].rows]
    found: list[list[tuple[float, float]]] = [[], []]
    with serving(servers[0]) as (first, *_), serving(servers[1]) as (second, *_):
        for number in range(rounds):
            for place in (0, 1) if number % 2 else (1, 0):
                port = (first, second)[place]
                found[place].append(uvloop.run(measure(port, requests, connections, 1.0)))
            print(f"{connections} connections, round {number + 1} of {rounds}", file=sys.stderr)
    late = [statistics.median(p99 for _, p99 in one) for one in found]
    ratios = [five[1] / none[1] for none, five in zip(*found, strict=True)]
    return (
        f"| {connections} | {log or 'SQLite'} | {late[0]:.2f} | {late[1]:.2f} | {spread(ratios)} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    with demo():
        folders = [Path.cwd(), reproduced(Path.cwd())]
        print("| connections | log | p99 without, ms | with | ratio, round by round |")
        print("|---:|---|---:|---:|---:|")
        for connections in (1, 8, 32):
            for log in (None, "none"):
                print(compare(folders, log, connections, options.rounds), flush=True)


if __name__ == "__main__":
    main()
