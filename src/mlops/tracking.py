"""Experiment tracking by MLflow, where MLFLOW_TRACKING_URI names a server; else nothing."""

import os
import sys
from typing import Any

EXPERIMENT = "MLFLOW_EXPERIMENT_NAME"


def track(manifest: dict[str, Any]) -> None:
    """Log a bundle's parameters, metrics and model version as one MLflow run.

    The record is Git and DVC; a tracking server that is away costs a warning, never a model.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # By default the client tries for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    try:
        import mlflow

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
    except ImportError:
        print(
            "export: MLFLOW_TRACKING_URI is set but MLflow is not installed, the run is not "
            "tracked: pip install '.[mlflow]'",
            file=sys.stderr,
        )
    except Exception as error:  # whatever a tracker does wrong, the model stands
        print(f"export: not tracked by MLflow: {type(error).__name__}: {error}", file=sys.stderr)
