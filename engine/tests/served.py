"""A small bundle, and a server of it: in this process or in one of its own."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
from sklearn.pipeline import Pipeline

from fitted import fit
from mlops.bundle import MANIFEST, MODEL_FILE, libraries, seal
from mlops.columns import Schema
from mlops.files import whole_folder, write_json
from mlops.inference.engine import FORM_FILE
from mlops.pipeline.exporter import export_form
from mlops.request import describe_columns, describe_derived
from paths import PYTHONPATH
from project.schema import SCHEMA

KEY = "a key of some length"
ROW = {"size": 1500, "rooms": 6}
PATIENCE = 30.0
"""Seconds that a log's write may take: a disk on which images are built stands still for some."""
_METRIC = {"value": 1.0, "low": 0.5, "high": 1.5}


def make_bundle(
    folder: Path, model: Pipeline, engine: str = "arrays", schema: Schema = SCHEMA, **changes: Any
) -> None:
    """Write a bundle of a fitted pipeline; `changes` go into its manifest."""
    with whole_folder(folder) as new:
        joblib.dump(model, new / MODEL_FILE)
        files = [MODEL_FILE]
        if engine != "joblib":
            form = export_form(model, schema)
            write_json(new / FORM_FILE, form.content)
            for name, content in form.files.items():
                (new / name).write_bytes(content)
            files = [FORM_FILE, *form.files]
        part = {"rows": 10, "sha256": "0" * 64, "from": "2006-01-01", "to": "2008-12-31"}
        content = {
            "target": schema.target.name,
            "engine": engine,
            "engine_reason": None,
            "engine_files": files,
            "engine_libraries": libraries() if engine == "joblib" else {},
            "libraries": libraries(),
            "params": {"kind": "hist_gradient_boosting"},
            "data": {"train": part, "test": part, "seen": {"size": [500.0, 4000.0]}},
            "evaluation": {
                "metrics": {"rmse": _METRIC},
                "baseline": {"rmse": 9.0},
                "confidence": 0.95,
                "slices": [
                    {"column": "size", "slice": "≤ 9", "rows": 3, "metrics": {"rmse": _METRIC}}
                ],
            },
            "columns": describe_columns(schema),
            "derived": describe_derived(schema),
        }
        write_json(new / MANIFEST, seal(new, {**content, **changes}))


def small_model(**changes: Any) -> Pipeline:
    """Fit a boosted regression of the demo's schema."""
    return fit("regression", "hist_gradient_boosting", **changes)


class Process:
    """`python -m mlops.serving` in a process of its own, on a free port."""

    def __init__(self, bundle: Path, log: str, **settings: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        environment = {
            "PYTHONPATH": PYTHONPATH,
            "OMP_NUM_THREADS": "1",
            "SERVE_BUNDLE": str(bundle),
            "SERVE_PORT": str(self.port),
            "SERVE_DRAIN_SECONDS": "0",
            "SERVE_LOG_TIMEOUT": str(PATIENCE),
            "PREDICTION_LOG_URL": log,
            **settings,
        }
        # A pipe that nobody reads would fill up, and stop the server.
        self._output = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlops.serving"],
            env=os.environ | environment,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            cwd=bundle.parent,
            text=True,
        )

    def wait_ready(self, path: str) -> None:
        """Wait until it answers a health check."""
        end = time.monotonic() + 2 * PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError):
                if self.ask("GET", path)[0] == 200:
                    return
            time.sleep(0.02)
        self.process.kill()
        raise AssertionError(f"not ready: {self.end(signal.SIGKILL)[1]}")

    def ask(self, method: str, path: str, content: Any = None) -> tuple[int, Any]:
        """Ask once, on a connection of its own; give status and parsed body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2 * PATIENCE)
        body = None if content is None else json.dumps(content)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()

    def end(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal, wait for the end, give exit code and output."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self._output.closed:
            return self.process.returncode, ""
        with self._output as output:
            output.seek(0)
            return self.process.returncode, output.read()


@contextlib.contextmanager
def running(
    bundle: Path, log: str = "none", ready: str = "/health/ready", **settings: str
) -> Iterator[Process]:
    """Run a server until the block ends."""
    server = Process(bundle, log, **settings)
    try:
        server.wait_ready(ready)
        yield server
    finally:
        server.end(signal.SIGKILL)
