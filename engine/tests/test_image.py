"""The serving image, built and run by a real engine."""

import json
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clones import copy, edit_params, environment, run
from containers import (
    LOCAL,
    PINNED,
    Built,
    base_options,
    build,
    container,
    docker,
    engine_variables,
    unavailable,
    wait_for,
)
from mlops.errors import UserError
from mlops.release.container_engine import find_engine
from mlops.release.smoke import LOCKED_DOWN
from mlops.release.smoke_checks import get
from paths import SOURCES
from served import make_bundle, small_model

VERSION = '{{index .Config.Labels "org.opencontainers.image.version"}}'
QUESTION = "/predict?size=1500&rooms=6"
RIGHTLESS = [option for option in LOCKED_DOWN if "publish" not in option]


def smoke(built: Built, image: str, wanted: int = 0, commit: str | None = None) -> str:
    command = f"python -m mlops.release.smoke {image} --commit {commit or built.commit}"
    return run(built.repository, command, wanted, PYTHONPATH=SOURCES, **engine_variables())


def layers(image: str, folder: Path) -> list[list[tarfile.TarInfo]]:
    """List what an image's layers hold, the base's first."""
    docker("save", image, "--output", str(folder / "image.tar"))
    with tarfile.open(folder / "image.tar") as saved:
        saved.extractall(folder, filter="data")
    (manifest,) = json.loads((folder / "manifest.json").read_text())
    found = []
    for name in manifest["Layers"]:
        with tarfile.open(folder / name) as layer:
            found.append(layer.getmembers())
    return found


def test_the_image_passes_its_smoke_test_and_answers_as_the_pipeline_predicts(built: Built) -> None:
    assert "returns the evaluated predictions" in smoke(built, built.tag)

    script = (
        "import pandas as pd; from mlops.bundle import load_model; from pathlib import Path;"
        "from project.schema import SCHEMA; names = [c.name for c in SCHEMA.features];"
        "row = pd.DataFrame([{'size': 1500, 'rooms': 6}], columns=names);"
        "print(load_model(Path('artifacts/bundle')).predict(row)[0])"
    )
    wanted = float(run(built.repository, f'python -c "{script}"', PYTHONPATH=SOURCES))
    with container(built.tag, *RIGHTLESS) as (_, address):
        wait_for(address, "/health/ready")
        assert get(address + QUESTION)[1]["predicted_price"] == pytest.approx(wanted, rel=1e-9)
        assert get(address + "/model")[1]["git_commit"] == built.commit


def test_the_image_says_what_is_in_it_and_runs_without_a_shell_or_root(built: Built) -> None:
    config = json.loads(built.inspect("{{json .Config}}"))

    manifest = json.loads((built.repository / "artifacts/bundle/manifest.json").read_text())
    labels = config["Labels"]
    assert labels["org.opencontainers.image.revision"] == built.commit
    assert labels["org.opencontainers.image.version"] == manifest["model_version"]
    metrics = {name: m["value"] for name, m in manifest["evaluation"]["metrics"].items()}
    assert json.loads(labels["io.github.mlops-loop.metrics"]) == metrics
    data = json.loads(labels["io.github.mlops-loop.data"])
    assert data["test"]["sha256"] == manifest["data"]["test"]["sha256"]
    assert config["User"] == "10001:10001"
    assert config["Cmd"][0] == "python", "the server itself gets the signals"
    assert config["Healthcheck"]["Test"][0] == "CMD"


def test_a_layer_holds_libraries_code_or_model_and_nothing_else(
    built: Built, tmp_path: Path
) -> None:
    ours = layers(built.tag, tmp_path)[1:]

    libraries, code, model = ([entry.name for entry in layer] for layer in ours)
    assert {name.split("/")[0] for name in libraries} == {"opt"}
    assert {"/".join(name.split("/")[:2]) for name in code} == {
        "app",
        "app/mlops",
        "app/project",
        "data",
    }
    manifest = json.loads((built.repository / "artifacts/bundle/manifest.json").read_text())
    files = {f"app/bundle/{name}" for name in ["manifest.json", *manifest["engine_files"]]}
    assert set(model) == {"app", "app/bundle"} | files
    for name in [*libraries, *code]:
        assert not re.search(r"/tests(/|$)|\.(pem|crt|key|parquet|csv|joblib|pyi)$", name), name
        assert not re.search(r"site-packages/(pip|dvc|pandas|pandera|sklearn|scipy)/", name), name
        assert not re.search(r"mlops/(review|monitoring|release)", name), name
    for entry in [entry for layer in ours for entry in layer]:
        assert entry.mtime == 315532800, f"{entry.name}: not the constant time"
        assert entry.uid == 0
        assert entry.name == "data" or entry.issym() or not entry.mode & 0o022, entry.name


