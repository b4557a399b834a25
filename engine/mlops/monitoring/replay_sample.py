"""Command replay_sample: store a sample of production's requests, for reviews to replay.

`make replay-sample` reads the prediction log, selects only the columns in
`monitor.replay`, and writes them to the storage of data and models, which workflow runs for forks
can't read. Ids, times, predictions and feedback are not included.
"""

import os
import tempfile
import time
from pathlib import Path

import pandas as pd
from dvc.repo import Repo

from mlops import paths
from mlops.bundle import read_manifest
from mlops.columns import Schema
from mlops.database_address import VARIABLE
from mlops.errors import UserError, run_command
from mlops.frames import write_rows
from mlops.monitoring.log_reader import read_window
from mlops.params import Replay
from mlops.project import load_project_params, load_schema_of
from mlops.remote import CONFIG, NAME, PUBLIC

_FOLDER, _FILE = "replay", "requests.parquet"


def sample(rows: pd.DataFrame, replay: Replay, seed: int) -> pd.DataFrame:
    """Select the columns that may be kept, of at most `replay.rows` rows, in random order."""
    kept = rows[list(replay.columns)]
    return kept.sample(min(len(kept), replay.rows), random_state=seed).reset_index(drop=True)


def put(root: Path, requests: pd.DataFrame) -> str:
    """Write the sample to the storage, replacing the previous one; return its address.

    Raises:
        UserError: no storage is set, it is public, or writing fails.
    """
    if (root / PUBLIC).exists():
        raise UserError(
            f"{PUBLIC} marks the storage as public: a sample of requests must not be stored there",
            advice="Remove that file, or leave monitor.replay out.",
        )
    if not _connected(root):
        raise UserError("No storage of data and models is set", advice="Set it: make remote")
    with tempfile.TemporaryDirectory() as folder, Repo(str(root)) as repo:
        file = Path(folder) / _FILE
        write_rows(file, requests)
        storage = repo.cloud.get_remote_odb(NAME)
        address = storage.fs.join(storage.fs.parent(storage.fs.parent(storage.path)), _FOLDER)
        try:
            storage.fs.makedirs(address, exist_ok=True)
            storage.fs.put_file(str(file), storage.fs.join(address, _FILE))
        except Exception as error:  # each kind of storage raises its own
            raise UserError(
                f"The sample could not be stored: {type(error).__name__}: {error}"
            ) from error
    return str(address)


def get(root: Path, out: Path) -> bool:
    """Download the sample from the storage; return whether there is one that this run may read."""
    if (root / PUBLIC).exists() or not _connected(root):
        return False
    with Repo(str(root)) as repo:
        storage = repo.cloud.get_remote_odb(NAME)
        address = storage.fs.join(storage.fs.parent(storage.fs.parent(storage.path)), _FOLDER)
        try:
            storage.fs.get_file(storage.fs.join(address, _FILE), str(out))
        except Exception:  # there is none, or this account may not read it
            return False
    return True


def _connected(root: Path) -> bool:
    config = root / CONFIG
    return config.is_file() and f'remote "{NAME}"' in config.read_text(encoding="utf-8")


def _requests(url: str, schema: Schema, replay: Replay) -> pd.DataFrame:
    params, now = load_project_params().monitor, time.time()
    version = read_manifest(paths.BUNDLE)["model_version"]
    wanted = params.model_copy(update={"window_rows": replay.rows})
    return sample(read_window(url, version, schema, wanted, now).rows, replay, int(now))


def main() -> None:
    replay, url = load_project_params().monitor.replay, os.environ.get(VARIABLE)
    if replay is None or not url:  # the monitor's workflow runs this in any case
        why = "monitor.replay is null" if replay is None else f"{VARIABLE} is not set"
        print(f"replay_sample: {why}: no requests are stored")
        return
    requests = _requests(url, load_schema_of(paths.BUNDLE), replay)
    print(f"replay_sample: {len(requests):,} requests written to {put(Path(), requests)}")


if __name__ == "__main__":
    run_command(main)
