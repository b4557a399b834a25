"""Does the review call a slower model slower, and an equal one not, on a busy machine?

The same small bundle is served on both sides; on the candidate's, each call is prolonged by a
share of its own time, or not at all. Busy loops run in parallel. The result is in
engine/docs/measured/review-cost.md.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from pathlib import Path

from bench_paths import PYTHONPATH, ROOT
from mlops.frames import write_rows
from mlops.review.serving_times import WORTH, timed_in_turn
from mlops.sampling import valid_rows
from project.schema import SCHEMA
from served import make_bundle, small_model

STRETCH = """
import time
from mlops.inference import loaded_model
read = loaded_model.Served.read
def slow(folder, schema):
    served = read(folder, schema)
    predict = served.engine.predict
    def stretched(rows):
        start = time.process_time_ns()
        found = predict(rows)
        until = start + {factor} * (time.process_time_ns() - start)
        while time.process_time_ns() < until:
            pass
        return found
    object.__setattr__(served, "engine", type("Slow", (), {{"predict": staticmethod(stretched)}}))
    return served
loaded_model.Served.read = slow
"""


def busy() -> None:
    """Alternate between computing and sleeping, like other work on the machine."""
    while True:
        until = time.perf_counter() + 0.2
        while time.perf_counter() < until:
            pass
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--null", type=int, default=100)
    parser.add_argument("--slower", type=int, default=30)
    parser.add_argument("--neighbours", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "engine/docs/measured")
    options = parser.parse_args()
    neighbours = [
        multiprocessing.Process(target=busy, daemon=True) for _ in range(options.neighbours)
    ]
    lines = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_bundle(folder / "bundle", small_model())
        write_rows(folder / "rows.parquet", valid_rows(SCHEMA, 1000, seed=1))
        for neighbour in neighbours:
            neighbour.start()
        for name, factor, trials in (
            ("equal", 1.0, options.null),
            ("20% slower", 1.2, options.slower),
        ):
            (folder / "sitecustomize.py").write_text(STRETCH.format(factor=factor))
            own = (folder / "bundle", PYTHONPATH)
            other = own if factor == 1.0 else (own[0], f"{folder}{os.pathsep}{PYTHONPATH}")
            found = []
            start = time.perf_counter()
            for _ in range(trials):
                _, *ratios = timed_in_turn([own, other], folder / "rows.parquet")
                found.append(ratios)
            seconds = (time.perf_counter() - start) / trials
            for place, what in enumerate(("a row", "a thousand rows")):
                values = sorted(ratios[place].value for ratios in found)
                slower = sum(ratios[place].slower for ratios in found)
                lines.append(
                    f"| {name} | {what} | {slower} of {trials} | {statistics.median(values):.3f} "
                    f"({values[0]:.3f} to {values[-1]:.3f}) | {seconds:.1f} s |"
                )
                print(lines[-1], flush=True)
    for neighbour in neighbours:
        neighbour.kill()
    text = "\n".join(
        [
            "# Is a slower model called slower?",
            "",
            f"Made by `python engine/benchmarks/cost.py`, {options.neighbours} busy neighbours "
            f"beside on {os.cpu_count()} cores. *Called slower*: the lower end of the interval of "
            f"98 % lies above {1 + WORTH:.2f}.",
            "",
            "| candidate | time for | called slower | ratio: median (range) | one comparison |",
            "|---|---|---:|---:|---:|",
            *lines,
        ]
    )
    (options.out / "review-cost.md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
