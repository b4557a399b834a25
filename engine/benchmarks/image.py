"""Compare the serving image with peers' images of the same model: size, start, rebuild.

`python engine/benchmarks/image.py [--base-from-tag]`; needs docker. Sizes are those of the layers
above the base image, compressed as in a registry. A peer's image follows its documentation, in one
line: its packages and scikit-learn from pip, and the fitted model; peers that can't be installed
are left out.
"""

import argparse
import gzip
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from pathlib import Path

from bench_paths import ROOT
from mlops.paths import BUNDLE, MODEL
from mlops.release.container_engine import ask

PINNED = re.findall(r"^FROM (\S+) AS base", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0]
PEERS = {
    "MLflow": "mlflow scikit-learn pandas",
    "BentoML": "bentoml scikit-learn pandas",
    "MLServer": "mlserver mlserver-sklearn scikit-learn pandas",
}
PEER = "FROM {base}\nRUN pip install --no-cache-dir {packages}\nCOPY model.joblib /model.joblib\n"
ROUNDS = 3


def megabytes(image: str) -> list[float]:
    """Return the compressed size of each layer above the base's."""
    base = len(json.loads(ask("docker", "inspect", "--format={{json .RootFS.Layers}}", BASE)))
    with tempfile.TemporaryDirectory() as folder:
        ask("docker", "save", image, "--output", f"{folder}/image.tar")
        with tarfile.open(f"{folder}/image.tar") as saved:
            saved.extractall(folder, filter="data")
        (manifest,) = json.loads(Path(folder, "manifest.json").read_text())
        layers = [Path(folder, name) for name in manifest["Layers"][base:]]
        return [len(gzip.compress(layer.read_bytes(), 6)) / 1e6 for layer in layers]


def seconds_to_build(*options: str) -> float:
    start = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "mlops.release.image", "--tag=mlops-bench:latest", "-q", *options],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return time.monotonic() - start


def seconds_to_ready(image: str) -> float:
    start = time.monotonic()
    container = ask("docker", "run", "--detach", "--read-only", "-p", "127.0.0.1::8000", image)
    try:
        port = ask("docker", "port", container, "8000").rpartition(":")[2]
        while time.monotonic() < start + 60:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5).close()
                return time.monotonic() - start
            except OSError:
                time.sleep(0.01)
        raise SystemExit("never ready")
    finally:
        ask("docker", "rm", "--force", "--volumes", container)


def rebuilt(options: list[str]) -> float:
    """Return the seconds of a build after a change of the model, in a copy of the repository."""
    content = (BUNDLE / "leaves.npy").read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT, f"{folder}/copy", ignore=shutil.ignore_patterns(".venv", ".dvc"))
        os.chdir(f"{folder}/copy")
        try:
            (BUNDLE / "leaves.npy").write_bytes(content[:-8] + os.urandom(8))
            start = time.monotonic()
            ask("docker", "build", "--quiet", "--tag=mlops-bench:new", *options, ".")
            return time.monotonic() - start
        finally:
            os.chdir(ROOT)


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} s ({min(values):.1f} to {max(values):.1f})"


def main(options: list[str]) -> None:
    cold, ready, warm = [], [], []
    for _ in range(ROUNDS):
        cold.append(seconds_to_build("--no-cache", *options))
        ready.append(seconds_to_ready("mlops-bench"))
        warm.append(rebuilt(options))
    ours = megabytes("mlops-bench:latest")
    print(f"cold build {spread(cold)}; with a new model {spread(warm)}; ready {spread(ready)}\n")
    print("| image | MB above the base, compressed | times ours |\n|---|---:|---:|")
    parts = ", ".join(f"{size:.2f}" for size in ours)
    print(f"| ours: libraries, code, model: {parts} | {sum(ours):.1f} | 1.0 |")
    for name, packages in PEERS.items():
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "Dockerfile").write_text(PEER.format(base=BASE, packages=packages))
            shutil.copy(MODEL, Path(folder, "model.joblib"))
            done = subprocess.run(
                ["docker", "build", "--quiet", f"--tag=mlops-bench:{name.lower()}", folder],
                capture_output=True,
                text=True,
            )
        if done.returncode:
            print(f"| {name} | not installable here | |")
            continue
        size = sum(megabytes(f"mlops-bench:{name.lower()}"))
        print(f"| {name} | {size:.1f} | {size / sum(ours):.1f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--base-from-tag", action="store_true", help="where no digest can be pulled"
    )
    tag = PINNED.partition("@")[0]
    by_tag = parser.parse_args().base_from_tag
    BASE = tag if by_tag else PINNED
    main([f"--build-context={PINNED}=docker-image://{tag}"] if by_tag else [])
