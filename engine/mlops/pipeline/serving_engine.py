"""Write the serving engine of a bundle: the exported model, if it agrees with the pipeline."""

from pathlib import Path

from sklearn.pipeline import Pipeline

from mlops.bundle import MODEL_FILE, libraries
from mlops.columns import Schema
from mlops.files import write_json
from mlops.frames import read_groups
from mlops.inference.derived_engine import with_features
from mlops.inference.engine import FORM_FILE, TREES_FILE, Exported
from mlops.paths import TEST_ROWS, TRAIN_ROWS
from mlops.pipeline.equivalence import LIMITS, edge_rows, largest_error
from mlops.pipeline.export_encoding import NotExportable
from mlops.pipeline.exporter import export_form
from mlops.records import EngineRecord


def publish_engine(folder: Path, model: Pipeline, schema: Schema) -> EngineRecord:
    """Write the exported form, if it agrees with the pipeline; return a record of the engine.

    Both are compared on all training and test rows and on edge rows. If there is no exported form
    or they disagree, the pickled pipeline serves, and `engine_reason` has the reason.
    """
    try:
        files = _write_form(folder, model, schema)
    except NotExportable as reason:
        return {
            "engine": "joblib",
            "engine_reason": str(reason),
            "engine_files": [MODEL_FILE],
            "engine_libraries": libraries(),
        }
    trees = TREES_FILE in files
    return {
        "engine": "treelite" if trees else "arrays",
        "engine_reason": None,
        "engine_files": files,
        "engine_libraries": libraries(["treelite"] if trees else []),
    }


def _write_form(folder: Path, model: Pipeline, schema: Schema) -> list[str]:
    form, limit = export_form(model, schema), LIMITS[schema.task]
    write_json(folder / FORM_FILE, form.content)
    for name, content in form.files.items():
        (folder / name).write_bytes(content)
    files = [FORM_FILE, *form.files]
    engine = with_features(Exported.read(folder, files), schema)
    error = largest_error(
        engine, model, edge_rows(form.thresholds, schema, texts=form.texts), schema
    )
    for path in (TRAIN_ROWS, TEST_ROWS):
        for rows in read_groups(path):
            error = max(error, largest_error(engine, model, rows, schema, as_requested=False))
    if not error <= limit:
        for name in files:
            (folder / name).unlink()
        raise NotExportable(f"the exported model differs by {error:.1g}, limit {limit:g}")
    print(f"export: the exported model agrees with the pipeline within {error:.1g}")
    return files
