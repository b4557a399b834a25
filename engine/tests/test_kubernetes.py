"""The Kubernetes manifests, held against the API's schemas as kustomize builds them; the canary."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from mlops.errors import UserError
from mlops.monitoring.decision import Decision, decide
from mlops.monitoring.log_reader import read_window
from mlops.monitoring.monitor_report import as_json
from mlops.release import canary
from paths import ROOT
from production import MANIFEST, NOW, PARAMS, VERSION, Log, reference, sales
from project.schema import SCHEMA
from standard import PRICES

KUBERNETES = ROOT / "deploy/kubernetes"
FOLDERS = sorted(path.parent.name for path in KUBERNETES.glob("*/kustomization.yaml"))
VERSIONS = ("1.30.0", "1.34.0")
"""The oldest and the newest API that the manifests are held against."""


def built(name: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Give what kustomize makes of a folder, by kind and name."""
    program = ["kustomize", "build"] if shutil.which("kustomize") else ["kubectl", "kustomize"]
    if not shutil.which(program[0]):
        pytest.skip("neither kustomize nor kubectl is installed")
    run = subprocess.run(
        [*program, str(KUBERNETES / name)], capture_output=True, text=True, check=True, timeout=60
    )
    documents = list(yaml.safe_load_all(run.stdout))
    return {(d["kind"], d["metadata"]["name"]): d for d in documents}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", FOLDERS)
def test_every_manifest_fits_the_schemas_of_the_api(name: str, version: str) -> None:
    for document in built(name).values():
        kubernetes_validate.validate(document, version, strict=True)


def test_a_manifest_with_a_misspelt_key_fits_no_schema() -> None:
    deployment = built("base")["Deployment", "mlops"]
    deployment["spec"]["strategi"] = deployment["spec"].pop("strategy")

    with pytest.raises(kubernetes_validate.ValidationError, match="strategi"):
        kubernetes_validate.validate(deployment, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("name", FOLDERS)
def test_every_pod_is_locked_down_limited_and_of_an_image_by_digest(name: str) -> None:
    for (kind, _), document in built(name).items():
        if kind != "Deployment":
            continue
        pod = document["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        assert "@sha256:" in container["image"]
        for variable in container.get("env", []):
            assert not {"PASS", "KEY"} & set(variable["name"].split("_"))


def test_the_api_gets_traffic_policy_and_budget_by_labels_that_its_pods_have() -> None:
    base, beside = built("base"), built("canary")
    deployments = [base["Deployment", "mlops"], beside["Deployment", "mlops-canary"]]

    for document in deployments:
        labels = document["spec"]["template"]["metadata"]["labels"]
        for selector in (
            base["Service", "mlops"]["spec"]["selector"],
            base["NetworkPolicy", "mlops"]["spec"]["podSelector"]["matchLabels"],
            base["PodDisruptionBudget", "mlops"]["spec"]["selector"]["matchLabels"],
            document["spec"]["selector"]["matchLabels"],
        ):
            assert selector.items() <= labels.items()
    # Each deployment counts its own pods, and only one of them is scaled.
    selectors = [document["spec"]["selector"]["matchLabels"] for document in deployments]
    assert selectors[0] != selectors[1]
    assert "replicas" not in deployments[0]["spec"]
    target = base["HorizontalPodAutoscaler", "mlops"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) in base
    assert list(beside) == [("Deployment", "mlops-canary")]


def test_an_update_waits_for_readiness_and_a_pod_that_ends_for_its_requests() -> None:
    spec = built("base")["Deployment", "mlops"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]

    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    drain = {e["name"]: e["value"] for e in container["env"]}["SERVE_DRAIN_SECONDS"]
    grace = spec["template"]["spec"]["terminationGracePeriodSeconds"]
    assert int(drain) + 15 < grace, "drain, then grace"


def test_dask_has_one_thread_a_worker_and_is_reached_by_its_clients_alone() -> None:
    made = built("dask")
    compose = yaml.safe_load((ROOT / "deploy/dask.yaml").read_text(encoding="utf-8"))

    def arguments(name: str) -> list[str]:
        pod = made["Deployment", f"dask-{name}"]["spec"]["template"]["spec"]
        return [
            text.replace("dask-scheduler", "scheduler") for text in pod["containers"][0]["args"]
        ]

    services = compose["services"]
    for name in ("scheduler", "worker"):
        assert arguments(name) == services[name]["command"]
    assert arguments("worker")[2:4] == ["--nthreads", "1"]
    assert services["scheduler"]["ports"] == ["127.0.0.1:8786:8786"]
    policy = made["NetworkPolicy", "dask"]["spec"]
    assert policy["podSelector"]["matchLabels"] == {"app": "dask"}
    assert all("podSelector" in peer for rule in policy["ingress"] for peer in rule["from"])


def judged(folder: Path, n_labelled: int, worse: float = 1.0, altered: float = 1.0) -> Decision:
    """Let the monitor judge a log of which the canary answered a part, with feedback."""
    rows = sales()
    log = Log(f"sqlite:///{folder}/log.db")
    asked = rows.iloc[1000:1600].assign(size=lambda found: found["size"] * altered)
    ids = log.predict(asked)
    log.tell(ids[:n_labelled], asked["price"].to_numpy()[:n_labelled] * worse)
    window = read_window(log.url, VERSION, SCHEMA, PARAMS.monitor, NOW)
    log.close()
    return decide(window, MANIFEST, reference(rows.iloc[:1000]), SCHEMA, PARAMS, PRICES)


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        ({"n_labelled": 300}, "promote"),
        ({"n_labelled": 10}, "wait"),
        ({"n_labelled": 300, "worse": 0.5}, "withdraw"),
        ({"n_labelled": 10, "altered": 10.0}, "wait"),
    ],
)
def test_the_monitor_decides_what_becomes_of_the_canary(
    seen: dict[str, Any], wanted: str, tmp_path: Path
) -> None:
    report = as_json(judged(tmp_path, **seen), PARAMS)

    verdict, why = canary.decide(report, VERSION)

    assert verdict == wanted, why


