"""The API as a process: it starts or says why not, stops without loss, takes a new bundle."""

import contextlib
import json
import os
import pickle
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest

from databases import logged
from load import Load, wait_for
from mlops.bundle import MANIFEST
from mlops.errors import UserError
from mlops.inference.loaded_model import Served
from mlops.serving.settings import read_settings, settings_table
from paths import PYTHONPATH, ROOT
from project.schema import SCHEMA
from served import ROW, Process, make_bundle, running, small_model

ENDS = int(os.environ.get("MLOPS_KILLS", "50"))
"""How often the slow test ends a server."""

HALVES = (
    b"",
    b"GET /predict HTTP/1.1\r\nhost: x\r\n",
    b"GET / HTTP/1.1\r\nx: " + b"a" * 9000,
    b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{",
)
"""What clients send that never finish."""


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("other") / "bundle"
    make_bundle(folder, small_model(learning_rate=0.3))
    return folder


def end_under_load(bundle: Path, url: str, answers: int) -> None:
    """Send SIGTERM once so many requests are answered; hold what was answered against the log."""
    with running(bundle, url) as server, Load(server.port) as load:
        wait_for(lambda: len(load.acknowledged) > answers)
        code, output = server.end(signal.SIGTERM)
    assert code in (0, 143, -signal.SIGTERM), output
    assert load.statuses == {200}
    assert load.acknowledged.items() <= logged(url).items()


def test_sigterm_answers_what_is_under_way_and_loses_nothing(bundle: Path, tmp_path: Path) -> None:
    end_under_load(bundle, f"sqlite:///{tmp_path}/log.db", 50)


@pytest.mark.slow
def test_sigterm_at_fifty_moments_loses_nothing(bundle: Path, tmp_path: Path) -> None:
    for number in range(ENDS):
        end_under_load(bundle, f"sqlite:///{tmp_path}/log.db", 20 + 7 * number)


def test_while_draining_clients_are_sent_away_and_none_is_cut_off(bundle: Path) -> None:
    drain = {"SERVE_DRAIN_SECONDS": "2"}
    with running(bundle, **drain) as server, Load(server.port, stays=False) as load:
        wait_for(lambda: len(load.acknowledged) > 50)
        server.end(signal.SIGTERM)
    assert load.statuses == {200}
    assert load.unanswered == 0
    assert sum(b"connection: close" in answer.head for answer in load.answers) == 8


def test_while_draining_a_connection_ends_after_its_next_answer(bundle: Path) -> None:
    ask = f"GET /predict?{urlencode(ROW)} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
    with running(bundle, SERVE_DRAIN_SECONDS="60") as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
            client.sendall(ask)
            assert b"connection: close" not in client.recv(10_000)
            server.process.send_signal(signal.SIGTERM)
            answer = b""
            while b"connection: close" not in answer:  # within a second
                client.sendall(ask)
                answer = client.recv(10_000)
            ended = client.recv(10_000) == b""
        server.process.send_signal(signal.SIGTERM)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"predicted_price" in answer
    assert ended


def test_while_draining_it_answers_and_is_not_ready(bundle: Path) -> None:
    with running(bundle, SERVE_DRAIN_SECONDS="3") as server:
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: server.ask("GET", "/health/ready")[0] == 503, 2)
        assert server.ask("POST", "/predict", {"rows": [ROW]})[0] == 200
        server.process.send_signal(signal.SIGTERM)  # a second one waits no longer
        server.process.wait(10)


def test_a_new_bundle_is_taken_without_dropping_a_request(
    bundle: Path, other: Path, tmp_path: Path
) -> None:
    served = tmp_path / "bundle"
    shutil.copytree(bundle, served)
    with running(served, SERVE_RELOAD_SECONDS="0.1") as server:
        first = server.ask("GET", "/predict?size=1500&rooms=6")[1]
        with Load(server.port, 4) as load:
            shutil.rmtree(served)
            (tmp_path / "new").mkdir()
            shutil.copytree(other, tmp_path / "new" / "bundle")
            (tmp_path / "new" / "bundle").rename(served)
            wanted = json.loads((other / MANIFEST).read_text())["model_version"]
            wait_for(lambda: server.ask("GET", "/model")[1]["model_version"] == wanted)
            # A bundle that is at fault never takes a good one's place.
            (served / "masks.npy").write_bytes(b"cut")
            os.utime(served / MANIFEST)
            time.sleep(0.5)
        second = server.ask("GET", "/predict?size=1500&rooms=6")[1]
    assert load.statuses == {200}
    assert load.unanswered == 0
    assert second["model_version"] == wanted != first["model_version"]
    assert second["predicted_price"] != first["predicted_price"]


