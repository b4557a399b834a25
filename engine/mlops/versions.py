"""List the released models, newest first, and the changes in each.

`python -m mlops.versions [--url http://127.0.0.1:8000]` reads the git tags that a release creates,
the parameters of their commits, and their metrics if DVC's cache or remote still has them; with
`--url`, it marks the version served there. To roll back: docs/release.md.
"""

import argparse
import json
import subprocess
import urllib.request
from http.client import HTTPException
from typing import Any

import yaml

from mlops.errors import UserError, run_command
from mlops.paths import METRICS
from mlops.review.checkouts import git
from mlops.review.differences import params_diff
from mlops.typed_yaml import parse_yaml

TAG = "model-"


def released(revision: str) -> list[tuple[str, str, str]]:
    """List tag, commit and date of the releases up to a revision, newest first."""
    form = "%(refname:short) %(objectname) %(*objectname) %(creatordate:short)"
    listed = git(
        "for-each-ref", "--sort=-creatordate", f"--merged={revision}", f"--format={form}",
        f"refs/tags/{TAG}*",
    )  # fmt: skip
    found = []
    for line in listed.splitlines():
        tag, *commits, day = line.split()
        found.append((tag, commits[-1], day))
    return found


def metrics_of_tags() -> dict[str, dict[str, Any]]:
    """Return the metrics of each tag, as far as DVC's cache or remote has them."""
    run = subprocess.run(
        ["dvc", "metrics", "show", "--all-tags", "--json"], capture_output=True, text=True
    )
    listed = json.loads(run.stdout or "{}")
    files = {tag: found.get("data", {}) for tag, found in listed.items()}
    return {tag: found.get(METRICS.as_posix(), {}).get("data", {}) for tag, found in files.items()}


def served_at(url: str) -> str:
    """Return the model version that a server serves.

    Raises:
        UserError: the server doesn't report one.
    """
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/model", timeout=10) as answer:
            return str(json.load(answer)["model_version"])
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{url}: reports no model version: {error}") from error


def params_at(commit: str) -> dict[str, Any]:
    """Read params.yaml of a commit.

    Raises:
        UserError: the file is not plain YAML.
    """
    try:
        content: dict[str, Any] = parse_yaml(git("show", f"{commit}:params.yaml"))
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"params.yaml at {commit}: {error}") from error
    return content


def describe(commit: str, before: str | None, metrics: dict[str, Any]) -> list[str]:
    """Return lines with a release's metrics and its changes of parameters."""
    known = [k for k, v in metrics.items() if isinstance(v, int | float) and k != "rows"]
    lines = [
        ", ".join(f"{name} {metrics[name]:,.5g}" for name in known)
        or "metrics: not available locally"
    ]
    if before is None:
        return lines
    changes = params_diff(params_at(before), params_at(commit))
    lines += [f"{path}: {old} -> {new}" for path, old, new in changes]
    return [*lines, f"{metrics['rows']} test rows"] if "rows" in metrics else lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m mlops.versions", description=__doc__)
    parser.add_argument("--url", help="address of a server: mark the version that it serves")
    serving = (url := parser.parse_args().url) and served_at(url)
    found = released("HEAD")
    if not found:
        raise UserError(
            "No model has been released: no tag model-… exists",
            advice="A release on GitHub creates one; fetch them: git fetch --tags",
        )
    metrics = metrics_of_tags()
    for place, (tag, commit, day) in enumerate(found):
        before = found[place + 1][1] if place + 1 < len(found) else None
        mark = f"  <- {url}" if tag == f"{TAG}{serving}" else ""
        print(f"{tag}  {day}  {commit[:10]}{mark}")
        for line in describe(commit, before, metrics.get(tag, {})):
            print(f"  {line}")


if __name__ == "__main__":
    run_command(main)
