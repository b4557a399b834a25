"""Storage of each kind that DVC_REMOTE_URL may name, on loopback and by its real protocol.

S3 by moto, Azure by Azurite, SSH by OpenSSH's own server, HTTP by Python's over a folder.
"""

import base64
import contextlib
import http.server
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncssh
import boto3
import pytest
from azure.storage.blob import ContainerClient
from moto.server import ThreadedMotoServer

from mlops.remote import connect


@dataclass(frozen=True)
class Storage:
    """A remote on loopback, and how its owner, or an intruder, writes into it behind DVC's back.

    Attributes:
        settings: what those who have rights set as DVC_REMOTE_SETTINGS.
        wrong: what those who have none would; empty where anyone may.
        pushed_to: the URL for those who write, where `url` is only read from.
    """

    url: str
    settings: str
    wrong: str
    names: Callable[[], list[str]]
    write: Callable[[str, bytes], object]
    remove: Callable[[str], object]
    pushed_to: str = ""

    def connect(self, folder: Path) -> None:
        connect(folder, self.url, self.settings)

    def connect_owner(self, folder: Path) -> None:
        connect(folder, self.pushed_to or self.url, "" if self.pushed_to else self.settings)

    def of_hash(self, md5: str) -> str:
        """Name the file that holds the bytes of this hash."""
        (name,) = [n for n in self.names() if n.endswith(f"files/md5/{md5[:2]}/{md5[2:]}")]
        return name


def in_folder(url: str, folder: Path, settings: str = "", wrong: str = "", to: str = "") -> Storage:
    folder.mkdir()
    folder.chmod(0o777)  # whoever serves it

    def names() -> list[str]:
        return [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]

    def write(name: str, content: bytes) -> None:
        (folder / name).unlink(missing_ok=True)  # DVC leaves it read-only
        (folder / name).write_bytes(content)

    return Storage(url, settings, wrong, names, write, lambda name: (folder / name).unlink(), to)


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

    settings = (
        f"endpointurl = {address}\nregion = us-east-1\naccess_key_id = x\nsecret_access_key = y\n"
    )
    return Storage(
        f"s3://models/{folder}",
        settings,
        "",
        names,
        lambda name, content: client.put_object(Bucket="models", Key=name, Body=content),
        lambda name: client.delete_object(Bucket="models", Key=name),
    )


def in_container(port: int, account: str, key: str) -> Storage:
    def settings(key: str) -> str:
        address = f"http://127.0.0.1:{port}/{account}"
        return (
            f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};"
            f"BlobEndpoint={address};"
        )

    client = ContainerClient.from_connection_string(settings(key), uuid.uuid4().hex)
    client.create_container()
    return Storage(
        f"azure://{client.container_name}/models",
        f"connection_string = {settings(key)}",
        f"connection_string = {settings(base64.b64encode(b'another').decode())}",
        lambda: list(client.list_blob_names()),
        lambda name, content: client.upload_blob(name, content, overwrite=True),
        client.delete_blob,
    )


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def started(port: int, *command: str, **options: object) -> Iterator[None]:
    """Run a server on this port until the block ends."""
    with tempfile.TemporaryFile("w+") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, **options)  # type: ignore[call-overload]
        try:
            for _ in range(300):
                if server.poll() is not None:
                    break
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                time.sleep(0.1)
            output.seek(0)
            assert server.poll() is None, output.read()
            yield
        finally:
            server.kill()
            server.wait()


def program(name: str, package: str) -> str:
    """Find a program, or skip the test and say what to install."""
    found = shutil.which(name, path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if not found:
        pytest.skip(f"there is no {name} on PATH: install {package}")
    return found


Made = Callable[[], Storage]
"""Gives storage that nothing is in yet."""


@contextmanager
def folders(place: Path) -> Iterator[Made]:
    def made() -> Storage:
        folder = place / uuid.uuid4().hex
        return in_folder(str(folder), folder)

    yield made


@contextmanager
def s3(place: Path) -> Iterator[Made]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield lambda: in_bucket(f"http://{host}:{port}")
    finally:
        server.stop()


@contextmanager
def azure(place: Path) -> Iterator[Made]:
    azurite = program("azurite-blob", "npm's azurite")
    port, account, key = free_port(), "models", base64.b64encode(secrets.token_bytes(64)).decode()
    command = f"{azurite} --blobPort {port} --inMemoryPersistence --silent --skipApiVersionCheck"
    known = os.environ | {"AZURITE_ACCOUNTS": f"{account}:{key}"}
    with started(port, *command.split(), "--disableTelemetry", cwd=place, env=known):
        yield lambda: in_container(port, account, key)


@contextmanager
def ssh(place: Path) -> Iterator[Made]:
    """OpenSSH's server as an account without privileges, with keys of its own."""
    sshd, port = program("sshd", "openssh-server"), free_port()
    host, own, other = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(3))
    for name, key in (("host", host), ("own", own), ("other", other)):
        key.write_private_key(place / name)
        (place / name).chmod(0o600)
    own.write_public_key(place / "authorized")
    (place / "config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {place}/host\nPidFile none\nUsePAM yes\n"
        f"AuthorizedKeysFile {place}/authorized\nAuthenticationMethods publickey\nStrictModes no\n"
        "Subsystem sftp internal-sftp\nForceCommand internal-sftp\n"
    )
    options, user = {}, pwd.getpwuid(os.geteuid()).pw_name
    if os.geteuid() == 0:
        user = "nobody"
        options = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
        shutil.chown(place / "host", user)

    def made() -> Storage:
        settings = [f"user = {user}\nkeyfile = {place}/{key}\n" for key in ("own", "other")]
        folder = place / uuid.uuid4().hex
        return in_folder(f"ssh://127.0.0.1:{port}{folder}", folder, *settings)

    with started(port, sshd, "-D", "-e", "-f", str(place / "config"), cwd="/", **options):
        yield made


class Reading(http.server.SimpleHTTPRequestHandler):
    """Give files to those who know the token; nobody can write, or list a folder."""

    protocol_version = "HTTP/1.1"

    def send_head(self):  # type: ignore[no-untyped-def]
        if self.headers["X-Token"] != "secret":
            return self.send_error(401)
        return super().send_head()

    def list_directory(self, path: object) -> None:
        self.send_error(403)

    def log_message(self, *message: object) -> None:
        pass


@contextmanager
def web(place: Path) -> Iterator[Made]:
    handler = partial(Reading, directory=str(place))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()

        def made() -> Storage:
            own = "auth = custom\ncustom_auth_header = X-Token\npassword = "
            folder = place / uuid.uuid4().hex
            url = f"http://127.0.0.1:{server.server_port}/{folder.name}"
            return in_folder(url, folder, f"{own}secret\n", f"{own}guess\n", str(folder))

        try:
            yield made
        finally:
            server.shutdown()
            thread.join(20)


KINDS: dict[str, Callable[[Path], contextlib.AbstractContextManager[Made]]] = {
    "folder": folders,
    "s3": s3,
    "azure": azure,
    "ssh": ssh,
    "http": web,
}


@pytest.fixture(scope="module", params=KINDS)
def storages(request: pytest.FixtureRequest) -> Iterator[Made]:
    """Serve one kind of storage."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)  # who serves it may be another user
        with KINDS[request.param](Path(name)) as made:
            yield made


@pytest.fixture
def storage(storages: Made, monkeypatch: pytest.MonkeyPatch) -> Storage:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    return storages()
