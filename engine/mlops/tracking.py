"""Experiment tracking with MLflow, if MLFLOW_TRACKING_URI is set."""

import os
import re
import sys
import threading
from typing import Any

from mlops.records import Manifest

EXPERIMENT = "MLFLOW_EXPERIMENT_NAME"

DEADLINE_SECONDS = 60.0
"""Total time limit: a server that responds byte by byte never reaches the client's timeout."""

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # By default the client retries for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # The line that it prints would show a password in the URI.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def track(manifest: Manifest) -> None:
    """Log a bundle's parameters, metrics and model version as one MLflow run.

    Git and DVC are the record; an unavailable tracking server causes a warning, never a failure.
    """
    if not (uri := os.environ.get("MLFLOW_TRACKING_URI")):
        return
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import mlflow
    except ImportError:
        _warn("MLFLOW_TRACKING_URI is set but MLflow is not installed: pip install -e '.[mlflow]'")
        return
    problems = [f"not finished within {DEADLINE_SECONDS:g} seconds"]
    worker = threading.Thread(target=_log, args=(mlflow, manifest, problems), daemon=True)
    worker.start()
    worker.join(DEADLINE_SECONDS)
    if problems:
        _warn(problems[0])
    else:
        print(f"export: tracked by MLflow at {_plain(uri)}")


def _log(mlflow: Any, manifest: Manifest, problems: list[str]) -> None:
    """Log the run; clear `problems` if that succeeds, else leave the error in it."""
    try:
        mlflow.set_experiment(os.environ.get(EXPERIMENT, manifest["target"]))
        with mlflow.start_run(run_name=manifest["model_version"]):
            mlflow.log_params(manifest["params"])
            mlflow.log_metrics(
                {
                    name: metric["value"]
                    for name, metric in manifest["evaluation"]["metrics"].items()
                    if metric["value"] is not None
                }
            )
            mlflow.set_tags(
                {
                    "model_version": manifest["model_version"],
                    "train_rows_sha256": manifest["data"]["train"]["sha256"],
                    "test_rows_sha256": manifest["data"]["test"]["sha256"],
                }
            )
        problems.clear()
    except Exception as error:  # a tracker's failure must not affect the model
        problems[:] = [f"{type(error).__name__}: {error}"]


def _warn(problem: str) -> None:
    print(f"export: not tracked by MLflow: {_plain(problem)}", file=sys.stderr)


def _plain(text: str) -> str:
    """Shorten a text to one line, without the user and password of a URL in it."""
    return re.sub(r"//[^/\s]*@", "//***@", " ".join(text.split()))[:500]
