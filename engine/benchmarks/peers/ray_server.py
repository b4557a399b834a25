"""The pipeline behind Ray Serve; argument: the port."""

import os
import signal
import sys
from pathlib import Path

import joblib
import pandas as pd
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse

_SETTINGS = {"logging_config": {"enable_access_log": False}}


@serve.deployment(num_replicas=1, max_ongoing_requests=64, **_SETTINGS)
class Plain:
    """One row or many, as the client sends them."""

    def __init__(self, bundle: str) -> None:
        self.model = joblib.load(Path(bundle) / "model.joblib")

    async def __call__(self, request: Request) -> JSONResponse:
        content = await request.json()
        predicted = self.model.predict(pd.DataFrame(content["rows"])).tolist()
        return JSONResponse({"predictions": predicted})


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    ray.init(num_cpus=2, include_dashboard=False, logging_level="error")
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Plain.bind(os.environ["SERVE_BUNDLE"]), route_prefix="/predict", blocking=True)
