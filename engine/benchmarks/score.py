"""Compare batch scoring with the scikit-learn pipeline on the same cores: ratios, and memory.

Alternately, on the same file and the same model, each in a separate process; the time is from
opening the input to closing the output, without starting Python and importing libraries. The plain
script reads the whole file, predicts and writes key and prediction; it has no checks and can't
resume.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import joblib
import pyarrow.parquet as pq

from bench_paths import DEMO
from fitted import chosen
from mlops.frames import write_rows
from mlops.pipeline.model import build_model, fit_model
from mlops.project import load_project_params
from mlops.sampling import valid_rows
from pipeline import measured
from project.schema import SCHEMA
from served import make_bundle

_TIMED = """
import json, resource, time
start = time.perf_counter()
work()
took = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": took, "peak_mb": peak}))
"""
_OURS = """
from pathlib import Path
from project.schema import SCHEMA
from mlops.score.__main__ import score_file
from mlops.inference.loaded_model import Served
served = Served.read(Path("bundle"), SCHEMA)
work = lambda: score_file(Path("in.parquet"), Path("ours.parquet"), served)
"""
_PLAIN = """
import joblib, pandas as pd
model = joblib.load("bundle/model.joblib")
def work():
    rows = pd.read_parquet("in.parquet")
    rows[["sale_id"]].assign(predicted_price=model.predict(rows)).to_parquet("plain.parquet")
"""
SIDES = {"ours": _OURS + _TIMED, "plain": _PLAIN + _TIMED}


def prepare(folder: Path, n_rows: int, model: Any) -> None:
    """Write generated rows and a bundle."""
    write_rows(folder / "in.parquet", valid_rows(SCHEMA, n_rows))
    make_bundle(folder / "bundle", model)


def demo_model() -> Any:
    """Fit the shipped parameters to as many rows as the demo has."""
    own, train = chosen(load_project_params(DEMO / "params.yaml"), "hist_gradient_boosting")
    rows = valid_rows(SCHEMA, 2000, seed=1)
    return fit_model(build_model(own, train, SCHEMA), rows, SCHEMA.target)


def one_round(folder: Path) -> dict[str, dict[str, float]]:
    """Measure each side once, and check that their predictions are equal."""
    found = {side: measured(folder, "-c", code) for side, code in SIDES.items()}
    ours, plain = (pq.read_table(folder / f"{side}.parquet").to_pandas() for side in SIDES)
    worst = (ours["predicted_price"] / plain["predicted_price"] - 1).abs().max()
    assert worst < 1e-9, worst
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        prepare(Path(scratch), arguments.rows, demo_model())
        rounds = [one_round(Path(scratch)) for _ in range(arguments.rounds)]
    ratios = [found["plain"]["seconds"] / found["ours"]["seconds"] for found in rounds]
    print(f"{arguments.rows:,} rows, {joblib.cpu_count()} cores, {arguments.rounds} rounds")
    for side in SIDES:
        seconds = statistics.median(found[side]["seconds"] for found in rounds)
        peak = max(found[side]["peak_mb"] for found in rounds)
        print(f"{side}: {arguments.rows / seconds:,.0f} rows/s, {peak:,.0f} MB")
    print(f"ours / plain: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
