"""Feedback as labelled rows: actual values of predictions, for days that the source lacks."""

import datetime
import hashlib
import os
from pathlib import Path

import pandas as pd

from mlops.columns import Column, Schema
from mlops.errors import UserError
from mlops.files import write_text
from mlops.github.gh_api import GitHubRefused, api
from mlops.monitoring.logged_rows import ACTUAL, ID, TOLD
from mlops.partition_text import csv_text
from mlops.paths import FEEDBACK
from mlops.validation import problems

_BYTES = 6  # small enough for the integers of any reader

PUBLISH = "PUBLISH_FEEDBACK"
"""Variable, yes or no: may rows of production be published; if unset, in private repositories."""


def why_not_published() -> str | None:
    """Return why rows of production must not go into artifacts, caches and branches, or None.

    Raises:
        UserError: the variable is neither yes nor no.
    """
    repository, chosen = os.environ.get("GITHUB_REPOSITORY"), os.environ.get(PUBLISH, "")
    if chosen not in ("", "yes", "no"):
        raise UserError(f"{PUBLISH}: found {chosen!r}, wanted yes or no")
    if chosen == "yes" or not (repository or chosen):  # a local run publishes nothing
        return None
    if chosen == "no":
        return f"{PUBLISH} is no"
    try:
        private = api(f"repos/{repository}").get("private") is True
    except (GitHubRefused, OSError):
        return (
            f"GitHub does not report whether this repository is private, and {PUBLISH} is not set"
        )
    return None if private else f"this repository is public, and {PUBLISH} is not set to yes"


def labelled_rows(
    told: pd.DataFrame, after: datetime.date, until: datetime.date, schema: Schema
) -> tuple[pd.DataFrame, int]:
    """Convert feedback received after day `after` and up to day `until` to rows of the schema.

    The day of the feedback is used as the event's, unless the request had a time; the prediction's
    id is used as the key. Rows that violate the schema, and duplicate keys, are left out.

    Returns:
        The rows, and the number of rows left out.
    """
    if not len(told):
        return pd.DataFrame(columns=schema.names), 0
    days = pd.to_datetime(told[TOLD], unit="s").dt.floor("D")
    new = (days > pd.Timestamp(after)) & (days <= pd.Timestamp(until))
    rows = told[new].reset_index(drop=True)
    keys = rows[ID] if schema.key.type is str else rows[ID].map(_number)
    actual = rows[ACTUAL]
    if not schema.target.choices:  # an earlier model may have been a classifier
        actual = pd.to_numeric(actual, errors="coerce")
    rows = rows.assign(**{schema.key.name: keys, schema.target.name: actual})
    if schema.time is not None and schema.timed is None:
        rows[schema.time.name] = days[new].reset_index(drop=True)
    rows = rows.reindex(columns=schema.names)  # no request has a column to ignore
    rows = rows.astype({c.name: c.dtype for c in schema.columns})
    failing = problems(rows, schema)["row"].dropna()
    kept = rows[~rows.index.isin(failing)].drop_duplicates(schema.key.name)
    return kept.reset_index(drop=True), len(rows) - len(kept)


def _number(prediction_id: str) -> int:
    """Hash an id to a number; ids of one request differ only in their last digits."""
    hashed = hashlib.blake2b(prediction_id.encode(), digest_size=_BYTES).digest()
    return 1 + int.from_bytes(hashed)


def write_partition(source: str, rows: pd.DataFrame, schema: Schema) -> None:
    """Write the rows to the source's folder; if there are none, delete an older such partition.

    Raises:
        UserError: the source is not a local folder, or another file has the name.
    """
    if "://" in source or not Path(source).is_dir():
        raise UserError(
            f"ingest.source {source}: feedback can't be written there",
            advice="Copy feedback into the source with your own job, and run with --no-feedback.",
        )
    path = Path(source) / FEEDBACK
    if path.exists() and not _is_of_feedback(path, schema.key):
        raise UserError(
            f"{path}: its keys are not prediction ids, so it was not written by retraining",
            advice="Rename it: retraining overwrites and deletes the file of this name.",
        )
    if not len(rows):
        path.unlink(missing_ok=True)
        return
    write_text(path, csv_text(rows, schema))


def _is_of_feedback(path: Path, key: Column) -> bool:
    """Return whether a retraining wrote a partition: its keys are ids, or hashes of ids."""
    try:
        keys = pd.read_csv(path, usecols=[key.name], dtype=str)[key.name].fillna("")
    except (OSError, ValueError):
        return False
    if key.type is str:
        made = keys.str.fullmatch("[0-9a-f]{24,}")
    else:  # hashes have 48 bits: hardly any is as small as a counter
        made = pd.to_numeric(keys, errors="coerce") > 2**32
    return bool(made.mean() > 0.5) if len(keys) else True
