"""A `python` and a `dvc` that start at once: in a fork of a process that has their libraries.

A stage of the pipeline needs two seconds, most of them to import scikit-learn and pandas, and the
tests run thousands. `warm_environment` gives a folder like that of a virtual environment, where
`python -m mlops.…`, `python -P file` and `dvc` have their libraries imported. All else is the usual
Python, and so is any with other settings than SETTINGS of those that a process reads at its start.
"""

import atexit
import contextlib
import functools
import importlib
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import Any

LIBRARIES = (
    "dvc.cli.parser", "dvc.commands.checkout", "dvc.commands.repro", "dvc.dvcfile",
    "dvc.repo.reproduce", "dvc.stage.run", "dvc_data.index", "joblib",
    "matplotlib.backends.backend_agg", "matplotlib.figure", "numpy", "orjson", "pandas",
    "pandera.pandas", "pyarrow.parquet", "scipy.optimize", "scipy.stats",
    "scmrepo.git", "sklearn.compose", "sklearn.ensemble", "sklearn.linear_model",
    "sklearn.metrics", "sklearn.model_selection", "sklearn.pipeline", "sklearn.preprocessing",
    "sklearn.tree", "sqlalchemy", "yaml",
)  # fmt: skip

_READ_AT_START = ("LC_", "LD_", "MALLOC_", "MKL_", "MPL", "NPY_", "OMP_", "OPENBLAS_", "PYTHON")
_READ_LATER = ("PYTHONPATH", "PYTHONUTF8", "PYTHONDONTWRITEBYTECODE")

