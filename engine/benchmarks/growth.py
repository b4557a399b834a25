"""Growth of seconds and memory with the rows, for every part and for bare pandas and scikit-learn.

One generated source per size; measured in sequence: the stages, batch scoring of all rows, a review
(of a changed gate, so that both models are available), the monitor on a log of as many predictions,
and the bare script. Seconds are those of a stage's own work, as in pipeline.py, and of the whole
command for the others. So are the processor seconds, which depend less on other work on the
machine: growth is computed from them. Memory is the largest process of a stage, and the sum of all
processes of the other commands. If Polars is installed (uv pip install polars), it also does the
work of ingest, validate and split, without their reports.

On a busy machine, set OMP_WAIT_POLICY=passive: threads that wait for each other by spinning take
five times the processor seconds there.
"""

import argparse
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import yaml
from matplotlib.figure import Figure

from pipeline import RUN_STAGE, SECONDS, STAGES, measured, new_repository
from review_overhead import processor_seconds

HERE = Path(__file__).parent
SIZES = [10_000, 100_000, 1_000_000, 10_000_000]
ONCE = 1_000_000
"""Number of rows from which one round is run."""

OTHERS = {
    "all stages": "the pipeline",
    "bare": "bare pandas + scikit-learn",
    "polars": "Polars, for ingest to split",
    "review": "review",
    "score": "batch scoring",
    "monitor": "monitor",
}
SCORE = ("-m", "mlops.score", "artifacts/validate/rows.parquet", "scored.parquet")
FILL = """
import sys
from monitoring_log import fill, paths, read_manifest
fill(sys.argv[1], int(sys.argv[2]), read_manifest(paths.BUNDLE)["model_version"])
"""
Figures = dict[str, dict[str, float]]
"""Part -> seconds, processor (seconds), peak_mb."""

KINDS = ("seconds", "processor", "peak_mb")


def held(process: psutil.Process) -> int:
    """Return the resident memory of a process tree in bytes; shared pages count repeatedly."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def watched(folder: Path, *command: str, **variables: str) -> dict[str, float]:
    """Run Python in `folder`; return its seconds and the peak memory of its processes."""
    start, used, peak = time.perf_counter(), processor_seconds(), 0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=folder, stdout=said, stderr=said,
            env=os.environ | {"PYTHONPATH": f"src:{HERE}"} | variables,
        )  # fmt: skip
        while process.poll() is None:
            if time.perf_counter() - start > SECONDS:
                process.kill()
            peak = max(peak, held(psutil.Process(process.pid)))
            time.sleep(0.05)
        if process.returncode not in (0, 1):  # 1: a review that blocks
            said.seek(0)
            raise RuntimeError(said.read().decode())
    took, used = time.perf_counter() - start, processor_seconds() - used
    return {"seconds": took, "processor": used, "peak_mb": peak / 2**20}


def clone(folder: Path, source: Path) -> None:
    """Create a repository that ingests `source`."""
    new_repository(folder)
    edit_params(folder, "ingest", source=str(source / "data/source"))


def edit_params(folder: Path, section: str, **values: Any) -> None:
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    params[section] |= values
    path.write_text(yaml.safe_dump(params), encoding="utf-8")


def commit(folder: Path) -> None:
    """Commit the stages' outputs to DVC and git."""
    for command in (
        ["dvc", "commit", "--quiet", "--force"],
        ["git", "add", "--update"],
        ["git", "-c", "user.name=b", "-c", "user.email=b@localhost", "commit", "-qm", "made"],
    ):
        subprocess.run(command, cwd=folder, check=True, timeout=SECONDS)


def one_round(source: Path, folder: Path, n_rows: int, log: str) -> Figures:
    """Measure every part once, and print its figures."""
    found: Figures = {}

    def add(part: str, figures: dict[str, float]) -> None:
        found[part] = figures
        said = ", ".join(f"{kind} {figures[kind]:,.2f}" for kind in KINDS)
        print(f"{n_rows:,} rows: {part}: {said}", file=sys.stderr, flush=True)

    clone(folder, source)
    for stage in STAGES:
        add(stage, measured(folder, "-c", RUN_STAGE, stage))
    whole = {kind: sum(found[stage][kind] for stage in STAGES) for kind in KINDS}
    add("all stages", whole | {"peak_mb": max(found[stage]["peak_mb"] for stage in STAGES)})
    if find_spec("polars"):
        add("polars", measured(folder, str(HERE / "bare_polars.py")))
    add("score", watched(folder, *SCORE))
    commit(folder)
    edit_params(folder, "gate", confidence=0.98)
    commit(folder)
    add("review", watched(folder, "-m", "mlops.review", "--base", "HEAD~1"))
    watched(folder, "-c", FILL, log, str(n_rows))
    add("monitor", watched(folder, "-m", "mlops.monitoring", PREDICTION_LOG_URL=log))
    add("bare", measured(folder, str(HERE / "bare.py")))
    return found


