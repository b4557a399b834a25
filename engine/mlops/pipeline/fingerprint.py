"""Stage fingerprint: hash the meaning of each stage's code, columns and libraries to small files.

The other stages depend on these files: an edit of a description, a comment or a docstring reruns
nothing; an edit of a bound, a rule, a kind of model or the engine reruns only the stages that use
it. This stage runs every time, in about a second.
"""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mlops.columns import Schema
from mlops.errors import run_command
from mlops.files import sha256, whole_folder, write_json
from mlops.joins import Join
from mlops.lookups import looked_up
from mlops.metric_registry import Metrics
from mlops.params import Train
from mlops.paths import FINGERPRINT, SOURCE_FORM
from mlops.pipeline.code_meaning import hash_meaning
from mlops.project import load_metrics, load_project_params, load_schema

ENGINE = Path("engine")
PROJECT = Path("src")

STAGES = {
    "ingest": ("columns", "timezone", "source_form", "joins"),
    "validate": ("columns", "schema"),
    "prepare": ("columns", "prepare"),
    "split": ("columns",),
    "train": ("columns", "features", "models", "tables", "chosen_by"),
    "evaluate": ("columns", "features", "models", "tables", "metrics"),
    "export": ("columns", "schema", "features", "models", "tables", "metrics", "examples"),
}
"""The parts of the project that each stage uses; of the engine, it uses its module's imports."""
FOR_NOTEBOOKS = "mlops"
"""The package itself, whose functions no stage calls."""
READS_TABLES = "mlops.pipeline.joining"
"""Module that only projects with joins use, in every stage that derives features."""


def project_parts(schema: Schema, metrics: Metrics, train: Train) -> dict[str, Any]:
    """Return the meaning of the project's files, without descriptions and units.

    Training depends on the project's own metrics only if a search or threshold uses one.
    """
    named = {train.search.metric, getattr(train.threshold, "metric", None)}
    chooses = any(metric.name in named for metric in metrics.own)
    return {
        "columns": [
            {
                "name": column.name,
                "type": column.type.__name__,
                "role": column.role,
                "nullable": column.nullable,
                "choices": column.choices,
                "open": column.open,
            }
            for column in schema.columns
        ],
        "timezone": schema.timezone,
        "source_form": SOURCE_FORM.read_text(encoding="utf-8") if SOURCE_FORM.exists() else None,
        "schema": hash_meaning("project.schema", [PROJECT]),
        "features": schema.derived_code,
        "joins": [
            {"code": hash_meaning("project.sources", [PROJECT]), **_table(join)}
            for join in schema.joins
        ],
        "tables": [_table(join) for join in looked_up(schema)],
        "prepare": _prepare(),
        "models": hash_meaning("project.models", [PROJECT]),
        "metrics": metrics.code,
        "chosen_by": metrics.code if chooses else "",
    }


def _prepare() -> list[str] | None:
    """Hash the code of prepare.py, and the schema that its rows must satisfy."""
    if find_spec("project.prepare") is None:
        return None
    return [hash_meaning(f"project.{name}", [PROJECT]) for name in ("prepare", "schema")]


def _table(join: Join) -> dict[str, str]:
    """Return a table's path and hash, because DVC does not know paths named in Python."""
    path = Path(join.path)
    return {"path": join.path, "sha256": sha256(path) if path.is_file() else "missing"}


def libraries(requirements: str) -> list[str]:
    """Return the locked releases without their hashes."""
    return re.findall(r"^[\w.\[\]-]+==[^\\\n]*[^\\\s]", requirements, re.MULTILINE)


def main() -> None:
    schema, params = load_schema(), load_project_params()
    parts = project_parts(schema, load_metrics(schema), params.train)
    # Here and not in dvc.yaml, because DVC fails where an older params.yaml lacks a key.
    parts["examples"] = params.review.examples
    common = {
        "engine": (ENGINE / "VERSION").read_text(encoding="utf-8").strip(),
        "libraries": libraries(Path("requirements.txt").read_text(encoding="utf-8")),
    }
    unused = (FOR_NOTEBOOKS, *(() if schema.joins else (READS_TABLES,)))
    with whole_folder(FINGERPRINT) as folder:
        for stage, used in STAGES.items():
            code = hash_meaning(f"mlops.pipeline.{stage}", [ENGINE], unused=unused)
            known = {**common, "code": code, **{part: parts[part] for part in used}}
            write_json(folder / f"{stage}.json", known)


if __name__ == "__main__":
    run_command(main)
