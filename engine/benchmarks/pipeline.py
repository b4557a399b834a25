"""Compare the stages with bare pandas and scikit-learn: time, memory, growth; a table and a plot.

Both sides run alternately on the same generated rows, each stage in a separate process as with DVC.
A stage's time is that of its `main()`: importing libraries costs every script the same.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench_paths import DEMO, PYTHONPATH, ROOT
from clones import copy_tracked, run
from mlops.sampling import valid_rows
from project.schema import SCHEMA

STAGES = ("ingest", "validate", "prepare", "split", "train", "evaluate", "export")
SECONDS = 1800
AT_ONCE = 1_000_000
"""Number of rows generated at a time."""

RUN_STAGE = """
import importlib, json, resource, sys, time
stage = importlib.import_module("mlops.pipeline." + sys.argv[1])
checks = []
if sys.argv[1] == "export":
    compare = stage.largest_error
    def timed(*arguments, **options):
        start = time.perf_counter()
        error = compare(*arguments, **options)
        checks.append(time.perf_counter() - start)
        return error
    stage.largest_error = timed
start, used = time.perf_counter(), time.process_time()
stage.main()
took, used = time.perf_counter() - start, time.process_time() - used
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
found = {"seconds": took, "processor": used, "check": sum(checks), "peak_mb": peak}
print(json.dumps(found))
"""


def make_source(folder: Path, n_rows: int) -> None:
    """Write generated rows as quarterly partitions, and the shipped parameters."""
    assert SCHEMA.time is not None
    source = folder / "data" / "source"
    source.mkdir(parents=True)
    for number, first in enumerate(range(0, n_rows, AT_ONCE)):
        rows = valid_rows(SCHEMA, min(AT_ONCE, n_rows - first), seed=number)
        rows[SCHEMA.key.name] += first
        for quarter, part in rows.groupby(rows[SCHEMA.time.name].dt.to_period("Q")):
            path = source / f"{quarter}.csv"
            part.to_csv(
                path, mode="a", header=not path.exists(), index=False, date_format="%Y-%m-%d"
            )
    shutil.copy(DEMO / "params.yaml", folder)


def measured(folder: Path, *command: str) -> dict[str, float]:
    """Run Python in `folder` and read the figures in its last line."""
    run = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    if run.returncode:
        raise RuntimeError(run.stderr)
    figures: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return figures


def one_round(folder: Path) -> dict[str, dict[str, float]]:
    """Measure the bare script and every stage once."""
    found = {"bare": measured(folder, str(Path(__file__).with_name("bare.py")))}
    for stage in STAGES:
        found[stage] = measured(folder, "-c", RUN_STAGE, stage)
    return found


def new_repository(folder: Path) -> None:
    """Commit the work tree, with the project of the engine's tests, to a new repository."""
    folder.mkdir(parents=True)
    copy_tracked(folder)
    run(folder, "git init -q -b main && git add -A && git commit -q -m start")


def no_op_repro(folder: Path) -> float:
    """Time the process of `dvc repro` on the demo if there is nothing to do."""
    copy = folder / "clone"
    new_repository(copy)
    subprocess.run(
        ["dvc", "repro", "--quiet", "--no-run-cache"], cwd=copy, check=True, timeout=SECONDS
    )
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run(
            ["dvc", "repro", "--quiet", "--no-run-cache"], cwd=copy, check=True, timeout=SECONDS
        )
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _ours(found: dict[str, dict[str, float]], what: str) -> float:
    return sum(found[stage][what] for stage in STAGES)


def _ratio(found: dict[str, dict[str, float]], without_check: bool) -> float:
    ours, bare = _ours(found, "seconds"), found["bare"]["seconds"]
    if without_check:
        ours, bare = ours - _ours(found, "check"), bare - found["bare"]["check"]
    return ours / bare


def summary(sizes: list[int], rounds: dict[int, list[Any]]) -> pd.DataFrame:
    """Summarize the rounds: medians, and the ratio to the bare script with its spread."""
    table = []
    for size in sizes:
        line = {"rows": size}
        for part in ("bare", *STAGES):
            line[part] = statistics.median(found[part]["seconds"] for found in rounds[size])
        line["ours"] = statistics.median(_ours(found, "seconds") for found in rounds[size])
        for name, without in (("ratio", False), ("unchecked", True)):
            ratios = [_ratio(found, without) for found in rounds[size]]
            line |= {name: statistics.median(ratios)}
            line |= {f"{name}_low": min(ratios), f"{name}_high": max(ratios)}
        line["bare_mb"] = max(found["bare"]["peak_mb"] for found in rounds[size])
        line["ours_mb"] = max(found[s]["peak_mb"] for found in rounds[size] for s in STAGES)
        table.append(line)
    return pd.DataFrame(table)


