"""Tracking by MLflow: nothing without a server, one line for a faulty one, a run on a real one."""

import http.server
import importlib.metadata
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clones import copy, environment, run
from mlops import tracking
from mlops.bundle import read_manifest
from paths import PYTHONPATH

PASSWORD = "opensesame"
MANIFEST: dict[str, Any] = {
    "model_version": "0123456789ab",
    "target": "price",
    "params": {"kind": "ridge", "alpha": 3.0},
    "evaluation": {"metrics": {"rmse": {"value": 1.5}, "roc_auc": {"value": None}}},
    "data": {"train": {"sha256": "aa"}, "test": {"sha256": "bb"}},
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def address(port: int) -> str:
    return f"http://user:{PASSWORD}@127.0.0.1:{port}"


# No server, or a faulty one


@pytest.mark.parametrize("uri", [None, ""])
def test_without_an_address_nothing_is_imported_and_nothing_said(
    uri: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if uri is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setitem(sys.modules, "mlflow", None)  # importing it would give the hint below
    before = dict(os.environ)

    tracking.track(MANIFEST)

    assert dict(os.environ) == before
    assert capsys.readouterr() == ("", "")


def test_where_mlflow_is_not_installed_the_command_that_installs_it_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("MLFLOW_TRACKING_URI", *tracking.SETTINGS):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "mlflow", None)

    tracking.track(MANIFEST)

    assert capsys.readouterr() == (
        "",
        "export: not tracked by MLflow: MLFLOW_TRACKING_URI is set but MLflow is not installed: "
        "pip install -e '.[mlflow]'\n",
    )


EXPERIMENT = {"experiment_id": "1", "name": "price", "lifecycle_stage": "active"}
RUN = {"run_id": "r", "experiment_id": "1", "status": "RUNNING", "lifecycle_stage": "active"}


class Faulty(http.server.BaseHTTPRequestHandler):
    """Answer in the way that `fault` names; 'dies' lets a run begin first."""

    fault: str

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, body = 200, "<html>\nProxy: please log in\n</html>\n"
        if self.fault == "hangs":
            time.sleep(20)
        elif self.fault == "answers 500":
            status = 500
        elif self.fault == "dies" and "experiments" in self.path:
            body = json.dumps({"experiment": EXPERIMENT})
        elif self.fault == "dies" and self.path.endswith("runs/create"):
            body = json.dumps({"run": {"info": RUN, "data": {}}})
        elif self.fault == "dies":
            status = 500
        self.send_response(status)
        self.send_header("Content-Length", str(10**6 if self.fault == "drips" else len(body)))
        self.end_headers()
        for _ in range(40 if self.fault == "drips" else 0):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.5)
        self.wfile.write(body.encode())

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


class FaultyServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # its threads may still be at their fault

    def handle_error(self, *_: object) -> None:
        """Say nothing of a client that went away."""


@contextmanager
def faulty_server(fault: str) -> Iterator[int]:
    """Serve a fault, and give the port."""
    handler = type("Handler", (Faulty,), {"fault": fault})
    with FaultyServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def track_in_a_process(uri: str, deadline: float, **variables: str) -> tuple[str, str, float]:
    """Track MANIFEST with exit code 0; give what was printed, on stderr too, and the seconds.

    A process of its own, for what MLflow does at the end of one counts too.
    """
    code = f"from mlops import tracking\ntracking.DEADLINE_SECONDS = {deadline}\n"
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", f"{code}tracking.track({MANIFEST!r})\n"],
        env=environment(PYTHONPATH=PYTHONPATH, MLFLOW_TRACKING_URI=uri, **variables),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr, time.monotonic() - start


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("is away", "Connection refused"),
        ("answers 500", "500 error responses"),
        ("answers HTML", "Response body: '<html> Proxy: please log in </html>"),
        ("hangs", "Read timed out"),
        ("drips", "not finished within 5 seconds"),
        ("dies", "500 error responses"),
    ],
)
def test_a_server_that_does_not_do_its_work_costs_one_line_and_no_more(
    fault: str, words: str
) -> None:
    deadline = 5 if fault == "drips" else 60
    with faulty_server(fault) as port:
        uri = address(free_port() if fault == "is away" else port)
        printed, warned, seconds = track_in_a_process(
            uri, deadline, MLFLOW_HTTP_REQUEST_TIMEOUT="1"
        )

    assert printed == ""
    assert warned.startswith("export: not tracked by MLflow: ")
    assert warned.count("\n") == 1
    assert len(warned) < 600
    assert words in warned
    assert PASSWORD not in warned
    assert seconds < 40