_ONE_THREAD = {"OMP_NUM_THREADS": "1"}
SETTINGS: tuple[dict[str, str], ...] = (
    {},
    _ONE_THREAD,  # of a release
    {**_ONE_THREAD, "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},  # of a cost worker
)

# Starts in 20 ms: without site-packages, and without what the environment says of Python.
_CLIENT = """#!{python} -IS
import os, sys
words, served = sys.argv[1:], None
mine = {{k: v for k, v in os.environ.items() if k.startswith({prefixes!r}) and k not in {later!r}}}
address = next((address for settings, address in {addresses!r} if settings == mine), None)
if {command!r} == "dvc":
    words.insert(0, "dvc")
    usual = [{python!r}, "-m", *words]
    warm = os.environ.get("HOME") == {home!r}  # libgit2 reads it at its start
else:
    usual = [{python!r}, *words]
    name = words[1] if words[:1] == ["-m"] else "mlops.serving"
    warm = name.startswith("mlops.") and not name.startswith("mlops.serving")
    warm = warm or words[:1] == ["-P"] or words[:1] == ["engine/examples/loop.py"]
if address and warm:
    import json, signal, socket
    try:
        served = socket.socket(socket.AF_UNIX)
        served.connect(address)
    except OSError:
        served = None
if served is None:
    os.execv({python!r}, usual)
umask = os.umask(0)
os.umask(umask)
asked = {{"words": words, "cwd": os.getcwd(), "env": dict(os.environ), "umask": umask}}
message = json.dumps(asked).encode()
socket.send_fds(served, [len(message).to_bytes(4, "big")], [0, 1, 2])
served.sendall(message)
def tell(number, frame):
    served.send(bytes([number]))
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, tell)
if len(told := served.recv(4)) < 4:
    sys.exit("the process that starts warm Pythons has died")
code = int.from_bytes(told, "big", signed=True)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


@functools.cache
def warm_environment() -> Path:
    """Make the folder, with `bin` as in this virtual environment, and start what is behind it.

    It lasts as long as this process. Only Linux can wait for a process as it can for a socket;
    elsewhere, the folder is the virtual environment itself.
    """
    if not hasattr(os, "pidfd_open"):
        return Path(sys.prefix)
    folder = Path(tempfile.mkdtemp(prefix="warm"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "bin").mkdir()
    for path in Path(sys.executable).parent.iterdir():
        if path.name != "dvc" and not path.name.startswith("python"):
            (folder / "bin" / path.name).symlink_to(path)
    plain = {k: v for k, v in os.environ.items() if not k.startswith(_READ_AT_START)}
    kept = {k: v for k, v in os.environ.items() if k.startswith(("LC_", "LD_"))}
    addresses = [
        (kept | own, str(folder / f"socket{number}")) for number, own in enumerate(SETTINGS)
    ]
    for command in ("python", "dvc"):
        client = folder / "bin" / command
        client.write_text(
            _CLIENT.format(
                python=sys.executable, command=command, addresses=addresses,
                prefixes=_READ_AT_START, later=_READ_LATER, home=os.environ.get("HOME"),
            )
        )  # fmt: skip
        client.chmod(0o755)
    (folder / "bin/python3").symlink_to("python")
    servers = [_start(plain | settings, address, folder) for settings, address in addresses]
    for server in servers:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
    return folder


def _start(environment: dict[str, str], address: str, folder: Path) -> "subprocess.Popen[bytes]":
    server = subprocess.Popen(
        [sys.executable, __file__, address, folder / "bin/python"],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert server.stdin is not None
    atexit.register(server.wait, 10)
    atexit.register(server.stdin.close)  # called first: the server ends by it
    return server


def serve(address: str, client: str) -> None:
    """Fork for each request until the standard input ends."""
    for library in LIBRARIES:
        importlib.import_module(library)
    path = sys.path[1:]
    selector = selectors.DefaultSelector()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    selector.register(listener, selectors.EVENT_READ)
    selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
    print("ready", flush=True)
    while True:  # until the tests end
        for key, _ in selector.select():
            if key.fileobj is listener:
                connection, _ = listener.accept()
                if (asked := _receive(connection)) is None:
                    connection.close()
                    continue
                request, files = asked
                if not (child := os.fork()):
                    _become(request, files, path, client)
                for file in files:
                    os.close(file)
                ended = os.pidfd_open(child)
                selector.register(connection, selectors.EVENT_READ, child)
                selector.register(ended, selectors.EVENT_READ, (child, connection))
            elif key.fileobj == sys.stdin.fileno():
                return
            elif isinstance(key.data, int):  # a signal for the child, or its client is dead
                with contextlib.suppress(OSError):  # it has just ended
                    told = key.fileobj.recv(1)  # type: ignore[union-attr]
                    os.kill(key.data, told[0] if told else signal.SIGKILL)
                    if not told:
                        selector.unregister(key.fileobj)
            else:
                child, connection = key.data
                _, status = os.waitpid(child, 0)
                code = os.waitstatus_to_exitcode(status)
                with contextlib.suppress(OSError):
                    connection.sendall(code.to_bytes(4, "big", signed=True))
                with contextlib.suppress(KeyError):
                    selector.unregister(connection)
                selector.unregister(key.fileobj)
                os.close(key.fd)
                connection.close()


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    size, files, _, _ = socket.recv_fds(connection, 4, 3)
    wanted = int.from_bytes(size, "big")
    message = connection.recv(wanted, socket.MSG_WAITALL) if wanted else b""
    if not message or len(message) < wanted:
        for file in files:
            os.close(file)
        return None
    return json.loads(message), files


def _become(request: dict[str, Any], files: list[int], path: list[str], client: str) -> None:
    """Be the command, as if Python had just started for it; ends this process."""
    code: Any = 1
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.closerange(3, 1024)
        os.chdir(request["cwd"])
        os.umask(request["umask"])
        os.environ.clear()
        os.environ.update(request["env"])
        given = [p for p in request["env"].get("PYTHONPATH", "").split(os.pathsep) if p]
        sys.path[:] = [*map(os.path.abspath, given), *path]
        sys.path_importer_cache.clear()
        sys.executable = client
        code = _run(*request["words"])
    except SystemExit as error:
        code = 0 if error.code is None else error.code
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except KeyboardInterrupt:
        traceback.print_exc()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code & 0xFF)


def _run(kind: str, *words: str) -> Any:
    if kind == "dvc":
        sys.argv = [kind, *words]
        return importlib.import_module("dvc.cli").main()
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # dvc's libraries have wrapped them
    sys.argv = [*words]
    if kind == "-m":
        sys.path.insert(0, os.getcwd())
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    elif kind == "-P":
        runpy.run_path(words[0], run_name="__main__")
    else:
        sys.path.insert(0, str(Path(kind).parent.absolute()))
        sys.argv.insert(0, kind)
        runpy.run_path(kind, run_name="__main__")
    return 0


if __name__ == "__main__":
    serve(*sys.argv[1:])
