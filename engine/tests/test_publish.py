"""Publishing to a real registry: what its tags refer to, whatever fails on the way."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clones import copy, run
from containers import LOCAL, Built, Registry, build, docker, login
from mlops.errors import UserError
from mlops.release import publish
from mlops.release.labels import Contents
from mlops.release.note import commands, release_note
from mlops.release.publish import promote, push

NAME = "acme/demo"


@pytest.fixture
def history(built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with one more commit behind the built image's, as the current folder."""
    folder = copy(built.repository, tmp_path / "history")
    run(folder, "git commit -q --allow-empty -m 'One more'")
    monkeypatch.chdir(folder)
    return folder


def newer(history: Path) -> str:
    build(history, f"{LOCAL}:newer")
    return f"{LOCAL}:newer"


def test_a_pushed_image_has_its_commit_as_its_only_tag_until_it_is_promoted(
    built: Built, registry: Registry, history: Path
) -> None:
    address = push("docker", built.tag, f"{registry.host}/{NAME}")

    digest = address.partition("@")[2]
    assert registry.digest(NAME, f"sha-{built.commit}") == digest
    assert registry.digest(NAME, "latest") is None

    note, moved = promote("docker", address)

    model = json.loads(built.inspect("{{json .Config.Labels}}"))["org.opencontainers.image.version"]
    assert moved == [f"model-{model}", "latest"]
    assert {registry.digest(NAME, tag) for tag in moved} == {digest}
    assert f"docker pull {address}" in note
    assert "The first model" in note


def test_latest_goes_forward_and_never_backwards(
    built: Built, registry: Registry, history: Path
) -> None:
    name = f"{registry.host}/{NAME}"
    old, new = push("docker", built.tag, name), push("docker", newer(history), name)

    _, first = promote("docker", new)
    _, second = promote("docker", old)  # the run of an older commit is repeated

    assert "latest" in first
    assert second == []
    assert registry.digest(NAME, "latest") == new.partition("@")[2]
    assert promote("docker", new)[1] == first, "a repeated run ends as the first did"


def test_a_release_of_an_unrelated_history_moves_nothing(
    built: Built, registry: Registry, history: Path
) -> None:
    address = push("docker", built.tag, f"{registry.host}/{NAME}")
    promote("docker", address)
    run(history, "git checkout -q --orphan other && git commit -qm 'Another history'")
    other = push("docker", newer(history), f"{registry.host}/{NAME}")
    run(history, "git reflog expire --expire=now --all; git branch -D main; git gc -q --prune=now")

    with pytest.raises(UserError, match="is not in the history of"):
        promote("docker", other)

    assert registry.digest(NAME, "latest") == address.partition("@")[2]


def test_an_image_of_a_dirty_work_tree_is_not_pushed(
    built: Built, registry: Registry, tmp_path: Path
) -> None:
    dirty = copy(built.repository, tmp_path / "dirty")
    (dirty / "engine/mlops/extra.py").write_text("")
    build(dirty, f"{LOCAL}:dirty")

    with pytest.raises(UserError, match="uncommitted changes"):
        push("docker", f"{LOCAL}:dirty", f"{registry.host}/{NAME}")

    assert not (registry.folder / "data").exists()


def test_a_registry_that_refuses_the_login_gets_nothing(built: Built, registry: Registry) -> None:
    docker("logout", registry.host)
    login(registry, "a wrong password", wanted=1)

    with pytest.raises(UserError, match="push"):
        push("docker", built.tag, f"{registry.host}/{NAME}")

    assert registry.digest(NAME, f"sha-{built.commit}") is None


def test_a_registry_that_is_down_is_told_and_a_repeated_push_heals(
    built: Built, registry: Registry, history: Path
) -> None:
    registry.stop()
    with pytest.raises(UserError, match="push"):
        push("docker", built.tag, f"{registry.host}/{NAME}")
    registry.start()

    address = push("docker", built.tag, f"{registry.host}/{NAME}")
    registry.stop()
    with pytest.raises(UserError):  # it can't be asked what is latest: nothing moves
        promote("docker", address)
    registry.start()

    assert registry.digest(NAME, "latest") is None
    assert "latest" in promote("docker", address)[1]


