"""Command monitor: compare the prediction log with the bundle's reference; report ok, watch or act.

Exit code: 0 for any verdict, and when nothing is deployed yet; 1 when no verdict was possible.
"""

import argparse
import os
import shutil
import time
from pathlib import Path
from typing import Any

from mlops import paths
from mlops.bundle import REFERENCE_FILE, read_manifest
from mlops.columns import Schema
from mlops.database_address import VARIABLE
from mlops.errors import UserError, run_command
from mlops.files import read_json, whole_folder, write_json, write_text
from mlops.metric_registry import Metrics
from mlops.monitoring.decision import Decision, decide
from mlops.monitoring.exposition import exposition
from mlops.monitoring.log_reader import read_window
from mlops.monitoring.monitor_plots import draw
from mlops.monitoring.monitor_report import as_json, markdown
from mlops.params import Params
from mlops.project import load_metrics, load_project_params, load_schema_of
from mlops.records import Manifest
from mlops.review.html_report import html_page

FAILURE = "failure.txt"
"""File with the error message, written in place of the report when no verdict was possible."""


def read_reference(bundle: Path, schema: Schema) -> tuple[Manifest, dict[str, Any]]:
    """Read the bundle's manifest and its reference.

    Raises:
        UserError: there is none, it was altered, or its features differ from the schema's.
    """
    manifest = read_manifest(bundle)
    advice = "Rebuild it: dvc repro export"
    if REFERENCE_FILE not in manifest["files"]:
        raise UserError(f"{bundle}: has no {REFERENCE_FILE} to compare with", advice=advice)
    reference: dict[str, Any] = read_json(bundle / REFERENCE_FILE)
    wanted = {c.name: "choices" if c.is_categorical else "edges" for c in schema.features}
    problems = [
        f"{name}: {'of another kind' if name in reference['features'] else 'missing'}"
        for name, kind in wanted.items()
        if kind not in reference["features"].get(name, {})
    ]
    problems += [f"{name}: unknown" for name in reference["features"] if name not in wanted]
    if problems:
        raise UserError(f"{bundle}: its reference is of another schema", problems, advice)
    return manifest, reference


def monitor(
    url: str, bundle: Path, params: Params, schema: Schema, metrics: Metrics, now: float
) -> Decision:
    """Compare the prediction log at `url` with `bundle`; `now` is in seconds since 1970."""
    manifest, reference = read_reference(bundle, schema)
    window = read_window(url, manifest["model_version"], schema, params.monitor, now)
    return decide(window, manifest, reference, schema, params, metrics)


def write(folder: Path, decision: Decision, params: Params) -> str:
    """Write report.json, .md, .html, .prom and the plots; return the Markdown."""
    text = markdown(decision, params)
    with whole_folder(folder) as new:
        write_json(new / "report.json", as_json(decision, params))
        write_text(new / "report.md", text)
        write_text(new / "report.prom", exposition(decision, params))
        write_text(new / "report.html", html_page(text, draw(new, decision, params), "Monitor"))
    return text


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m mlops.monitoring", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=paths.BUNDLE)
    parser.add_argument("--out", type=Path, default=paths.MONITOR)
    parser.add_argument("--now", type=float, default=time.time(), help="seconds since 1970")
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)  # so that no old report is taken for a new one
    if not (url := os.environ.get(VARIABLE)):
        print(f"monitor: {VARIABLE} is not set, so nothing is deployed yet: nothing to monitor")
        return
    try:
        params = load_project_params()
        schema = load_schema_of(options.bundle)
        metrics = load_metrics(schema)
        decision = monitor(url, options.bundle, params, schema, metrics, options.now)
    except UserError as error:
        write_text(options.out / FAILURE, str(error))
        raise
    print(write(options.out, decision, params))


if __name__ == "__main__":
    run_command(main)
