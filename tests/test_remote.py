"""Data and models in real storage: what an attacker who can write there gets us to believe.

Each test runs on a folder, on object storage (S3's protocol, by moto) and over SSH (by asyncssh),
all on loopback. The pipeline is a toy, for DVC is what is held to its word here.
"""

import asyncio
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import boto3
import pytest
import yaml
from dvc.config import Config
from moto.server import ThreadedMotoServer

from mlops.errors import BadInput
from mlops.remote import CONFIG, connect
from mlops.review.sides import base_tree, git, reproduce

ROOT = Path(__file__).parent.parent
SECONDS = 120
HONEST, EVIL = b"an honest model\n", b"an evil model!!\n"
PIPELINE = """
stages:
  train:
    cmd: touch trained; cat data > model
    deps: [data]
    outs: [model]
"""


@dataclass(frozen=True)
class Storage:
    """A remote on loopback, and how its owner, or an intruder, writes into it behind DVC's back."""

    url: str
    settings: str
    names: Callable[[], list[str]]
    write: Callable[[str, bytes], object]


def in_folder(url: str, settings: str, folder: Path) -> Storage:
    def names() -> list[str]:
        return [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]

    def write(name: str, content: bytes) -> None:
        (folder / name).unlink(missing_ok=True)  # DVC leaves it read-only
        (folder / name).write_bytes(content)

    return Storage(url, settings, names, write)


def in_bucket(address: str) -> Storage:
    client = boto3.client(
        "s3",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="y",
    )
    client.create_bucket(Bucket="models")
    folder = uuid.uuid4().hex  # DVC remembers between runs what it saw at an address

    def names() -> list[str]:
        listed = client.list_objects_v2(Bucket="models", Prefix=folder).get("Contents", [])
        return [entry["Key"] for entry in listed]

    def write(name: str, content: bytes) -> None:
        client.put_object(Bucket="models", Key=name, Body=content)

    settings = (
        f"endpointurl = {address}\nregion = us-east-1\naccess_key_id = x\nsecret_access_key = y\n"
    )
    return Storage(f"s3://models/{folder}", settings, names, write)


@contextmanager
def sftp(folder: Path) -> Iterator[int]:
    """Serve a folder over SSH until the block ends, and give the port."""

    class Anyone(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == ("dvc", "secret")

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=Anyone,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(folder)),
        )

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(20)
    try:
        yield server.get_port()
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


@pytest.fixture(params=["folder", "s3", "ssh"])
def storage(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Storage]:
    folder = tmp_path / "storage"
    folder.mkdir()
    if request.param == "folder":
        yield in_folder(str(folder), "", folder)
    elif request.param == "ssh":
        with sftp(folder) as port:
            settings = "user = dvc\npassword = secret\n"
            yield in_folder(f"ssh://127.0.0.1:{port}/", settings, folder)
    else:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        yield in_bucket(f"http://{host}:{port}")
        server.stop()


def dvc(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["dvc", *arguments], cwd=folder, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def commit(folder: Path) -> None:
    git("add", "--all", root=folder)
    git("-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-qm", "x", root=folder)


def start(folder: Path) -> None:
    """Make a repository with the toy pipeline and our own DVC settings."""
    (folder / ".dvc").mkdir(parents=True)
    shutil.copy(ROOT / ".dvc/config", folder / ".dvc/config")
    shutil.copy(ROOT / ".dvc/.gitignore", folder / ".dvc/.gitignore")
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "data").write_bytes(HONEST)
    (folder / ".gitignore").write_text("/trained\n")
    git("init", "--quiet", "--initial-branch=main", root=folder)


