"""A container engine and a registry for tests, and an image of the reproduced repository.

Without an engine the tests are skipped, saying why; where IMAGE_TESTS=required, they fail.
"""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from clones import copy, run
from mlops.errors import UserError
from mlops.release.container_engine import find_engine
from mlops.release.smoke_checks import get
from paths import ROOT, SOURCES

PINNED = re.findall(r"^FROM (\S+@\S+) AS base", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0]

LOCAL = f"mlops-test-{os.getpid()}"
"""Name of images that tests make; of this process alone, for others may share the engine."""


def docker(*arguments: str, wanted: int | None = 0, **variables: str) -> str:
    """Run docker; give what it prints, without the last line feed."""
    ended = subprocess.run(
        ["docker", *arguments],
        capture_output=True, text=True, timeout=300, env=os.environ | variables,
    )  # fmt: skip
    assert wanted is None or ended.returncode == wanted, ended.stderr + ended.stdout
    return (ended.stdout if ended.returncode == 0 else ended.stderr).strip()


def unavailable(why: str) -> NoReturn:
    """Skip a test, or fail where none may be skipped."""
    if os.environ.get("IMAGE_TESTS") == "required":
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="session")
def engine() -> Iterator[str]:
    """Give docker, if it works here; take away what tests have built."""
    try:
        found = find_engine(["docker"])
    except UserError as error:
        unavailable(str(error))
    yield found
    if names := docker("images", "--format={{.Repository}}:{{.Tag}}", LOCAL).split():
        docker("image", "rm", "--force", *names)


def base_options() -> list[str]:
    """Let the base's tag stand for the pinned digest where that can't be had."""
    have = [
        docker("image", "inspect", name, wanted=None) for name in (PINNED, PINNED.split("@")[0])
    ]
    if have[0].startswith("[") or not have[1].startswith("["):
        return []
    return [f"--build-context={PINNED}=docker-image://{PINNED.split('@')[0]}"]


def build(repository: Path, tag: str, *options: str, wanted: int = 0) -> str:
    """Build the image of a repository by the command that people use."""
    words = " ".join([f"--tag={tag}", "--quiet", *base_options(), *options])
    command = f"python -m mlops.release.image {words}"
    return run(repository, command, wanted, PYTHONPATH=SOURCES, **engine_variables())


def engine_variables() -> dict[str, str]:
    """Give what a clone's commands need to find the engine."""
    names = ("DOCKER_HOST", "DOCKER_CONFIG", "IMAGE_TESTS")
    return {name: os.environ[name] for name in names if name in os.environ}


@dataclass(frozen=True)
class Built:
    """An image, and the repository that it was built of."""

    tag: str
    repository: Path
    commit: str

    def inspect(self, form: str = "{{.Id}}") -> str:
        return docker("image", "inspect", f"--format={form}", self.tag)


@pytest.fixture(scope="session")
def built(engine: str, reproduced: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build the image once; tests only read it or run it."""
    repository = copy(reproduced, tmp_path_factory.mktemp("image") / "repository")
    tag = f"{LOCAL}:built"
    build(repository, tag)
    return Built(tag, repository, run(repository, "git rev-parse HEAD").strip())


@contextmanager
def container(image: str, *options: str) -> Iterator[tuple[str, str]]:
    """Run a container until the block ends; give its id and its address."""
    name = docker("run", "--detach", "--publish=127.0.0.1::8000", *options, image)
    try:
        port = docker("port", name, "8000", wanted=None).rpartition(":")[2]
        yield name, f"http://127.0.0.1:{port}"
    finally:
        docker("rm", "--force", "--volumes", name)


def wait_for(address: str, path: str, status: int = 200, seconds: float = 60) -> Any:
    """Ask until the answer has this status; give its content."""
    end, last = time.monotonic() + seconds, None
    while time.monotonic() < end:
        try:
            last = get(address + path)
            if last[0] == status:
                return last[1]
        except OSError as error:
            last = error
        time.sleep(0.05)
    raise AssertionError(f"{path}: wanted {status}, last was {last}")


def free_port() -> int:
    """Find a port that nothing listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


USER, PASSWORD = "publisher", "a password for tests"

_REGISTRY = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
auth: {{htpasswd: {{realm: test, path: {folder}/users}}}}
"""


class Registry:
    """Debian's registry on loopback; it wants a password for everything."""

    def __init__(self, folder: Path) -> None:
        wanted = ("docker-registry", "htpasswd", "cosign")
        if missing := [program for program in wanted if not shutil.which(program)]:
            unavailable(f"not installed: {', '.join(missing)}")
        self.folder, self.port = folder, free_port()
        self.host = f"127.0.0.1:{self.port}"
        folder.mkdir(parents=True, exist_ok=True)
        users = subprocess.run(
            ["htpasswd", "-Bbn", USER, PASSWORD], capture_output=True, text=True, check=True
        )
        (folder / "users").write_text(users.stdout)
        (folder / "settings.yml").write_text(_REGISTRY.format(folder=folder, port=self.port))
        self._command = ["docker-registry", "serve", str(folder / "settings.yml")]

    def start(self) -> None:
        """Serve, on the same port each time."""
        with (self.folder / "log").open("a") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self) -> None:
        """Be down."""
        self._process.kill()
        self._process.wait()

    def digest(self, name: str, tag: str) -> str | None:
        """Give what a tag refers to."""
        path = self.folder / "data/docker/registry/v2/repositories" / name
        link = path / "_manifests/tags" / tag / "current/link"
        return link.read_text() if link.exists() else None


@pytest.fixture
def registry(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """Serve a registry that this test, and nobody else, is logged in to."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    served = Registry(tmp_path / "registry")
    served.start()
    try:
        login(served)
        yield served
    finally:
        served.stop()


def login(registry: Registry, password: str = PASSWORD, wanted: int = 0) -> None:
    """Log in as workflows do."""
    ended = subprocess.run(
        ["docker", "login", registry.host, "--username", USER, "--password-stdin"],
        input=password, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ended.returncode == wanted, ended.stderr
