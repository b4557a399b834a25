"""Stage train: training rows -> the fitted model, and how it was trained."""

from pathlib import Path
from typing import Any

import joblib
from sklearn.pipeline import Pipeline

from mlops.artifacts import MODEL, TRAIN_ROWS, TRAINING
from mlops.errors import run_command
from mlops.files import whole_file, write_json
from mlops.frames import read_rows
from mlops.metrics import rounded
from mlops.params import load_params
from mlops.pipeline.model import at_recent_level, build_model, fit_model
from mlops.pipeline.search import search
from mlops.schema import SCHEMA


def save_model(path: Path, model: Pipeline) -> None:
    """Write a fitted model, whole; Python 3.14 would choose a protocol of its own."""
    with whole_file(path) as temporary:
        joblib.dump(model, temporary, protocol=4)


def main() -> None:
    params = load_params()
    rows = read_rows(TRAIN_ROWS)
    chosen, tried = params.train, list[dict[str, Any]]()
    if params.train.search.candidates:
        chosen, tried = search(rows, params.train, params.task, SCHEMA)
    model = fit_model(build_model(chosen, params.task), rows)
    if chosen.level_days is not None:
        levelled = at_recent_level(rows, model, chosen.level_days)
        model = fit_model(build_model(chosen, params.task), levelled)
    save_model(MODEL, model)
    tried = [{k: rounded(v) if isinstance(v, float) else v for k, v in t.items()} for t in tried]
    own = chosen.model_dump(exclude={"search"})
    write_json(TRAINING, {"rows": len(rows), "params": own, "search": tried})
    print(
        f"train: {chosen.kind} on {len(rows)} rows" + (f", best of {len(tried)}" if tried else "")
    )


if __name__ == "__main__":
    run_command(main)
