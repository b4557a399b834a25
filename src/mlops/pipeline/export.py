"""Stage export: model, evaluation and schema -> the serving bundle."""

import dataclasses
import json
import shutil
from typing import Any

from mlops.artifacts import BUNDLE, EVALUATION, MODEL, TEST_ROWS, TRAIN_ROWS, TRAINING
from mlops.bundle import MANIFEST, MODEL_FILE, libraries, seal
from mlops.columns import Schema
from mlops.errors import run_command
from mlops.files import sha256, whole_folder, write_json
from mlops.frames import read_rows
from mlops.request import request_model
from mlops.schema import SCHEMA
from mlops.tracking import track


def describe_schema(schema: Schema) -> dict[str, Any]:
    """Write the columns as plain values, and the JSON schema of a request."""
    columns = []
    for column in schema.columns:
        fields = {f.name: getattr(column, f.name) for f in dataclasses.fields(column)}
        columns.append({**fields, "type": column.type.__name__, "choices": list(column.choices)})
    return {"columns": columns, "request": request_model(schema).model_json_schema()}


def describe_data(schema: Schema) -> dict[str, Any]:
    """Say which rows trained and tested the model: their number, hash and days."""
    described: dict[str, Any] = {}
    for name, path in (("train", TRAIN_ROWS), ("test", TEST_ROWS)):
        column = schema.key if schema.time is None else schema.time
        values = read_rows(path, [column.name])[column.name]
        described[name] = {"rows": len(values), "sha256": sha256(path)}
        if schema.time is not None:
            described[name] |= {"from": str(values.min().date()), "to": str(values.max().date())}
    return described


def main() -> None:
    evaluation = json.loads(EVALUATION.read_text(encoding="utf-8"))
    training = json.loads(TRAINING.read_text(encoding="utf-8"))
    with whole_folder(BUNDLE) as folder:
        shutil.copyfile(MODEL, folder / MODEL_FILE)
        manifest = seal(
            folder,
            {
                "task": evaluation["task"],
                "target": SCHEMA.target.name,
                "engine": "joblib",
                "libraries": libraries(),
                "params": training["params"],
                "data": describe_data(SCHEMA),
                "evaluation": evaluation,
                "schema": describe_schema(SCHEMA),
            },
        )
        write_json(folder / MANIFEST, manifest)
    track(manifest)
    size = sum(file["bytes"] for file in manifest["files"].values())
    print(f"export: model {manifest['model_version']}, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    run_command(main)
