"""The container engine of this machine: docker, podman or buildah, whichever answers."""

import subprocess
from collections.abc import Sequence

from mlops.errors import BadInput

BUILDS = ("docker", "podman", "buildah")
RUNS = ("docker", "podman")
_SECONDS = 20


class Refused(Exception):
    """The engine ended with an error; the message is its own."""


def find_engine(names: Sequence[str] = RUNS) -> str:
    """Give the first of these programs that is installed and works.

    Raises:
        BadInput: none does; the message says of each why not.
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
    raise BadInput(
        "There is no container engine here:",
        problems,
        "Install one of them, or start it: https://docs.docker.com/engine/install",
    )


def ask(*command: str) -> str:
    """Run an engine's command and give what it prints.

    Raises:
        Refused: it failed.
    """
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        raise Refused(f"{' '.join(command[:2])}: {run.stderr.strip() or run.stdout.strip()}")
    return run.stdout.strip()