def test_a_report_of_another_model_decides_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the report is for model"):
        canary.decide(as_json(judged(tmp_path, 300), PARAMS), "another")


KUBECTL = """#!/bin/sh
echo "$@" >> "$0.calls"
case "$1" in get) echo registry/name@sha256:new ;; rollout) exit ${ROLLOUT:-0} ;; esac
"""


def command(folder: Path, seen: dict[str, Any], **variables: str) -> tuple[int, list[str]]:
    """Run the command beside a kubectl that writes down what it was asked."""
    (folder / "kubectl").write_text(KUBECTL)
    (folder / "kubectl").chmod(0o755)
    report = folder / "report.json"
    report.write_text(json.dumps(as_json(judged(folder, **seen), PARAMS)))
    run = subprocess.run(
        [sys.executable, "-m", "mlops.release.canary", VERSION, "--report", str(report)],
        env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"} | variables,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    calls = folder / "kubectl.calls"
    return run.returncode, calls.read_text().splitlines() if calls.exists() else []


def test_a_promoted_canary_takes_the_old_releases_place_before_it_goes(tmp_path: Path) -> None:
    code, calls = command(tmp_path, {"n_labelled": 300})

    assert code == 0
    assert [" ".join(call.split(" ")[:3]).partition(" --o")[0] for call in calls] == [
        "get deployment/mlops-canary",
        "set image deployment/mlops",
        "rollout status deployment/mlops",
        "scale deployment/mlops-canary --replicas=0",
    ]  # fmt: skip
    assert calls[1].endswith("api=registry/name@sha256:new")


def test_a_canary_stays_when_the_promoted_release_does_not_become_ready(tmp_path: Path) -> None:
    code, calls = command(tmp_path, {"n_labelled": 300}, ROLLOUT="1")

    assert code == 1
    assert not any(call.startswith("scale") for call in calls)


def test_a_withdrawn_canary_is_scaled_to_nothing_and_a_waiting_one_is_left(tmp_path: Path) -> None:
    (tmp_path / "worse").mkdir()
    (tmp_path / "few").mkdir()

    worse = command(tmp_path / "worse", {"n_labelled": 300, "worse": 0.5})
    few = command(tmp_path / "few", {"n_labelled": 10})

    assert worse == (1, ["scale deployment/mlops-canary --replicas=0"])
    assert few == (0, [])
