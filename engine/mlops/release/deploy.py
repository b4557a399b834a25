"""Command deploy: switch the host to another image, one container after the other, without dropping
a request. To roll back, deploy an earlier image. Standard library, docker and cosign only.

DOCKER_HOST selects the host. The image must be signed by this repository's release workflow, or by
the key whose public half is in COSIGN_PUBLIC_KEY.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from mlops.errors import UserError, run_command
from mlops.release.container_engine import ask
from mlops.release.signature import signer

COMPOSE = Path("deploy/compose.yaml")
WAIT_SECONDS = 120

_BY_DIGEST = re.compile(r"[\w.:/-]+@sha256:[0-9a-f]{64}")


def update(address: str) -> None:
    """Replace one API container and wait until it is ready, then the other.

    Raises:
        UserError: a container doesn't become ready. Those not replaced yet still run the old image.
    """
    environment = os.environ | {"IMAGE": address}
    compose = ["docker", "compose", "--file", str(COMPOSE)]
    wait = ["up", "--detach", "--wait", f"--wait-timeout={WAIT_SECONDS}"]
    for services in (["postgres"], ["--no-deps", "api-a"], ["--no-deps", "api-b"], ["proxy"]):
        run = subprocess.run([*compose, *wait, *services], env=environment)
        if run.returncode:
            raise UserError(
                f"deploy: {services[-1]} is not ready with {address}",
                advice=f"See docker compose logs {services[-1]}; roll back by deploying the "
                "previous image",
            )


def main() -> None:
    address = "".join(sys.argv[1:])
    if not _BY_DIGEST.fullmatch(address):
        raise UserError(f"{address!r}: wanted an image by digest: NAME@sha256:…")
    ask("cosign", "verify", *signer(), address)
    update(address)
    print(f"deploy: {address} is served")


if __name__ == "__main__":
    run_command(main)