def fault(folder: Path, kind: str) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    if kind == "missing":
        shutil.rmtree(folder)
    elif kind == "half":
        (folder / "masks.npy").unlink()
    elif kind == "tampered":
        with (folder / "form.json").open("r+b") as file:
            file.seek(100)
            file.write(b"7")
    elif kind == "manifest":
        (folder / MANIFEST).write_text(json.dumps(manifest)[:-200])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "no bundle found"),
        ("half", "masks.npy: missing"),
        ("tampered", "form.json: its hash differs from the recorded one"),
        ("manifest", "can't be read"),
    ],
)
def test_a_faulty_bundle_ends_the_start_with_its_cause(
    bundle: Path, tmp_path: Path, kind: str, message: str
) -> None:
    shutil.copytree(bundle, tmp_path / "bundle")
    fault(tmp_path / "bundle", kind)
    code, output = Process(tmp_path / "bundle", "none").end(signal.SIGCONT)
    assert code == 1
    assert message in output
    assert "dvc repro export" in output
    assert "Traceback" not in output


def test_another_schema_and_other_libraries_are_refused(tmp_path: Path) -> None:
    model = small_model()
    make_bundle(tmp_path / "a", model, columns=[])
    with pytest.raises(UserError, match="made for another"):
        Served.read(tmp_path / "a", SCHEMA)
    make_bundle(tmp_path / "b", model, engine_libraries={"treelite": "0.1"})
    with pytest.raises(UserError, match=r"treelite: found .*, wanted 0\.1"):
        Served.read(tmp_path / "b", SCHEMA)


