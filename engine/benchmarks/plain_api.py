"""Servers for comparison: the plain way to serve a pipeline, and one that does nothing."""

import os
from pathlib import Path
from typing import Any

import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

import bench_paths  # noqa: F401
from mlops.bundle import load_model
from mlops.request import request_model
from project.schema import SCHEMA

Row: Any = request_model(SCHEMA)


class Rows(BaseModel):
    rows: list[Row]


app = FastAPI()
pipeline = load_model(Path(os.environ["SERVE_BUNDLE"]))
features = [column.name for column in SCHEMA.features]


@app.post("/predict")
def predict(body: Rows) -> dict[str, list[float]]:
    frame = pd.DataFrame([row.model_dump() for row in body.rows], columns=features)
    return {"predictions": pipeline.predict(frame).tolist()}


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Read the body and respond with two bytes."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-length", b"2"), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})
