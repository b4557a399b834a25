"""Feedback as labelled rows: what really happened to predictions, where the source lacks it."""

import datetime
import hashlib
import os
from pathlib import Path

import pandas as pd

from mlops.columns import Schema
from mlops.errors import UserError
from mlops.files import write_text
from mlops.github.gh_api import GitHubRefused, api
from mlops.monitoring.log_reader import ACTUAL, ID, TOLD
from mlops.partition_text import csv_text
from mlops.paths import FEEDBACK
from mlops.validation import problems

_BYTES = 6  # what a whole number of any reader holds

PUBLISH = "PUBLISH_FEEDBACK"
"""Variable, yes or no: whether rows of production may be published; unset, in private ones."""


def why_not_published() -> str | None:
    """Say why rows of production must not go into artifacts, caches and branches; None if they may.

    Raises:
        UserError: the variable is neither yes nor no.
    """
    repository, chosen = os.environ.get("GITHUB_REPOSITORY"), os.environ.get(PUBLISH, "")
    if chosen not in ("", "yes", "no"):
        raise UserError(f"{PUBLISH}: found {chosen!r}, wanted yes or no")
    if chosen == "yes" or not (repository or chosen):  # on a machine of one's own nothing is
        return None
    if chosen == "no":
        return f"{PUBLISH} is no"
    try:
        private = api(f"repos/{repository}").get("private") is True
    except (GitHubRefused, OSError):
        return f"GitHub does not say whether this repository is private, and {PUBLISH} is not set"
    return None if private else f"this repository is public, and {PUBLISH} is not set to yes"


def labelled_rows(
    told: pd.DataFrame, after: datetime.date, until: datetime.date, schema: Schema
) -> tuple[pd.DataFrame, int]:
    """Make rows of the schema of feedback that came in after a day and up to another.

    The day of the feedback stands for the event's, unless the request had a time; the prediction's
    id stands for its key. Rows that break the contract are left out.

    Returns:
        The rows, and how many were left out.
    """
    if not len(told):
        return pd.DataFrame(columns=schema.names), 0
    days = pd.to_datetime(told[TOLD], unit="s").dt.floor("D")
    new = (days > pd.Timestamp(after)) & (days <= pd.Timestamp(until))
    rows = told[new].reset_index(drop=True)
    keys = rows[ID] if schema.key.type is str else rows[ID].map(_number)
    actual = rows[ACTUAL]
    if not schema.target.choices:  # an earlier model may have been asked for classes
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
    """Make a number of an id; ids of one request differ in their last digits alone."""
    hashed = hashlib.blake2b(prediction_id.encode(), digest_size=_BYTES).digest()
    return 1 + int.from_bytes(hashed)


def write_partition(source: str, rows: pd.DataFrame, schema: Schema) -> None:
    """Put the rows into the source's folder, or take an older such partition out of it.

    Raises:
        UserError: the source is no folder of this repository.
    """
    if "://" in source or not Path(source).is_dir():
        raise UserError(
            f"ingest.source {source}: feedback can't be put there",
            advice="Let your own job copy feedback into the source, and start with --no-feedback.",
        )
    path = Path(source) / FEEDBACK
    if not len(rows):
        path.unlink(missing_ok=True)
        return
    write_text(path, csv_text(rows, schema))
