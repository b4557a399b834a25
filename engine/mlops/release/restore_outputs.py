"""Command outputs: restore the outputs in a commit's dvc.lock, as they were reviewed.

Outputs that the remote has are pulled, never trained again. If some are missing there (no remote
yet, or somebody forgot to push), the pipeline runs once more, and must reproduce rows, metrics and
predictions. Either way, the bundle has to predict each test row as it was reviewed.
"""

import json

from mlops.dvc_lock import differences
from mlops.errors import UserError, run_command
from mlops.paths import BUNDLE, METRICS, PREDICTIONS, TEST_ROWS
from mlops.project import load_schema
from mlops.release.container_engine import ask
from mlops.release.proof import unlike_reviewed
from mlops.release.reviewed_lock import altered_outputs, committed_lock, present_lock

NEEDED = (BUNDLE, METRICS, PREDICTIONS, TEST_ROWS)
"""The outputs that are released, and those that the release is tested against."""

_NAMES = [path.as_posix() for path in NEEDED]


def missing_in_remote() -> list[str]:
    """List the needed outputs that are missing in the remote.

    Raises:
        UserError: the remote can't be queried.
    """
    status = json.loads(ask("dvc", "data", "status", "--not-in-remote", "--json"))
    lacking = {path.rstrip("/") for path in status.get("not_in_remote", [])}
    return [name for name in _NAMES if name in lacking]


def bring() -> str:
    """Pull the needed outputs or rebuild them; describe which of the two was done.

    Raises:
        UserError: the remote can't be queried or returns bytes that differ from the lock, or the
            pipeline doesn't reproduce the reviewed outputs.
    """
    reviewed = committed_lock()
    if lacking := missing_in_remote():
        ask("dvc", "repro", "--no-run-cache")
        how = f"rebuilt, because missing from the remote: {', '.join(lacking)}"
    else:
        ask("dvc", "pull", "--force", *_NAMES)
        how = "pulled from the remote"
    if found := differences(reviewed, present_lock()):
        raise UserError(
            "The reviewed outputs can't be reproduced:",
            found,
            "dvc.lock is out of date, or metrics depend on the machine: reproduce the pipeline, "
            "commit dvc.lock and have it reviewed",
        )
    if altered := altered_outputs(present_lock(), NEEDED):
        raise UserError("The outputs are not those that dvc.lock names:", altered)
    if unlike := list(unlike_reviewed(load_schema())):
        raise UserError(
            "The bundle is not the one that was reviewed:",
            unlike,
            "Somebody put other bytes into the storage and their hash into dvc.lock: find out who",
        )
    return how


def main() -> None:
    print(f"outputs: {bring()}")
    ask("dvc", "push", *_NAMES)
    if lacking := missing_in_remote():
        raise UserError("Still missing from the remote after a push:", lacking)


if __name__ == "__main__":
    run_command(main)
