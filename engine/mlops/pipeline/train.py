"""Stage train: training rows -> the fitted model, and a record of its training."""

from pathlib import Path
from typing import Any

import joblib
from sklearn.pipeline import Pipeline

from mlops.errors import run_command
from mlops.files import atomic_write, write_json
from mlops.frames import read_rows, with_derived
from mlops.metrics import rounded
from mlops.paths import CHOSEN, MODEL, TRAIN_ROWS, TRAINING
from mlops.pipeline.code_meaning import read_modules
from mlops.pipeline.feature_check import check_features
from mlops.pipeline.feature_process import derive_in_second_process
from mlops.pipeline.model import build_model, fit_model, rescale_to_recent_level
from mlops.pipeline.search import search
from mlops.pipeline.threshold import keep_threshold, resolve_threshold
from mlops.project import (
    load_kinds,
    load_metrics,
    load_project_params,
    load_tabled_schema,
    project_folder,
)


def save_model(path: Path, model: Pipeline) -> None:
    """Write a fitted model atomically, with a fixed protocol: Python 3.14's default differs."""
    with atomic_write(path) as temporary:
        joblib.dump(model, temporary, protocol=4)


def main() -> None:
    schema, kinds = load_tabled_schema(), load_kinds()
    metrics = load_metrics(schema)
    params = load_project_params(with_models=True)
    train, rows = params.train, read_rows(TRAIN_ROWS)
    modules = read_modules("project.features", [project_folder().parent])
    check_features(rows, schema, modules, derive_in_second_process)
    rows = with_derived(rows, schema)
    chosen = kinds[train.kind].model_validate(params.models[train.kind])
    tried = list[dict[str, Any]]()
    if train.search.candidates:
        chosen, tried = search(rows, chosen, train, schema, metrics)
    model = fit_model(build_model(chosen, train, schema), rows, schema.target)
    if train.level_days is not None:
        levelled = rescale_to_recent_level(rows, model, train.level_days, schema)
        model = fit_model(build_model(chosen, train, schema), levelled, schema.target)
    threshold = resolve_threshold(rows, chosen, train, schema, metrics)
    save_model(MODEL, keep_threshold(model, threshold))
    tried = [{k: rounded(v) if isinstance(v, float) else v for k, v in t.items()} for t in tried]
    fitted = chosen.model_dump() | ({} if threshold is None else {"threshold": threshold})
    own = train.model_dump(exclude={"search", "threshold"}) | fitted
    write_json(TRAINING, {"rows": len(rows), "params": own, "search": tried})
    write_json(CHOSEN, {"chosen": {"kind": train.kind} | fitted})
    print(f"train: {train.kind} on {len(rows)} rows" + (f", best of {len(tried)}" if tried else ""))


if __name__ == "__main__":
    run_command(main)
