"""Data and models in real storage: what an attacker who can write there gets us to believe.

Each test runs on storage of each kind (storages.py), all on loopback. The pipeline is a toy, for
DVC is what is held to its word here.
"""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from dvc.config import Config

from clones import environment
from mlops import remote
from mlops.errors import UserError
from mlops.remote import CONFIG, connect
from mlops.review.checkouts import base_tree, git, reproduce
from paths import ROOT
from storages import Storage, storage, storages  # noqa: F401

SECONDS = 120
HONEST, EVIL = b"an honest model\n", b"an evil model!!\n"
NOWHERE = (
    "endpointurl = http://127.0.0.1:9\nregion = us-east-1\naccess_key_id = x\nsecret_access_key = y"
)
PIPELINE = """
stages:
  train:
    cmd: touch trained; cat data > model; mkdir parts; cp data parts; echo rest > parts/rest
    deps: [data]
    outs: [model, parts]
"""


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
    monkeypatch.setenv("PATH", environment()["PATH"])
    folder = tmp_path / "published"
    start(folder)
    storage.connect_owner(folder)
    reproduce(folder)
    dvc(folder, "push")
    commit(folder)
    return folder


def clone(published: Path, folder: Path, storage: Storage, owner: bool = False) -> Path:
    git("clone", "--quiet", str(published), str(folder))
    storage.connect_owner(folder) if owner else storage.connect(folder)
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
    storage.write(storage.of_hash(md5(HONEST)), EVIL)
    victim = clone(published, tmp_path / "victim", storage)

    reproduce(victim)

    assert (victim / "model").read_bytes() == HONEST
    assert (victim / "trained").exists()
    assert f"missing from the storage: model with hash {md5(HONEST)}" in capfd.readouterr().err
    kept = victim / ".dvc/cache" / object_of(HONEST)
    assert kept.read_bytes() == HONEST


def test_a_folder_that_was_pushed_by_half_is_named_and_made_anew(
    published: Path, storage: Storage, tmp_path: Path
) -> None:
    storage.remove(storage.of_hash(md5(b"rest\n")))
    victim = clone(published, tmp_path / "victim", storage)

    lacking = reproduce(victim)

    assert lacking == ["parts"]
    assert (victim / "parts/rest").read_bytes() == b"rest\n"
    assert (victim / "trained").exists()


@pytest.mark.parametrize("storages", ["azure", "ssh", "http"], indirect=True)
def test_a_storage_that_refuses_stops_the_pipeline_and_says_so(
    published: Path, storage: Storage, tmp_path: Path
) -> None:
    victim = clone(published, tmp_path / "victim", storage)
    connect(victim, storage.url, storage.wrong)

    with pytest.raises(
        UserError, match=r"(?s)storage of data and models failed:.*(?i:auth|denied)"
    ):
        reproduce(victim)

    assert not (victim / "trained").exists()


def poison(published: Path, storage: Storage, folder: Path) -> bytes:
    """Say in the storage's run cache that training on certain rows gives the evil model."""
    rows = b"rows of tomorrow\n"
    intruder = clone(published, folder, storage, owner=True)
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


@pytest.mark.slow
def test_what_a_poisoned_run_cache_says_is_not_believed(
    published: Path, storage: Storage, tmp_path: Path
) -> None:
    rows = poison(published, storage, tmp_path / "intruder")
    careless = clone(published, tmp_path / "careless", storage, owner=True)
    (careless / "data").write_bytes(rows)
    dvc(careless, "repro", "--pull")
    assert (careless / "model").read_bytes() == EVIL, "the attack itself must work"
    victim = clone(published, tmp_path / "victim", storage)
    (victim / "data").write_bytes(rows)

    reproduce(victim)

    assert (victim / "model").read_bytes() == rows
    assert (victim / "trained").exists()


@pytest.mark.parametrize("storages", ["folder", "ssh"], indirect=True)
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
@pytest.mark.parametrize("storages", ["folder"], indirect=True)
@pytest.mark.parametrize(
    ("url", "settings"), [("s3://models", NOWHERE), ("http://127.0.0.1:9/models", "")]
)
def test_a_storage_that_is_down_stops_the_review_and_says_so(
    url: str, settings: str, published: Path, storage: Storage, tmp_path: Path
) -> None:
    victim = clone(published, tmp_path / "victim", storage)
    connect(victim, url, settings)

    with pytest.raises(UserError, match=r"(?i)could not connect|cannot connect"):
        reproduce(victim)

    storage.connect(victim)
    reproduce(victim)
    assert (victim / "model").read_bytes() == HONEST


@pytest.mark.parametrize(
    "settings", ["verify = false", "url = s3://evil", "no equals sign", "a b = c"]
)
def test_settings_neither_move_the_storage_nor_switch_its_check_off(
    settings: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="line 2: wanted OPTION = VALUE"):
        connect(tmp_path, "s3://models", f"region = us-east-1\n{settings}")

    assert not (tmp_path / CONFIG).exists()


def test_where_no_variable_reaches_the_committed_address_is_read_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_REMOTE_URL", raising=False)
    (tmp_path / ".dvc").mkdir()
    with pytest.raises(UserError, match="DVC_REMOTE_URL is not set"):
        remote.main()

    (tmp_path / remote.PUBLIC).write_text("https://data.example/models\n")
    remote.main()
    assert "url = https://data.example/models" in (tmp_path / remote.CONFIG).read_text()

    monkeypatch.setenv("DVC_REMOTE_URL", "s3://models")
    remote.main()
    assert "url = s3://models" in (tmp_path / remote.CONFIG).read_text(), "who has more takes it"

    monkeypatch.delenv("DVC_REMOTE_URL")
    for wrong in ("file:///etc", "ssh://host/x", "https://a b"):
        (tmp_path / remote.PUBLIC).write_text(wrong)
        with pytest.raises(UserError, match="wanted one https:// address"):
            remote.main()


def test_a_pull_requests_own_settings_of_dvc_neither_move_the_storage_nor_stop_its_check(
    tmp_path: Path,
) -> None:
    connect(tmp_path, "s3://models")
    (tmp_path / ".dvc/config").write_text(
        "[core]\nremote = evil\n['remote \"evil\"']\nurl = /evil\n"
        "['remote \"storage\"']\nurl = /evil\nverify = false\n"
    )

    config = Config(dvc_dir=str(tmp_path / ".dvc"))

    assert config["core"]["remote"] == "storage"
    assert config["remote"]["storage"]["url"] == "s3://models"
    assert config["remote"]["storage"]["verify"] is True


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