def test_no_flipped_byte_and_no_cut_is_ever_served(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(bundle, folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    for name in manifest["engine_files"]:
        whole = (folder / name).read_bytes()
        for place in range(0, len(whole), max(1, len(whole) // 60)):
            flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
            for content in (flipped, whole[:place]):
                (folder / name).write_bytes(content)
                with pytest.raises(UserError):
                    Served.read(folder, SCHEMA)
        (folder / name).write_bytes(whole)
    assert Served.read(folder, SCHEMA).version == manifest["model_version"]


def test_a_pickle_bomb_is_never_unpickled(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle", small_model(), engine="joblib")
    mark = tmp_path / "ran"
    bomb = type("Bomb", (), {"__reduce__": lambda self: (os.mkdir, (str(mark),))})
    globals()["Bomb"] = bomb
    (tmp_path / "bundle" / "model.joblib").write_bytes(pickle.dumps(bomb.__reduce__(None)))
    with pytest.raises(UserError):
        Served.read(tmp_path / "bundle", SCHEMA)
    assert not mark.exists()


def test_wrong_settings_end_the_start_and_are_all_named(bundle: Path) -> None:
    settings = {"SERVE_MAX_ROWS": "many", "SERVE_API_KEY": "short"}
    code, output = Process(bundle, "none", **settings).end(signal.SIGCONT)
    assert code == 1
    assert "SERVE_MAX_ROWS" in output
    assert "SERVE_API_KEY" in output
    assert "short" not in output.replace("at least", "")


def test_half_sent_requests_are_closed_and_harm_no_other(bundle: Path) -> None:
    with running(bundle, SERVE_READ_TIMEOUT="3") as server, contextlib.ExitStack() as stack:
        opened = []
        for head in HALVES * 225:  # with its own files, just below the usual limit of 1,024
            half = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            half.sendall(head)
            opened.append(half)
        for _ in range(20):
            assert server.ask("POST", "/predict", {"rows": [ROW]})[0] == 200
        assert not select.select(opened[:4], [], [], 0)[0], "they were still open meanwhile"
        for half in opened:
            half.settimeout(5)
            with contextlib.suppress(ConnectionResetError):
                while half.recv(4096):
                    pass
        assert server.ask("GET", "/predict?size=1500&rooms=6")[0] == 200


def test_endless_headers_are_cut_off(bundle: Path) -> None:
    with running(bundle) as server:
        flood = socket.create_connection(("127.0.0.1", server.port))
        with flood, contextlib.suppress(ConnectionError):
            flood.sendall(b"GET / HTTP/1.1\r\n")
            for number in range(20_000):
                flood.sendall(b"x-%d: %s\r\n" % (number, b"a" * 500))
            pytest.fail("ten megabytes of headers were taken")
        assert server.ask("GET", "/health/live")[0] == 200


# The image has no PyYAML, which uvicorn takes where it is there.
_SERVING = """
import sys; sys.modules["yaml"] = None
import asyncio
from mlops.serving.__main__ import Service, create_app, load_schema, read_settings
from mlops.serving.prometheus import Metrics

async def ask(method, path, query="", body=b""):
    statuses = []
    async def receive():
        return {"type": "http.request", "body": body}
    async def send(message):
        statuses.append(message.get("status"))
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode()}
    scope |= {"headers": [(b"content-length", b"%d" % len(body))] * bool(body)}
    await app(scope, receive, send)
    return statuses[0]

async def main():
    async with service.running():
        assert await ask("GET", "/predict", "size=1500&rooms=6") == 200
        assert await ask("HEAD", "/predict", "size=1500&rooms=6") == 200
        assert await ask("GET", "/predict", "size=-1") == 422
        assert await ask("POST", "/predict", body=b'{"rows": [{"size": 900, "rooms": 4}]}') == 200
        assert await ask("POST", "/v2/models/price/infer", body=b"{}") == 400
        for path in ("/health/live", "/health/ready", "/v2/health/ready", "/metrics"):
            assert await ask("GET", path) == 200
        print(*sys.modules, end="|")
        first = asyncio.create_task(ask("GET", "/model"))
        assert await ask("GET", "/docs") == await first == 200
        print("fastapi" in sys.modules)

schema = load_schema()
service = Service(read_settings(), schema, Metrics(schema))
app = create_app(service)
asyncio.run(main())
"""


def test_what_serves_imports_no_library_of_training_and_fastapi_only_for_rare_requests(
    bundle: Path, tmp_path: Path
) -> None:
    log = f"sqlite:///{tmp_path}/log.db"
    run = subprocess.run(
        [sys.executable, "-c", _SERVING],
        env=os.environ
        | {"PYTHONPATH": PYTHONPATH, "SERVE_BUNDLE": str(bundle), "PREDICTION_LOG_URL": log},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    usual, afterwards = run.stdout.split("|")
    imported = usual.split()
    assert {name for name in imported if name.startswith("starlette")} <= {
        "starlette",
        "starlette.types",
    }
    unwanted = {"sklearn", "scipy", "pandas", "pandera", "joblib", "dvc", "treelite", "pyarrow"}
    assert (unwanted | {"fastapi", "sqlalchemy", "psycopg"}).isdisjoint(
        name.split(".")[0] for name in imported
    )
    assert afterwards.split()[-1] == "True"


def test_a_secret_may_come_from_a_file_and_a_variable_goes_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops.serving.settings.SECRETS", tmp_path)
    monkeypatch.delenv("SERVE_API_KEY", raising=False)
    assert read_settings().api_key is None
    (tmp_path / "serve_api_key").write_text("a key of a file's own\n")
    (tmp_path / "prediction_log_url").write_text("none\n")
    settings = read_settings()
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "a key of a file's own"
    assert settings.prediction_log_url == "none"

    monkeypatch.setenv("SERVE_API_KEY", "a key of the environment")
    settings = read_settings()
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "a key of the environment"

    monkeypatch.delenv("SERVE_API_KEY")
    for useless in ("", "short\n"):
        (tmp_path / "serve_api_key").write_text(useless)
        with pytest.raises(UserError, match="Invalid settings") as caught:
            read_settings()
        assert caught.value.problems[0].startswith("SERVE_API_KEY: ")


def test_all_invalid_settings_are_named_at_once_also_files_that_are_no_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops.serving.settings.SECRETS", tmp_path)
    (tmp_path / "serve_port").mkdir()  # as a container engine makes for a missing source
    (tmp_path / "serve_api_key").write_bytes(b"\xff\xfe" * 20)
    monkeypatch.setenv("SERVE_MAX_ROWS", "many")
    monkeypatch.setenv("serve_host", "0.0.0.0")

    with pytest.raises(UserError) as caught:
        read_settings()
    names = [problem.split(":")[0] for problem in caught.value.problems]
    assert names == ["SERVE_API_KEY", "SERVE_MAX_ROWS"]

    (tmp_path / "serve_api_key").unlink()
    monkeypatch.setenv("SERVE_MAX_ROWS", "7")
    settings = read_settings()
    assert (settings.port, settings.max_rows, settings.host) == (8000, 7, "0.0.0.0")


def test_the_documentation_has_every_setting() -> None:
    documented = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    assert settings_table() in documented, "run: python -m mlops.serving --settings"
