"""The OpenAPI document is true: schemathesis asks for all of it, and finds every answer in it."""

import subprocess
import sys
from pathlib import Path

from mlops.request import describe_schema
from project.schema import SCHEMA
from served import make_bundle, running, small_model


def test_every_answer_is_as_the_document_says(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle", small_model())
    with running(tmp_path / "bundle", f"sqlite:///{tmp_path}/log.db") as server:
        address = f"http://127.0.0.1:{server.port}/openapi.json"
        # Rules between columns can't stand in a document: a row that breaks one is refused though
        # the document allows it.
        options = "--max-examples 60 --seed 0 --generation-database none"
        without = ("--exclude-checks", "positive_data_acceptance")
        run = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", "run", address, *options.split(), *without],
            capture_output=True,
            text=True,
            timeout=400,
            cwd=tmp_path,
        )
        assert server.ask("GET", "/health/ready")[0] == 200
    assert run.returncode == 0, run.stdout
    assert "Tested: 17" in run.stdout


def test_the_document_has_the_bounds_of_every_column() -> None:
    properties = describe_schema(SCHEMA)["request"]["properties"]
    for column in SCHEMA.features:
        kind = properties[column.name].get("anyOf", [properties[column.name]])[0]
        assert (kind.get("minimum"), kind.get("maximum")) == (column.low, column.high)
        assert kind.get("enum", []) == list(column.choices)
