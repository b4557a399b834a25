"""Compute Evidently's drift scores of windows written by monitoring.py, in its own Python."""

import json
import sys

import pandas as pd
from evidently import Report
from evidently.metrics import ValueDrift
from evidently.metrics.column_statistics import ValueDriftCalculation

WORLDS = 10


def main(folder: str, count: int) -> None:
    """Print the drift scores of every column per window, by Evidently's default methods."""
    worlds = [pd.read_csv(f"{folder}/world{world}.csv", index_col=0) for world in range(WORLDS)]
    # The scores equal those of DataDriftPreset, whose plots would take ten times as long.
    ValueDriftCalculation._render = lambda *_: []
    found = []
    for number in range(count):
        now = pd.read_csv(f"{folder}/{number}.csv", index_col=0)
        known = worlds[number % WORLDS].drop(now.index)
        report = Report([ValueDrift(column=name) for name in now]).run(now, known)
        found.append([float(metric["value"]) for metric in report.dict()["metrics"]])
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
