"""The pipeline behind `bentoml serve`; argument: the port."""

import os
import sys
from pathlib import Path
from typing import Any

import bentoml
import joblib
import pandas as pd


@bentoml.service(workers=1, metrics={"enabled": False}, logging={"access": {"enabled": False}})
class Plain:
    """One worker, its access log off."""

    def __init__(self) -> None:
        self.model = joblib.load(Path(os.environ["SERVE_BUNDLE"]) / "model.joblib")

    @bentoml.api
    def predict(self, rows: list[dict[str, Any]]) -> list[float]:
        return self.model.predict(pd.DataFrame(rows)).tolist()


if __name__ == "__main__":
    command = str(Path(sys.executable).with_name("bentoml"))
    service = "bentoml_server:Plain"
    where = ["--working-dir", str(Path(__file__).parent), "--host", "127.0.0.1"]
    os.execv(command, [command, "serve", service, *where, "--port", sys.argv[1]])