def test_without_settings_of_ones_own_a_request_is_tried_twice_for_ten_seconds_each() -> None:
    code = "import mlflow.environment_variables as e\nprint(e.MLFLOW_HTTP_REQUEST_{}.get())\n"
    names = ("TIMEOUT", "MAX_RETRIES")
    done = subprocess.run(
        [sys.executable, "-c", "".join(code.format(name) for name in names)],
        env=environment(**tracking.SETTINGS),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == ["10", "1"]
    assert tracking.DEADLINE_SECONDS <= 60


@pytest.mark.slow
def test_the_bundle_stands_when_the_server_is_away(reproduced: Path, tmp_path: Path) -> None:
    repository = copy(reproduced, tmp_path / "repository")
    shutil.rmtree(repository / "artifacts/bundle")

    printed = run(
        repository,
        "PYTHONPATH=engine:src python -m mlops.pipeline.export",
        MLFLOW_TRACKING_URI=address(free_port()),
    )

    assert "export: not tracked by MLflow: " in printed
    assert PASSWORD not in printed
    version = read_manifest(repository / "artifacts/bundle")["model_version"]
    assert f"export: model {version}" in printed
    assert run(repository, "dvc status") == "fingerprint:\n\talways changed\n"


# A real server

SERVER_SECONDS = 180


def mlflow_of_a_server() -> Path:
    """Give the Python of an environment with the whole of MLflow, which is too big for our lock.

    It is made once, outside the repository, and has the release of the client.
    """
    release = importlib.metadata.version("mlflow-skinny")
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = caches / f"mlops-tests/mlflow-{release}-python{sys.version_info.minor}"
    python, whole = folder / "bin/python", folder / "whole"
    if not whole.exists():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "-q", "--clear", "-p", sys.executable, folder], check=True)
        install = [uv, "pip", "install", "-q", "-p", python, f"mlflow=={release}"]
        subprocess.run(install, check=True)
        whole.touch()
    return python


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Run `mlflow server` on a database of its own, and give its port."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    command = [mlflow_of_a_server(), "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/runs.db", "--port", str(port)]
    command += ["--default-artifact-root", str(folder / "files"), "--workers", "1"]
    variables = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(**variables),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + SERVER_SECONDS
            while not answers(f"http://127.0.0.1:{port}/health"):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.5)
            yield port
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def runs(port: int, experiment: str) -> list[dict[str, Any]]:
    """Read an experiment's runs through MLflow's REST interface, the newest first."""
    api = f"http://127.0.0.1:{port}/api/2.0/mlflow"
    named = f"{api}/experiments/get-by-name?experiment_name={experiment}"
    with urllib.request.urlopen(named, timeout=30) as answer:
        number = json.load(answer)["experiment"]["experiment_id"]
    query = json.dumps({"experiment_ids": [number]}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{api}/runs/search", query, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: list[dict[str, Any]] = json.load(answer)["runs"]
        return found


def entries(found: dict[str, Any], kind: str) -> dict[str, Any]:
    return {entry["key"]: entry["value"] for entry in found["data"][kind]}


@pytest.mark.slow
def test_a_real_server_is_told_parameters_metrics_and_version_of_each_export(
    server: int, reproduced: Path, tmp_path: Path
) -> None:
    repository = copy(reproduced, tmp_path / "repository")
    uri = {"MLFLOW_TRACKING_URI": address(server)}

    printed = run(repository, "dvc repro --force --single-item export", **uri)

    assert f"export: tracked by MLflow at http://***@127.0.0.1:{server}" in printed
    assert PASSWORD not in printed
    manifest = read_manifest(repository / "artifacts/bundle")
    (first,) = runs(server, manifest["target"])
    assert first["info"]["status"] == "FINISHED"
    assert first["info"]["run_name"] == manifest["model_version"]
    assert entries(first, "params") == {k: str(v) for k, v in manifest["params"].items()}
    metrics = json.loads((repository / "artifacts/evaluate/metrics.json").read_text("utf-8"))
    found = entries(first, "metrics")
    assert found == {name: metrics[name] for name in manifest["evaluation"]["metrics"]}
    tags = entries(first, "tags")
    assert tags["model_version"] == manifest["model_version"]
    for part in ("train", "test"):
        assert tags[f"{part}_rows_sha256"] == manifest["data"][part]["sha256"]

    run(repository, "dvc repro", **uri)
    assert len(runs(server, manifest["target"])) == 1, "a stage that was skipped logs nothing"

    changed = "dvc exp run --name few -S models.hist_gradient_boosting.max_iter=20"
    run(repository, changed, MLFLOW_EXPERIMENT_NAME="tries", **uri)
    (second,) = runs(server, "tries")
    assert entries(second, "params")["max_iter"] == "20"
    assert entries(second, "tags")["model_version"] != manifest["model_version"]
    assert len(runs(server, manifest["target"])) == 1


@pytest.mark.slow
def test_a_metric_that_has_no_value_is_left_out(server: int) -> None:
    printed, warned, _ = track_in_a_process(
        f"http://127.0.0.1:{server}", 60, MLFLOW_EXPERIMENT_NAME="left-out"
    )
    assert "export: tracked by MLflow" in printed
    assert "not tracked" not in warned
    (found,) = runs(server, "left-out")
    assert entries(found, "metrics") == {"rmse": 1.5}