def test_the_same_commit_gives_the_same_image_anywhere(built: Built, tmp_path: Path) -> None:
    elsewhere = copy(built.repository, tmp_path / "elsewhere")
    run(elsewhere, "find src artifacts/bundle -type f -exec touch {} + -exec chmod go+w {} +")

    build(elsewhere, f"{LOCAL}:again", "--no-cache")

    assert Built(f"{LOCAL}:again", elsewhere, built.commit).inspect() == built.inspect()


def test_a_new_model_changes_one_small_layer(built: Built, tmp_path: Path) -> None:
    changed = copy(built.repository, tmp_path / "changed")
    edit_params(changed, {"models.hist_gradient_boosting.max_iter": 60})
    run(changed, "dvc repro && git commit -qam 'Fewer trees'")

    build(changed, f"{LOCAL}:changed")

    old = json.loads(built.inspect("{{json .RootFS.Layers}}"))
    new = json.loads(Built(f"{LOCAL}:changed", changed, "").inspect("{{json .RootFS.Layers}}"))
    assert new[:-1] == old[:-1]
    assert new[-1] != old[-1]
    layer = layers(f"{LOCAL}:changed", tmp_path)[-1]
    assert sum(entry.size for entry in layer) < 2_000_000
    found = smoke(built, f"{LOCAL}:changed", wanted=1)  # against the other bundle's evaluation
    assert "model_version" in found
    assert "a batch: row 0" in found


def test_an_image_of_a_dirty_work_tree_says_so(built: Built, tmp_path: Path) -> None:
    dirty = copy(built.repository, tmp_path / "dirty")
    (dirty / "engine/mlops/serving/page.css").write_text("body { color: red }\n")

    assert "can't be released" in build(dirty, f"{LOCAL}:dirty")

    wanted = f"{built.commit}-dirty"
    found = Built(f"{LOCAL}:dirty", dirty, wanted).inspect("{{json .Config.Labels}}")
    assert json.loads(found)["org.opencontainers.image.revision"] == wanted
    assert f"found {wanted}" in smoke(built, f"{LOCAL}:dirty", wanted=1)


def test_a_bundle_that_is_not_the_locked_one_is_not_built(built: Built, tmp_path: Path) -> None:
    swapped = copy(built.repository, tmp_path / "swapped")
    file = swapped / "artifacts/bundle/leaves.npy"
    content, times = bytearray(file.read_bytes()), file.stat()
    content[-1] ^= 1
    file.unlink()
    file.write_bytes(content)
    run(swapped, f"touch --date=@{times.st_mtime} artifacts/bundle/leaves.npy")

    found = build(swapped, f"{LOCAL}:swapped", wanted=1)

    assert "The bundle is not the one that dvc.lock records" in found


def test_without_an_engine_the_message_says_what_was_looked_for(tmp_path: Path) -> None:
    nowhere = f"unix://{tmp_path}/none.sock"
    done = subprocess.run(
        [sys.executable, "-m", "mlops.release.image"],
        env={"PATH": str(tmp_path), "DOCKER_HOST": nowhere, "PYTHONPATH": SOURCES},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    with pytest.raises(UserError, match="No container engine found") as caught:
        find_engine(["no-such-engine", "false"])
    assert caught.value.problems == ("no-such-engine: not installed", "false: failed")


# Inside a container, as CI may be, neither limits of one's own nor crun can be had.
_OWN_ENGINE = """
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:8192"]
[engine]
runtime = "runc"
"""
_OWN_STORAGE = '[storage]\ndriver = "overlay"\ngraphroot = "{0}/kept"\nrunroot = "{0}/run"\n'


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Path]:
    """Give a folder for an engine's images; what the engine mounts there ends with the test."""
    folder = tmp_path / "storage"
    (folder / "kept/overlay").mkdir(parents=True)
    yield folder
    while f" {folder}/" in Path("/proc/mounts").read_text():
        run(folder, "umount kept/overlay")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["podman", "buildah"])
