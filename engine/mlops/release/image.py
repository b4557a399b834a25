"""Command image: build the serving image of the work tree's model.

Uses docker, podman or buildah. Options other than --tag are passed to the engine's own `build`.
"""

import argparse
import os
import subprocess

from mlops.bundle import read_manifest
from mlops.dvc_lock import differences
from mlops.errors import UserError, run_command
from mlops.paths import BUNDLE
from mlops.records import Manifest
from mlops.release.container_engine import BUILDS, ask, find_engine
from mlops.release.labels import DIRTY, Contents
from mlops.release.reviewed_lock import altered_outputs, committed_lock, present_lock

TAG = "mlops"


def revision() -> str:
    """Return the commit that the image is built from, marked if the work tree differs from it."""
    commit = ask("git", "rev-parse", "HEAD")
    other = ask("git", "status", "--porcelain", "--", ".", ":(exclude)dvc.lock")
    return commit + (DIRTY if other or differences(committed_lock(), present_lock()) else "")


def build_command(engine: str, tag: str, manifest: Manifest, commit: str) -> list[str]:
    """Return the engine's command line."""
    pickled = manifest["engine"] == "joblib"
    arguments = {
        "REVISION": commit,
        "REQUIREMENTS": f"requirements-serve{'-joblib' if pickled else ''}.txt",
        # The creation time recorded in the image; fixing it makes the whole image reproducible.
        "SOURCE_DATE_EPOCH": ask("git", "show", "--no-patch", "--format=%ct", "HEAD"),
    }
    labels = Contents.of_bundle(manifest, commit).labels()
    return [
        engine,
        "build",
        *(() if engine == "docker" else ("--format", "docker")),  # OCI's has no health check
        *(f"--build-arg={name}={value}" for name, value in arguments.items()),
        *(f"--label={name}={value}" for name, value in labels.items()),
        f"--tag={tag}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m mlops.release.image", description=__doc__)
    parser.add_argument("--tag", default=TAG, help=f"name of the image; by default {TAG}")
    options, passed = parser.parse_known_args()
    if problems := altered_outputs(present_lock(), [BUNDLE]):
        raise UserError(
            "The bundle is not the one that dvc.lock records:",
            problems,
            "Update it: dvc repro, or restore the recorded one: dvc checkout --force",
        )
    engine, manifest, commit = find_engine(BUILDS), read_manifest(BUNDLE), revision()
    command = [*build_command(engine, options.tag, manifest, commit), *passed, "."]
    # Docker 29 adds an attestation to the image, which would change its digest on every build.
    environment = os.environ | {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    if code := subprocess.run(command, env=environment).returncode:
        raise UserError(f"{engine} build ended with exit code {code}")
    print(f"image: {options.tag}: model {manifest['model_version']}, commit {commit}")
    if commit.endswith(DIRTY):
        print("image: the work tree has uncommitted changes, so the image can't be released")


if __name__ == "__main__":
    run_command(main)