@pytest.fixture
def published(tmp_path: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose model is in the storage, and our own DVC settings."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    folder = tmp_path / "published"
    start(folder)
    connect(folder, storage.url, storage.settings)
    reproduce(folder)
    dvc(folder, "push")
    commit(folder)
    return folder


def clone(published: Path, folder: Path, storage: Storage) -> Path:
    git("clone", "--quiet", str(published), str(folder))
    connect(folder, storage.url, storage.settings)
    return folder


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def object_of(content: bytes) -> str:
    return f"files/md5/{md5(content)[:2]}/{md5(content)[2:]}"


def test_a_model_comes_from_the_storage_and_is_not_trained_again(
    published: Path, storage: Storage, tmp_path: Path
) -> None:
    victim = clone(published, tmp_path / "victim", storage)

    reproduce(victim)

    assert (victim / "model").read_bytes() == HONEST
    assert not (victim / "trained").exists()
    assert git("status", "--porcelain", root=victim) == ""


def test_other_bytes_under_a_models_name_are_not_taken_but_named_and_made_anew(
    published: Path, storage: Storage, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (name,) = [name for name in storage.names() if name.endswith(object_of(HONEST))]
    storage.write(name, EVIL)
    victim = clone(published, tmp_path / "victim", storage)

    reproduce(victim)

    assert (victim / "model").read_bytes() == HONEST
    assert (victim / "trained").exists()
    assert f"the storage lacks model with hash {md5(HONEST)}" in capfd.readouterr().err
    kept = victim / ".dvc/cache" / object_of(HONEST)
    assert kept.read_bytes() == HONEST


def poison(published: Path, storage: Storage, folder: Path) -> bytes:
    """Say in the storage's run cache that training on certain rows gives the evil model."""
    rows = b"rows of tomorrow\n"
    intruder = clone(published, folder, storage)
    (intruder / "data").write_bytes(rows)
    dvc(intruder, "repro")
    (entry,) = [
        path
        for path in (intruder / ".dvc/cache/runs").rglob("*")
        if path.is_file() and yaml.safe_load(path.read_text())["deps"][0]["md5"] == md5(rows)
    ]
    said = yaml.safe_load(entry.read_text())
    said["outs"][0] |= {"md5": md5(EVIL), "size": len(EVIL)}
    entry.chmod(0o644)
    entry.write_text(yaml.safe_dump(said))
    evil = intruder / ".dvc/cache" / object_of(EVIL)
    evil.parent.mkdir(exist_ok=True)
    evil.write_bytes(EVIL)
    (intruder / "model").unlink()
    (intruder / "model").write_bytes(EVIL)
    dvc(intruder, "commit", "--force")
    dvc(intruder, "push", "--run-cache")
    return rows


def test_what_a_poisoned_run_cache_says_is_not_believed(
    published: Path, storage: Storage, tmp_path: Path
) -> None:
    rows = poison(published, storage, tmp_path / "intruder")
    careless = clone(published, tmp_path / "careless", storage)
    (careless / "data").write_bytes(rows)
    dvc(careless, "repro", "--pull")
    assert (careless / "model").read_bytes() == EVIL, "the attack itself must work"
    victim = clone(published, tmp_path / "victim", storage)
    (victim / "data").write_bytes(rows)

    reproduce(victim)

    assert (victim / "model").read_bytes() == rows
    assert (victim / "trained").exists()


def test_the_base_in_its_second_work_tree_uses_the_same_storage(
    published: Path, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = clone(published, tmp_path / "victim", storage)
    monkeypatch.chdir(victim)

    with base_tree(git("rev-parse", "HEAD", root=victim)) as root:
        reproduce(root)

        assert (root / "model").read_bytes() == HONEST
        assert not (root / "trained").exists()


@pytest.mark.slow
def test_a_storage_that_is_down_stops_the_review_and_says_so(
    published: Path, storage: Storage, tmp_path: Path
) -> None:
    victim = clone(published, tmp_path / "victim", storage)
    nowhere = "endpointurl = http://127.0.0.1:9\nregion = us-east-1\n"
    keys = "access_key_id = x\nsecret_access_key = y"
    connect(victim, f"s3://{uuid.uuid4().hex}", nowhere + keys)

    with pytest.raises(BadInput, match="Could not connect"):
        reproduce(victim)

    connect(victim, storage.url, storage.settings)
    reproduce(victim)
    assert (victim / "model").read_bytes() == HONEST


@pytest.mark.parametrize(
    "settings", ["verify = false", "url = s3://evil", "no equals sign", "a b = c"]
)
def test_settings_neither_move_the_storage_nor_switch_its_check_off(
    settings: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="line 2: wanted option = value"):
        connect(tmp_path, "s3://models", f"region = us-east-1\n{settings}")

    assert not (tmp_path / CONFIG).exists()


def test_credentials_are_for_their_owner_alone_and_stay_as_they_are(tmp_path: Path) -> None:
    hard = "p\"a=s's#;,w"
    connect(tmp_path, "ssh://host/path", f"password = {hard}")

    assert (tmp_path / CONFIG).stat().st_mode & 0o077 == 0
    git("init", "--quiet", root=tmp_path)
    shutil.copy(ROOT / ".dvc/config", tmp_path / ".dvc/config")
    config = Config(dvc_dir=str(tmp_path / ".dvc"))
    assert config["remote"]["storage"]["password"] == hard
    assert config["remote"]["storage"]["verify"] is True
    assert config["remote"]["storage"]["url"] == "ssh://host/path"
