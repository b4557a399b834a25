"""Command canary: promote or withdraw the canary on Kubernetes, based on the monitor's report.

Both releases serve a share of the same traffic and write to one prediction log. A canary whose
accuracy fell is withdrawn; one whose accuracy held on enough feedback replaces the old release;
otherwise it keeps running. Exit code: 0 promoted or waiting, 1 withdrawn or not judged.
"""

import argparse
from pathlib import Path
from typing import Any

from mlops.errors import UserError, run_command
from mlops.files import read_json
from mlops.paths import MONITOR
from mlops.release.container_engine import ask

STABLE, CANARY, CONTAINER = "deployment/mlops", "deployment/mlops-canary", "api"
ADVICE = "Run the monitor in a checkout of its commit: dvc pull, python -m mlops.monitoring"


def decide(report: dict[str, Any], model: str) -> tuple[str, str]:
    """Return "promote", "withdraw" or "wait", and the reason.

    Raises:
        UserError: the report is for another model.
    """
    if report["model_version"] != model:
        found = report["model_version"]
        raise UserError(f"the report is for model {found}, wanted {model}", advice=ADVICE)
    labelled, wanted = report["labelled"], report["parameters"]["min_rows"]
    if report["accuracy_fell"]:
        return "withdraw", f"its accuracy fell, based on {labelled} rows with feedback"
    if report["verdict"] == "act":  # both models get the same inputs: not the canary's fault
        return "wait", "fix the input data first: " + report["reasons"][0]["text"]
    if labelled < wanted:
        return "wait", f"{labelled} of its predictions have feedback, wanted {wanted}"
    return "promote", f"its accuracy has not fallen, based on {labelled} rows with feedback"


def act(verdict: str, seconds: int) -> None:
    """Apply the decision to the cluster.

    Raises:
        UserError: kubectl fails, or the promoted release doesn't become ready: the canary then
            keeps running, and `kubectl rollout undo` restores the old release.
    """
    if verdict == "promote":
        path = f"{{.spec.template.spec.containers[?(@.name=='{CONTAINER}')].image}}"
        image = ask("kubectl", "get", CANARY, f"--output=jsonpath={path}")
        ask("kubectl", "set", "image", STABLE, f"{CONTAINER}={image}")
        ask("kubectl", "rollout", "status", STABLE, f"--timeout={seconds}s")
    if verdict in ("promote", "withdraw"):
        ask("kubectl", "scale", CANARY, "--replicas=0")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mlops.release.canary", description=__doc__)
    parser.add_argument("model", help="version of the canary's model, from the release note")
    parser.add_argument("--report", type=Path, default=MONITOR / "report.json")
    parser.add_argument("--timeout", type=int, default=300, help="seconds to wait for the new pods")
    options = parser.parse_args()
    if not options.report.is_file():
        raise UserError(f"{options.report}: missing", advice=ADVICE)
    report = read_json(options.report)
    verdict, why = decide(report, options.model)
    act(verdict, options.timeout)
    print(f"canary: {verdict}: {why}")
    return int(verdict == "withdraw")


if __name__ == "__main__":
    run_command(main)
