"""The container engine of this machine: docker, podman or buildah, whichever works."""

import json
import subprocess
from collections.abc import Sequence

from mlops.errors import UserError
from mlops.release.labels import Contents

BUILDS = ("docker", "podman", "buildah")
RUNS = ("docker", "podman")
_SECONDS = 20


def find_engine(names: Sequence[str] = RUNS) -> str:
    """Return the first of these programs that is installed and works.

    Raises:
        UserError: none does; the message gives the reason for each.
    """
    problems = []
    for name in names:
        try:
            run = subprocess.run([name, "info"], capture_output=True, text=True, timeout=_SECONDS)
        except FileNotFoundError:
            problems.append(f"{name}: not installed")
        except subprocess.TimeoutExpired:
            problems.append(f"{name}: no answer in {_SECONDS} s")
        else:
            if run.returncode == 0:
                return name
            problems.append(f"{name}: {(run.stderr.strip() or 'failed').splitlines()[-1]}")
    raise UserError(
        "No container engine found:",
        problems,
        "Install one of them, or start it: https://docs.docker.com/engine/install",
    )


def ask(*command: str) -> str:
    """Run a command and return its output.

    Raises:
        UserError: the command failed; the message has its error output.
    """
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        said = (run.stderr.strip() or run.stdout.strip()).splitlines()
        raise UserError(f"{' '.join(command[:3])}: exit code {run.returncode}", said)
    return run.stdout.strip()


def contents(engine: str, image: str) -> Contents:
    """Read the labels of a local image.

    Raises:
        UserError: the image was not built by this project.
    """
    labels = json.loads(ask(engine, "image", "inspect", "--format={{json .Config.Labels}}", image))
    try:
        return Contents.of_labels(labels or {})
    except KeyError as error:
        raise UserError(f"{image}: has no label {error}", advice="Build it: make image") from error