def test_the_image_is_built_without_docker_too(
    built: Built, name: str, storage: Path, tmp_path: Path
) -> None:
    if shutil.which(name) is None:
        unavailable(f"not installed: {name}")
    tag = PINNED.split("@")[0]
    docker("save", tag, "--output", str(tmp_path / "base.tar"))
    (tmp_path / "storage.conf").write_text(_OWN_STORAGE.format(storage))
    (tmp_path / "containers.conf").write_text(_OWN_ENGINE)
    others = tmp_path / "others"
    others.mkdir()
    for other in {"docker", "podman", "buildah"} - {name}:
        (others / other).write_text("#!/bin/sh\nexit 1\n")
        (others / other).chmod(0o755)
    own = {
        "PATH": f"{others}:{environment()['PATH']}",
        "PYTHONPATH": SOURCES,
        "CONTAINERS_STORAGE_CONF": str(tmp_path / "storage.conf"),
        "CONTAINERS_CONF": str(tmp_path / "containers.conf"),
    }
    run(tmp_path, f"{name} pull --quiet docker-archive:base.tar", **own)

    options = f"--pull=never --isolation=chroot --build-context={PINNED}=container-image://"
    told = run(
        built.repository,
        f"python -m mlops.release.image {options}localhost/{tag}",
        **own,
    )

    assert f"image: mlops: model {built.inspect(VERSION)}, commit {built.commit}" in told
    if name == "podman":
        command = f"python -m mlops.release.smoke mlops --commit {built.commit}"
        assert "returns the evaluated predictions" in run(built.repository, command, **own)


@pytest.mark.slow
def test_a_model_without_exported_form_is_served_pickled(built: Built, tmp_path: Path) -> None:
    folder = copy(built.repository, tmp_path / "pickled")
    make_bundle(folder / "artifacts/bundle", small_model(), engine="joblib")
    libraries = "--build-arg=REQUIREMENTS=requirements-serve-joblib.txt"

    docker("build", "--quiet", f"--tag={LOCAL}:pickled", libraries, *base_options(), str(folder))

    with container(f"{LOCAL}:pickled", *RIGHTLESS) as (_, address):
        wait_for(address, "/health/ready")
        assert get(address + "/model")[1]["engine"] == "joblib"
        assert get(address + QUESTION)[0] == 200


BROKEN = {
    "a file of the model altered": ("RUN sed -i s/1/2/ /app/bundle/form.json", "its hash differs"),
    "a model that predicts otherwise": (
        "RUN sed -i 's/served, \\*own/served, [1 + v for v in own[0]], own[1]/' "
        "/app/mlops/serving/service.py && rm -r /app/mlops/serving/__pycache__",
        "row 0: found",
    ),
    "bad input answered": (
        "RUN sed -i 's/else 422$/else 200/' /app/mlops/gateway/refusals.py "
        "&& rm -r /app/mlops/gateway/__pycache__",
        "bad input: found 200, wanted 422",
    ),
    "a signal that is not heard": (
        "RUN sed -i 's/if sig != signal.SIGTERM or/return\\n        if/' "
        "/app/mlops/serving/__main__.py && rm -r /app/mlops/serving/__pycache__",
        "stopped after 1",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_the_smoke_test_finds(fault: str, built: Built, tmp_path: Path) -> None:
    line, told = BROKEN[fault]
    file = tmp_path / "Dockerfile"
    file.write_text(f"FROM {built.tag}\nUSER 0\n{line}\nUSER 10001\n")
    docker("build", "--quiet", f"--tag={LOCAL}:broken", str(tmp_path))

    assert told in smoke(built, f"{LOCAL}:broken", wanted=1)


def test_a_container_killed_for_memory_comes_back_once_it_has_enough(built: Built) -> None:
    small = ("--memory=20m", "--memory-swap=20m", "--restart=always")
    with container(built.tag, *small) as (name, address):
        for _ in range(600):
            if int(docker("inspect", "--format={{.RestartCount}}", name)):
                break
            time.sleep(0.1)
        else:
            raise AssertionError("never killed")
        docker("update", "--memory=256m", "--memory-swap=256m", name)
        port = docker("port", name, "8000", wanted=None).rpartition(":")[2]
        wait_for(f"http://127.0.0.1:{port}" if port.isdigit() else address, "/health/ready")


def test_a_full_disk_is_told_and_predictions_are_refused_or_counted(built: Built) -> None:
    full = "--mount=type=tmpfs,destination=/data,tmpfs-size=64k"
    with container(built.tag, *RIGHTLESS, full) as (_, address):
        wait_for(address, "/health/live")
        for _ in range(2000):
            status, answer = get(address + QUESTION)
            if status != 200:
                break
        assert status == 503, answer
        assert get(address + "/health/ready")[0] == 503
        assert get(address + "/health/live")[0] == 200
    with container(built.tag, full, "--env=SERVE_LOG_FAILURE=answer") as (_, address):
        wait_for(address, "/health/live")
        assert {get(address + QUESTION)[0] for _ in range(300)} == {200}


def test_a_database_that_is_away_leaves_the_container_alive_and_not_ready(built: Built) -> None:
    away = "--env=PREDICTION_LOG_URL=postgresql://nobody@127.0.0.1:9/none"
    with container(built.tag, *RIGHTLESS, away) as (_, address):
        wait_for(address, "/health/live")
        assert get(address + "/health/ready")[0] == 503
        assert get(address + QUESTION)[0] == 503
