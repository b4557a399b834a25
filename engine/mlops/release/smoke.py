"""Command smoke: start a built image as it is run in production, and compare its answers with the
reviewed evaluation. If the image must not be released: exit code 1 and a list of all problems.
"""

import argparse
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mlops.columns import Schema
from mlops.errors import UserError, run_command
from mlops.paths import BUNDLE
from mlops.project import load_schema_of
from mlops.release.container_engine import ask, find_engine
from mlops.release.image import revision
from mlops.release.smoke_checks import get, wrong_answers, wrong_identity

LOCKED_DOWN = (
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--user=23456:23456",
    "--memory=512m",
    "--pids-limit=128",
    "--publish=127.0.0.1::8000",
)
"""Least privileges: an unknown user, no capabilities, and only /data is writable."""

READY_SECONDS = 60
STOP_SECONDS = 10

_STOPPED = (0, 143)


@contextmanager
def started(engine: str, image: str) -> Iterator[tuple[str, str]]:
    """Run a container of the image until the block ends; yield its id and its address.

    Raises:
        UserError: the container doesn't start; the message has the last lines of its log.
    """
    container = ask(engine, "run", "--detach", *LOCKED_DOWN, image)
    try:
        try:
            port = ask(engine, "port", container, "8000").rpartition(":")[2]
        except UserError as error:
            raise UserError(
                f"{image}: exited immediately:", _last_words(engine, container)
            ) from error
        yield container, f"http://127.0.0.1:{port}"
    finally:
        ask(engine, "rm", "--force", "--volumes", container)


def faults(engine: str, image: str, commit: str, schema: Schema) -> list[str]:
    """Start the image, run all checks, stop it; return the problems found."""
    with started(engine, image) as (container, address):
        if not _becomes_ready(engine, container, address):
            return ["did not become ready:", *_last_words(engine, container)]
        try:
            found = [*wrong_identity(address, commit), *wrong_answers(address, schema)]
        except OSError as error:
            return [f"stopped answering: {error}", *_last_words(engine, container)]
        return found + _wrong_end(engine, container)


def _becomes_ready(engine: str, container: str, address: str) -> bool:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        try:
            if get(f"{address}/health/ready")[0] == 200:
                return True
        except OSError:
            if ask(engine, "inspect", "--format={{.State.Running}}", container) != "true":
                return False
        time.sleep(0.05)
    return False


def _wrong_end(engine: str, container: str) -> list[str]:
    start = time.monotonic()
    ask(engine, "stop", f"--time={STOP_SECONDS + 5}", container)
    seconds = time.monotonic() - start
    code = int(ask(engine, "inspect", "--format={{.State.ExitCode}}", container))
    problems = [] if seconds <= STOP_SECONDS else [f"stopped after {seconds:.1f} s, not in time"]
    return problems + ([] if code in _STOPPED else [f"stopped with exit code {code}"])


def _last_words(engine: str, container: str) -> list[str]:
    run = subprocess.run([engine, "logs", "--tail=10", container], capture_output=True, text=True)
    return (run.stdout + run.stderr).splitlines()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m mlops.release.smoke", description=__doc__)
    parser.add_argument("image")
    parser.add_argument(
        "--commit", help="commit that it must be built from; by default the work tree's"
    )
    options = parser.parse_args()
    if problems := faults(
        find_engine(), options.image, options.commit or revision(), load_schema_of(BUNDLE)
    ):
        raise UserError(f"{options.image} must not be released:", problems)
    print(f"smoke: {options.image} returns the evaluated predictions")


if __name__ == "__main__":
    run_command(main)
