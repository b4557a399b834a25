"""Stage export: model, evaluation and schema -> the serving bundle."""

import shutil
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from mlops.bundle import MANIFEST, MODEL_FILE, REFERENCE_FILE, libraries, seal
from mlops.columns import Schema
from mlops.errors import run_command
from mlops.files import read_json, sha256, whole_folder, write_json
from mlops.frames import read_rows, with_derived
from mlops.intervals import spread
from mlops.lookups import LOOKUPS_FILE, looked_up
from mlops.metric_registry import Metrics
from mlops.metrics import Predictions, rounded
from mlops.paths import (
    BUNDLE,
    EVALUATION,
    MODEL,
    PREDICTIONS,
    TEST_ROWS,
    TRAIN_ROWS,
    TRAINING,
)
from mlops.pickled_code import needed_code
from mlops.pipeline.joining import contents
from mlops.pipeline.model import actual_values
from mlops.pipeline.page_content import describe_page, public_rows
from mlops.pipeline.serving_engine import publish_engine
from mlops.pipeline.threshold import threshold_of
from mlops.profile import prediction_profile, reference_profile
from mlops.project import load_metrics, load_project_params, load_tabled_schema
from mlops.records import DataRecord, PageRecord, RowsRecord
from mlops.request import describe_columns, describe_derived
from mlops.tracking import track

SUGGESTED = 100
"""Maximum number of texts of an open feature that the page suggests."""


def describe_data(schema: Schema) -> DataRecord:
    """Describe the training and test rows: number, hash, days, and the values seen."""
    return {
        "train": _describe_rows(TRAIN_ROWS, schema),
        "test": _describe_rows(TEST_ROWS, schema),
        "seen": describe_seen(_made_with(TRAIN_ROWS, schema), schema),
    }


def _describe_rows(path: Path, schema: Schema) -> RowsRecord:
    column = schema.key if schema.time is None else schema.time
    values = read_rows(path, [column.name])[column.name]
    described: RowsRecord = {"rows": len(values), "sha256": sha256(path)}
    if schema.time is not None:
        described |= {"from": str(values.min().date()), "to": str(values.max().date())}
    return described


def describe_seen(rows: pd.DataFrame, schema: Schema) -> dict[str, list[Any]]:
    """Return each feature's choices, frequent texts, or least and greatest number."""
    seen: dict[str, list[Any]] = {}
    for column in schema.features:
        values = rows[column.name].dropna()
        if column.is_categorical:
            known = set(values.unique())
            listed = column.choices or sorted(values.value_counts().index[:SUGGESTED])
            seen[column.name] = [choice for choice in listed if choice in known]
        else:
            seen[column.name] = [float(values.min()), float(values.max())] if len(values) else []
    return seen


def describe_reference(
    rows: pd.DataFrame, predictions: Predictions, schema: Schema, metrics: Metrics
) -> Any:
    """Describe the reference for the monitor: the features of all rows, the predictions of the
    test rows, and the metrics on these with their standard errors.
    """
    return {
        "features": reference_profile(rows, schema),
        "predicted": prediction_profile(predictions, schema),
        "metrics": {
            name: {"value": rounded(value), "error": rounded(spread(influence).error)}
            | ({"reason": reason} if reason else {})
            for name, (value, influence, reason) in metrics.estimates(predictions).items()
        },
    }


def _made_with(path: Path, schema: Schema) -> pd.DataFrame:
    """Read the inputs from a file of rows, and derive the features."""
    return with_derived(read_rows(path, [column.name for column in schema.inputs]), schema)


def _tested(schema: Schema, threshold: float | None) -> Predictions:
    kept = read_rows(PREDICTIONS)
    names = [f"probability_{choice}" for choice in schema.target.choices]
    predicted = kept[names] if names else kept["predicted"]
    actual, values = actual_values(kept, schema.target), predicted.to_numpy(dtype=np.float64)
    return Predictions(schema.task, actual, values, threshold)


def _describe_page(
    rows: pd.DataFrame, tested: Predictions, schema: Schema, training: dict[str, Any]
) -> PageRecord:
    """Describe the test rows for the page; the fingerprint has what params.yaml says of it."""
    keys = read_rows(TEST_ROWS, [schema.key.name])[schema.key.name]
    public = public_rows(keys, load_project_params())
    relative = training["params"].get("log_target", False)
    return describe_page(rows, tested, schema, public=public, relative=relative)


def main() -> None:
    schema = load_tabled_schema()
    evaluation = read_json(EVALUATION)
    training = read_json(TRAINING)
    with whole_folder(BUNDLE) as folder:
        shutil.copyfile(MODEL, folder / MODEL_FILE)
        model = joblib.load(MODEL)
        engine, threshold = publish_engine(folder, model, schema), threshold_of(model)
        if looked_up(schema):
            write_json(folder / LOOKUPS_FILE, contents(schema))
            engine["engine_files"].append(LOOKUPS_FILE)
        known = [_made_with(path, schema) for path in (TRAIN_ROWS, TEST_ROWS)]
        rows = pd.concat(known, ignore_index=True)
        tested = _tested(schema, threshold)
        reference = describe_reference(rows, tested, schema, load_metrics(schema))
        write_json(folder / REFERENCE_FILE, reference)
        manifest = seal(
            folder,
            {
                "task": evaluation["task"],
                "target": schema.target.name,
                "threshold": threshold,
                **engine,
                "libraries": libraries(),
                "pickled_code": needed_code(model),
                "params": training["params"],
                "data": describe_data(schema),
                "evaluation": evaluation,
                "columns": describe_columns(schema),
                "derived": describe_derived(schema),
                "page": _describe_page(known[1], tested, schema, training),
            },
        )
        write_json(folder / MANIFEST, manifest)
    track(manifest)
    size = sum(file["bytes"] for file in manifest["files"].values())
    why = f" ({manifest['engine_reason']})" if manifest["engine_reason"] else ""
    print(
        f"export: model {manifest['model_version']}, {size / 1e6:.2f} MB, "
        f"served by {manifest['engine']}{why}"
    )


if __name__ == "__main__":
    run_command(main)