def of_size(scratch: Path, n_rows: int, n_rounds: int) -> Figures:
    """Measure one size; return the medians of its rounds."""
    source = scratch / "source"
    made = f"from pipeline import Path, make_source; make_source(Path({str(source)!r}), {n_rows})"
    # In a separate process: a child process starts with the memory of its parent.
    subprocess.run([sys.executable, "-c", made], cwd=HERE, check=True, timeout=SECONDS)
    rounds = []
    for _ in range(1 if n_rows >= ONCE else n_rounds):
        folder = scratch / "clone"
        rounds.append(one_round(source, folder, n_rows, f"sqlite:///{scratch}/log.db"))
        shutil.rmtree(folder)
        (scratch / "log.db").unlink()
    shutil.rmtree(source)
    return {
        part: {kind: statistics.median(one[part][kind] for one in rounds) for kind in KINDS}
        for part in rounds[0]
    }


def exponent(sizes: dict[int, Figures], part: str, low: int, high: int) -> str:
    """Return the exponent b of processor seconds ~ rows^b between two sizes."""
    times = [sizes.get(size, {}).get(part, {}).get("processor") for size in (low, high)]
    if not times[0] or not times[1]:
        return ""
    return f"{math.log(times[1] / times[0]) / math.log(high / low):.2f}"


def markdown(sizes: dict[int, Figures]) -> str:
    """Return a table, a line per part: seconds and MB by size, exponents; empty: not reached."""
    heads = [f"{size:,}: s (of processors)" for size in sizes] + [f"{size:,}: MB" for size in sizes]
    spans = ((100_000, 1_000_000), (1_000_000, 10_000_000), (100_000, 10_000_000))
    heads += [f"growth {low:,} to {high:,}" for low, high in spans]
    lines = ["| part | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for part in [*STAGES, *OTHERS]:
        each = [found.get(part) for found in sizes.values()]
        if not any(each):
            continue
        cells = [f"{one['seconds']:,.2f} ({one['processor']:,.2f})" if one else "" for one in each]
        cells += [f"{one['peak_mb']:,.0f}" if one else "" for one in each]
        cells += [exponent(sizes, part, *span) for span in spans]
        lines.append(f"| {OTHERS.get(part, f'`{part}`')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(sizes: dict[int, Figures], path: Path) -> None:
    """Plot seconds, and memory, against rows, on logarithmic axes."""
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    for axes, what, unit in zip(
        figure.subplots(1, 2), ("processor", "peak_mb"), ("processor seconds", "MB"), strict=True
    ):
        for part in [*STAGES, *OTHERS]:
            points = [(size, found[part][what]) for size, found in sizes.items() if part in found]
            if points:
                style = {"all stages": "ko-", "bare": "o--", "polars": "o:", "monitor": "s-."}.get(
                    part, "o-"
                )
                axes.plot(*zip(*points, strict=True), style, ms=3, label=OTHERS.get(part, part))
        axes.set(xscale="log", yscale="log", xlabel="rows", ylabel=unit)
        axes.grid(color="#e5e9ee")
    axes.axhline(8192, color="#c1121f", linewidth=1)
    axes.annotate("8 GB", (min(sizes), 8192), va="bottom", color="#c1121f")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=120, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--known", type=Path, help="file of sizes measured before; kept up to date")
    parser.add_argument("--into", type=Path, help="page whose table and plot are replaced")
    arguments = parser.parse_args()
    known = arguments.known and arguments.known.exists() and arguments.known.read_text()
    sizes: dict[int, Figures] = {int(n): found for n, found in json.loads(known or "{}").items()}
    for size in arguments.sizes:
        if size not in sizes:
            with tempfile.TemporaryDirectory() as scratch:
                sizes[size] = of_size(Path(scratch), size, arguments.rounds)
            if arguments.known:
                arguments.known.write_text(json.dumps(sizes, indent=1))
    sizes = dict(sorted(sizes.items()))
    print(markdown(sizes))
    if arguments.into:
        page, old = arguments.into.read_text(encoding="utf-8"), r"(?ms)^\| part \|.*?\n(?=\n)"
        arguments.into.write_text(re.sub(old, markdown(sizes) + "\n", page), encoding="utf-8")
        draw(sizes, arguments.into.with_name("growth.png"))


if __name__ == "__main__":
    main()
