"""Evidently's drift scores of windows that benchmarks/monitoring.py left, in its own Python."""

import json
import sys

import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset


def main(folder: str, count: int) -> None:
    """Print the largest drift score of all columns, for each window."""
    largest = []
    for number in range(count):
        now = pd.read_csv(f"{folder}/{number}.csv")
        known = pd.read_csv(f"{folder}/{number}.known.csv")
        found = Report([DataDriftPreset()]).run(now, known).dict()
        values = [m["value"] for m in found["metrics"] if isinstance(m["value"], float)]
        largest.append(max(float(value) for value in values))
    print(json.dumps(largest))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
