"""The pipeline behind LitServe; argument: the port."""

import os
import sys
from pathlib import Path
from typing import Any

import joblib
import litserve
import pandas as pd


class Plain(litserve.LitAPI):
    """One row or many, as the client sends them."""

    def setup(self, device: str) -> None:
        self.model = joblib.load(Path(os.environ["SERVE_BUNDLE"]) / "model.joblib")

    def predict(self, x: dict[str, Any]) -> dict[str, list[float]]:
        return {"predictions": self.model.predict(pd.DataFrame(x["rows"])).tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Plain(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
