"""The servers to compare: how to start each one, send requests and read its responses."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench_paths import PYTHONPATH
from mlops.pipeline.equivalence import columns_of
from pipeline import new_repository
from project.schema import SCHEMA

BUNDLE = Path("artifacts/bundle")
"""Of the repository that `demo` made."""
HERE = Path(__file__).resolve().parent
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Server:
    """A server's command, path for predictions, request and response formats.

    Attributes:
        environment: folder of its virtual environment; None for our own.
    """

    command: list[str]
    path: str = "/predict"
    content: Callable[[Rows], Any] = lambda rows: {"rows": rows}
    answer: Callable[[Any], list[float]] = lambda found: found["predictions"]
    settings: dict[str, str] = field(default_factory=dict)
    environment: Path | None = None

    def post(self, rows: Rows) -> bytes:
        """Return a complete HTTP request."""
        body = json.dumps(self.content(rows)).encode()
        head = f"POST {self.path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def get(row: dict[str, Any]) -> bytes:
    """Return a complete HTTP request with the row in its query."""
    return f"GET /predict?{urlencode(row)} HTTP/1.1\r\nhost: x\r\n\r\n".encode()


def post_columns(server: Server, rows: Rows) -> bytes:
    """Return a request with a list for each column; to a peer, its usual one."""
    own = replace(server, content=lambda rows: {"columns": columns_of(rows)})
    return (server if server.environment else own).post(rows)


def post_v2(server: Server, rows: Rows) -> bytes:
    """Return a request of the Open Inference Protocol; to a peer, its usual one."""
    path = f"/v2/models/{SCHEMA.target.name}/infer"
    own = replace(server, path=path, content=lambda rows: {"inputs": _columns(rows)["inputs"]})
    return (server if server.environment else own).post(rows)


def _split(rows: Rows) -> Any:
    data = [list(row.values()) for row in rows]
    return {"dataframe_split": {"columns": list(rows[0]), "data": data}}


def _columns(rows: Rows) -> Any:
    """Return the columns in the format of the Open Inference Protocol."""
    inputs = []
    for column in SCHEMA.features:
        kind = "BYTES" if column.is_categorical else "FP64"
        told = {"content_type": "str" if column.is_categorical else "np"}
        data = [row[column.name] for row in rows]
        inputs.append(
            {"name": column.name, "shape": [len(rows), 1], "datatype": kind, "data": data}
            | {"parameters": told}
        )
    return {"parameters": {"content_type": "pd"}, "inputs": inputs}


_OURS = ["-m", "mlops.serving"]
_UVICORN = ["-m", "uvicorn", "--no-access-log", "--port", "{port}"]
SERVERS = {
    "ours": Server(_OURS, settings={"PREDICTION_LOG_URL": "none"}),
    "ours, logging": Server(_OURS),
    "plain": Server([*_UVICORN, "plain_api:app"]),
    "hello": Server([*_UVICORN, "plain_api:hello"]),
}
PEERS: dict[str, dict[str, Any]] = {
    "mlflow": {"path": "/invocations", "content": _split},
    "bentoml": {"answer": lambda found: found},
    "mlserver": {
        "path": "/v2/models/plain/infer",
        "content": _columns,
        "answer": lambda found: found["outputs"][0]["data"],
    },
    "litserve": {},
    "ray": {},
}
_NEEDS = {
    "mlserver": ["uvloop<0.22", "pyyaml"],  # with a later uvloop it does not start
    "ray": ["ray[serve]"],
}


@contextlib.contextmanager
def demo() -> Iterator[None]:
    """Work in a reproduced repository of the engine's test project, which derives no feature.

    The peers serve the joblib pipeline, which takes the features themselves.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        new_repository(Path(folder, "demo"))
        os.chdir("demo")
        subprocess.run(["dvc", "repro", "--quiet", "--no-run-cache"], check=True)
        yield


def install_peers(folder: Path) -> dict[str, Server]:
    """Install each peer in its own environment; skip, with a message, those that fail."""
    found = {}
    same = [f"{name}=={version(name)}" for name in ("scikit-learn", "pandas", "numpy", "joblib")]
    for name, details in PEERS.items():
        environment = folder / name
        if not (environment / "bin" / name).exists():
            subprocess.run([sys.executable, "-m", "venv", environment], check=True)
            wanted = [name, *same, *_NEEDS.get(name, [])]
            pip = [environment / "bin" / "python", "-m", "pip", "install", "-q"]
            if subprocess.run([*pip, *wanted]).returncode:
                print(f"{name} could not be installed", file=sys.stderr)
                shutil.rmtree(environment)
                continue
        command = [str(HERE / "peers" / f"{name}_server.py"), "{port}"]
        found[name] = Server(command, environment=environment, **details)
    return found


@contextlib.contextmanager
def serving(server: Server) -> Iterator[tuple[int, float, int]]:
    """Start a server; yield its port, the seconds to its first response, and its process ID."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{PYTHONPATH}:{HERE}:{HERE / 'peers'}",
        "SERVE_BUNDLE": str(BUNDLE.resolve()),
        "SERVE_PORT": str(port),
        "SERVE_ACCESS_LOG": "0",
    }
    python = Path(sys.executable)
    if server.environment is not None:
        python = server.environment / "bin" / "python"
        environment["PATH"] = f"{python.parent}:{os.environ['PATH']}"
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [python, *(part.format(port=port) for part in server.command)],
            env=os.environ | environment | server.settings,
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait(server, port)
            yield port, time.perf_counter() - began, process.pid
        except Exception:
            output.seek(0)
            print(output.read().decode(errors="replace")[-3000:], file=sys.stderr)
            raise
        finally:
            for pid in _family(process.pid):
                os.kill(pid, signal.SIGKILL)
            process.wait()


def _wait(server: Server, port: int) -> None:
    request = server.post([_TYPICAL])
    for _ in range(6000):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as probe:
            probe.settimeout(20)
            probe.sendall(request)
            if probe.recv(100).startswith(b"HTTP/1.1 200"):
                return
        time.sleep(0.01)
    raise RuntimeError("the server gave no answer in a minute")


_TYPICAL = {
    **{c.name: c.choices[0] if c.choices else c.low or 0 for c in SCHEMA.features},
    "size": 1500.0,
    "rooms": 6,
}


def memory(pid: int) -> float:
    """Return the memory of a process and its descendants in MB (proportional set size)."""
    found = [Path(f"/proc/{one}/smaps_rollup").read_text() for one in _family(pid)]
    return sum(int(text.split("Pss:")[1].split()[0]) for text in found) / 1024


def _family(pid: int) -> list[int]:
    found = [pid]
    for one in found:  # grows during the loop
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return found
