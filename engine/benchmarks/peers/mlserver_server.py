"""The pipeline behind MLServer, without its worker processes: quicker so; argument: the port."""

import json
import os
import sys
import tempfile
from pathlib import Path

import joblib
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, PandasCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Plain(MLModel):
    """Takes columns by the Open Inference Protocol."""

    async def load(self) -> bool:
        self.model = joblib.load(Path(os.environ["SERVE_BUNDLE"]) / "model.joblib")
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        predicted = self.model.predict(PandasCodec.decode_request(payload))
        output = NumpyCodec.encode_output("price", predicted)
        return InferenceResponse(model_name=self.name, outputs=[output])


if __name__ == "__main__":
    port = int(sys.argv[1])
    folder = Path(tempfile.mkdtemp(prefix="mlserver-"))
    ports = {"http_port": port, "grpc_port": port + 1, "metrics_port": port + 2}
    own = {"parallel_workers": 0, "host": "127.0.0.1", "debug": False, "metrics_endpoint": None}
    (folder / "settings.json").write_text(json.dumps({**ports, **own}))
    model = {"name": "plain", "implementation": "mlserver_server.Plain"}
    (folder / "model-settings.json").write_text(json.dumps(model))
    command = str(Path(sys.executable).with_name("mlserver"))
    os.execv(command, [command, "start", str(folder)])