def growth(table: pd.DataFrame, part: str) -> float:
    """Return the exponent b of time ~ rows^b over the two largest sizes."""
    last = table.tail(2)
    return float(np.diff(np.log(last[part]))[0] / np.diff(np.log(last["rows"]))[0])


def spread(line: dict[str, float], name: str) -> str:
    """Format a median with the minimum and maximum."""
    return f"{line[name]:.2f} ({line[f'{name}_low']:.2f} to {line[f'{name}_high']:.2f})"


def markdown(table: pd.DataFrame, no_op: float, n_rounds: int) -> str:
    """Return the table for the docs."""
    lines = [
        "# What the pipeline costs",
        "",
        "Made by `make bench` (`engine/benchmarks/pipeline.py`): made-up rows of the demo's "
        "schema, the stages and one bare pandas + scikit-learn script in turn, "
        f"{n_rounds} rounds, medians. Seconds are",
        "those of each stage's own work; memory is the largest process. The bare script reads,",
        "checks, fits, scores, plots, saves, and makes sure that what it saved predicts every row",
        "as what it fitted; it makes no intervals, no Parquet, no exported form, no manifest. The",
        "second ratio leaves that last check out on both sides: ours predicts all rows with",
        "scikit-learn and with the exported form, the script twice with scikit-learn.",
        "",
        "| rows | bare s | ours s | ratio (spread) | without the check "
        f"| {' | '.join(STAGES)} | bare MB | ours MB |",
        "|---:|---:|---:|---:|---:|" + "---:|" * (len(STAGES) + 2),
    ]
    for line in table.to_dict("records"):
        stages = " | ".join(f"{line[stage]:.2f}" for stage in STAGES)
        lines.append(
            f"| {line['rows']:,} | {line['bare']:.2f} | {line['ours']:.2f} "
            f"| {spread(line, 'ratio')} | {spread(line, 'unchecked')} | {stages} "
            f"| {line['bare_mb']:,.0f} | {line['ours_mb']:,.0f} |"
        )
    exponents = ", ".join(f"{s} {growth(table, s):.2f}" for s in (*STAGES, "ours", "bare"))
    return "\n".join(
        [
            *lines,
            "",
            f"Time grows with the power of rows, from {table['rows'].iloc[-2]:,} to "
            f"{table['rows'].iloc[-1]:,}: {exponents}.",
            "",
            f"`dvc repro` with nothing to do, on the demo: {no_op:.1f} s, most of it DVC's start.",
            "",
            "![Seconds by rows](pipeline-cost.png)",
            "",
        ]
    )


def draw(table: pd.DataFrame, path: Path) -> None:
    """Plot seconds against rows, both on logarithmic axes."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for stage in STAGES:
        axes.plot(table["rows"], table[stage], "o-", markersize=3, linewidth=1, label=stage)
    axes.plot(table["rows"], table["ours"], "o-", color="black", linewidth=2, label="all stages")
    axes.plot(table["rows"], table["bare"], "o--", color="grey", linewidth=2, label="bare script")
    axes.set(xscale="log", yscale="log", xlabel="rows", ylabel="seconds", title="What it costs")
    axes.grid(color="#e5e9ee")
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "engine/docs/measured")
    arguments = parser.parse_args()
    rounds: dict[int, list[Any]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for size in arguments.sizes:
            folder = Path(scratch) / str(size)
            make_source(folder, size)
            rounds[size] = []
            for number in range(arguments.rounds):
                rounds[size].append(one_round(folder))
                print(f"{size:,} rows: round {number + 1} of {arguments.rounds}", file=sys.stderr)
            shutil.rmtree(folder)
        no_op = no_op_repro(Path(scratch))
    table = summary(arguments.sizes, rounds)
    text = markdown(table, no_op, arguments.rounds)
    (arguments.out / "pipeline-cost.md").write_text(text, encoding="utf-8")
    draw(table, arguments.out / "pipeline-cost.png")
    print(text)


if __name__ == "__main__":
    main()