@contextmanager
def dying(registry: Registry, after: int) -> Iterator[str]:
    """Stand before the registry, pass so many bytes on to it, and then cut every connection."""
    server, left = socket.create_server(("127.0.0.1", 0)), [after]

    def forward(source: socket.socket, target: socket.socket, counts: bool) -> None:
        try:
            while data := source.recv(65536):
                left[0] -= len(data) if counts else 0
                if left[0] < 0:
                    break
                target.sendall(data)
        except OSError:
            pass
        finally:
            for one in (source, target):
                one.close()

    def accept() -> None:
        while True:
            try:
                client, _ = server.accept()
                upstream = socket.create_connection(("127.0.0.1", registry.port))
            except OSError:
                return
            for pair in ((client, upstream, True), (upstream, client, False)):
                threading.Thread(target=forward, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.close()


def test_a_registry_that_dies_in_mid_push_leaves_no_tag(
    built: Built, registry: Registry, history: Path
) -> None:
    with dying(registry, after=5_000_000) as host:
        # The engine keeps logins by address.
        settings = Path(os.environ["DOCKER_CONFIG"]) / "config.json"
        auths = json.loads(settings.read_text())["auths"]
        settings.write_text(json.dumps({"auths": {host: auths[registry.host], **auths}}))
        with pytest.raises(UserError, match="push"):
            push("docker", built.tag, f"{host}/{NAME}")

    assert registry.digest(NAME, f"sha-{built.commit}") is None
    address = push("docker", built.tag, f"{registry.host}/{NAME}")
    assert "latest" in promote("docker", address)[1]


def test_an_image_of_somebody_else_is_refused(engine: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nLABEL maker=other\n")
    docker("build", "--quiet", f"--tag={LOCAL}:foreign", str(tmp_path))

    with pytest.raises(UserError, match="has no label"):
        push("docker", f"{LOCAL}:foreign", "127.0.0.1:9/acme/demo")


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("docker.io/acme/demo", "acme/demo"),
        ("docker.io/library/demo", "demo"),
        ("ghcr.io/acme/demo", "ghcr.io/acme/demo"),
    ],
)
def test_the_digest_is_found_under_the_name_that_the_engine_gives_it(
    name: str, listed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = f"other/demo@sha256:1\n{listed}@sha256:2"
    monkeypatch.setattr(publish, "ask", lambda *command: digests if "inspect" in command else "")

    assert publish._push("docker", "image", f"{name}:tag") == f"{name}@sha256:2"

    monkeypatch.setattr(publish, "ask", lambda *command: "other/demo@sha256:1")
    with pytest.raises(UserError, match=f"no digest of {name}"):
        publish._push("docker", "image", f"{name}:tag")


def contents(**changes: object) -> Contents:
    known = {
        "commit": "a" * 40,
        "model": "b" * 12,
        "model_sha256": "c" * 64,
        "data": {"train": {"rows": 10}, "test": {"rows": 5}},
        "metrics": {"rmse": 10.0},
        "params": {"max_iter": 60, "seed": 0},
    }
    return Contents(**(known | changes))  # type: ignore[arg-type]


def test_a_note_shows_what_changed_since_the_release_before() -> None:
    new = contents(metrics={"rmse": 9.5}, params={"max_iter": 80, "seed": 0, "added": 1})

    note = release_note("registry/name@sha256:0", new, contents(model="d" * 12))

    assert "Before: model dddddddddddd." in note
    assert "| rmse | 10.0 | **9.5** |" in note
    assert "| max_iter | 60 | **80** |" in note
    assert "| seed | 0 | 0 |" in note
    assert "| added |  | **1** |" in note


def test_labels_give_back_what_was_written() -> None:
    assert Contents.of_labels(contents().labels()) == contents()


def test_the_note_says_how_to_verify_what_the_owner_or_the_workflow_signed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://git.example")
    monkeypatch.setenv("GITHUB_REPOSITORY", NAME)
    monkeypatch.delenv("COSIGN_PUBLIC_KEY", raising=False)
    home = f"https://git.example/{NAME}"
    assert f"={home}/.github/workflows/release.yml@refs/heads/main " in commands("image@sha256:0")

    monkeypatch.setenv("COSIGN_PUBLIC_KEY", "a key")
    verify = commands("image@sha256:0").splitlines()[2]
    assert verify.startswith("$ cosign verify --key=env://COSIGN_PUBLIC_KEY ")
    assert "certificate" not in verify
