"""Compare a search on two Dask workers with loky's two processes, on the same cores, as ratios.

Alternately, with the same rows, parameters and seed; the model and the record of the search must be
the same bytes. The time is that of the whole stage: it includes starting loky's processes and
sending data to the workers, but not the start of the cluster.
"""

import argparse
import os
import shutil
import statistics
import tempfile
from pathlib import Path

import yaml

from bench_paths import DEMO
from dask_cluster import cluster
from mlops.frames import write_rows
from mlops.paths import MODEL, TRAIN_ROWS, TRAINING
from mlops.pipeline.cluster import ADDRESS
from mlops.sampling import valid_rows
from pipeline import RUN_STAGE, measured
from project.schema import SCHEMA

BACKENDS = ("loky", "dask")


def lay_out(folder: Path, n_rows: int, candidates: int) -> None:
    """Write training rows, and the shipped parameters with a search."""
    assert SCHEMA.time is not None
    rows = valid_rows(SCHEMA, n_rows).sort_values([SCHEMA.time.name, SCHEMA.key.name])
    write_rows(folder / TRAIN_ROWS, rows)
    params = yaml.safe_load((DEMO / "params.yaml").read_text(encoding="utf-8"))
    params["train"]["search"] |= {"candidates": candidates, "jobs": 2}
    for backend in BACKENDS:
        params["train"]["search"]["backend"] = backend
        (folder / f"{backend}.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def one_round(folder: Path) -> dict[str, float]:
    """Search with each backend once, and check that both give the same result."""
    seconds, found = {}, set()
    for backend in BACKENDS:
        shutil.copy(folder / f"{backend}.yaml", folder / "params.yaml")
        seconds[backend] = measured(folder, "-c", RUN_STAGE, "train")["seconds"]
        found.add((folder / MODEL).read_bytes() + (folder / TRAINING).read_bytes())
    assert len(found) == 1, "the backends found different models"
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, cluster(Path(scratch)) as started:
        os.environ[ADDRESS] = started.address
        for _ in range(2):
            started.worker()
        lay_out(Path(scratch), arguments.rows, arguments.candidates)
        rounds = [one_round(Path(scratch)) for _ in range(arguments.rounds)]
    ratios = [found["dask"] / found["loky"] for found in rounds]
    print(f"{arguments.rows:,} rows, {arguments.candidates} candidates, {len(rounds)} rounds")
    for backend in BACKENDS:
        print(f"{backend}: {statistics.median(found[backend] for found in rounds):.1f} s")
    print(f"dask / loky: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
