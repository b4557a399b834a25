"""Object storage that fails in the middle: said and not believed, and the next run heals.

Between DVC and the storage of test_remote.py stands a proxy on loopback that spoils its answers.
"""

import http.client
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from mlops.errors import UserError
from mlops.fetch import fetch
from mlops.review.checkouts import reproduce
from storages import Storage, in_bucket
from test_remote import HONEST, SECONDS, clone, commit, object_of, start


class Spoiling(ThreadingHTTPServer):
    """Pass requests on to the storage, and spoil the answers of those that ask for an object."""

    daemon_threads = True
    block_on_close = False
    fault = ""

    def __init__(self, storage: tuple[str, int]) -> None:
        self.storage = storage
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Spoiling
    protocol_version = "HTTP/1.1"  # else nobody answers who asks whether to go on

    def answer(self) -> None:
        fault = self.server.fault
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        passed = http.client.HTTPConnection(*self.server.storage, timeout=SECONDS)
        passed.request(
            self.command, self.path, body, {k: v for k, v in self.headers.items() if k != "Expect"}
        )
        got = passed.getresponse()
        content, status = got.read(), got.status
        if fault == "stalls":
            time.sleep(1.5)
        if fault.isdigit():
            status, content = int(fault), b""
        self.send_response(status)
        for name, value in got.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        length = len(content) if self.command != "HEAD" else got.headers.get("Content-Length", 0)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        cut = fault == "is cut" and self.command == "GET" and "list-type" not in self.path
        self.wfile.write(content[: len(content) // 2] if cut else content)
        self.close_connection = True

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815  http.server's names

    def log_message(self, *message: object) -> None:
        pass


@pytest.fixture(scope="module")
def proxy() -> Iterator[Spoiling]:
    storage = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    storage.start()
    host, port = storage.get_host_and_port()
    with Spoiling((host, port)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join(20)
    storage.stop()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose model is in its cache and in no storage."""
    folder = tmp_path_factory.mktemp("made") / "repository"
    start(folder)
    reproduce(folder)
    commit(folder)
    return folder


@pytest.fixture
def storage(proxy: Spoiling, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """An empty bucket; what fails in it is asked for once and given a second."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    proxy.fault = ""
    found = in_bucket(f"http://127.0.0.1:{proxy.server_port}")
    return replace(found, settings=f"{found.settings}read_timeout = 1\n")


def push(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["dvc", "push"], cwd=folder, capture_output=True, text=True, timeout=SECONDS
    )


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["403", "500", "is cut", "stalls"])
def test_a_storage_that_fails_is_said_and_nothing_of_it_is_believed(
    fault: str, made: Path, storage: Storage, proxy: Spoiling, tmp_path: Path
) -> None:
    storage.write(f"{storage.url.rpartition('/')[2]}/{object_of(HONEST)}", HONEST)
    victim = clone(made, tmp_path / "victim", storage)
    kept = victim / ".dvc/cache" / object_of(HONEST)

    proxy.fault = fault
    with pytest.raises(UserError, match="The storage of data and models failed") as failed:
        fetch(victim)

    assert failed.value.problems, "with its cause"
    assert not kept.exists()
    proxy.fault = ""
    fetch(victim)
    assert kept.read_bytes() == HONEST


@pytest.mark.parametrize("fault", ["403", "500"])
def test_a_push_that_fails_ends_so_and_the_next_one_brings_all(
    fault: str, made: Path, storage: Storage, proxy: Spoiling, tmp_path: Path
) -> None:
    owner = clone(made, tmp_path / "owner", storage)
    shutil.copytree(made / ".dvc/cache", owner / ".dvc/cache")

    proxy.fault = fault
    assert push(owner).returncode != 0
    proxy.fault = ""
    done = push(owner)

    assert done.returncode == 0, done.stderr
    assert any(name.endswith(object_of(HONEST)) for name in storage.names())
