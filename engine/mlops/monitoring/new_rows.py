"""The rows that a retraining adds: newer rows of the source, and feedback as labelled rows."""

import datetime
import json
import subprocess
from typing import Any, TypedDict

import pyarrow.compute as pc

from mlops import paths
from mlops.columns import Schema
from mlops.errors import UserError
from mlops.files import write_text
from mlops.monitoring.feedback import labelled_rows, write_partition
from mlops.monitoring.log_reader import read_feedback
from mlops.params import PARAMS_FILE, Params
from mlops.params_text import edit_params, on_one_line, quoted
from mlops.pipeline.parsing import FILE
from mlops.pipeline.partitions import read_partitions


class NewRows(TypedDict):
    """Days as YYYY-MM-DD: `until` is the new value of `ingest.until`, `was` the previous one."""

    source_until: str
    until: str
    was: str
    feedback_rows: int
    left_out: int


def newest_source_day(params: Params, schema: Schema) -> datetime.date:
    """Return the day of the source's newest row, ignoring feedback.

    Raises:
        UserError: the source can't be read, or doesn't match the schema; so a retraining fails
            before it trains.
    """
    assert schema.time is not None
    table = read_partitions(params.ingest.source, schema)
    own = table.filter(pc.not_equal(table[FILE].cast("string"), paths.FEEDBACK))
    newest = pc.max(own[schema.time.name]).as_py()
    if newest is None:
        raise UserError(f"ingest.source {params.ingest.source}: no row has a date")
    return newest.date()


def move_window(
    text: str, until: datetime.date, source: datetime.date, params: Params, level: bool
) -> str:
    """Edit params.yaml's text to include the newest rows, and to test the model on the last days.

    Args:
        until: the newest day; the last `monitor.retrain.test_days` up to it test the model.
        source: the source's newest day. If it is before `until`, some test days have feedback
            alone, so the source's own last days before them are held out as a further test.
        level: whether to rescale older targets to the level of the newest days.
    """
    window = datetime.timedelta(days=params.monitor.retrain.test_days - 1)
    last = min(source, until - window - datetime.timedelta(days=1))
    held_out = on_one_line([quoted(last - window), quoted(last)]) if source < until else None

    def change(sections: Any) -> None:
        sections["ingest"]["until"] = quoted(until)
        if params.split.test_from is not None:
            sections["split"]["test_from"] = quoted(until - window)
            sections["split"]["held_out"] = held_out
        if level and params.monitor.retrain.level_days is not None:
            sections["train"]["level_days"] = params.monitor.retrain.level_days

    return edit_params(text, change)


def add_new_rows(
    params: Params, schema: Schema, today: datetime.date, url: str, level: bool
) -> NewRows:
    """Update the work tree with data through yesterday; return a summary.

    Args:
        url: the prediction log's address; if empty, no feedback is added.
    """
    yesterday = today - datetime.timedelta(days=1)
    source = min(newest_source_day(params, schema), yesterday)
    was = params.ingest.until
    until, feedback_rows, left_out = max(source, was), 0, 0
    if url:
        rows, left_out = labelled_rows(read_feedback(url, schema), source, yesterday, schema)
        write_partition(params.ingest.source, rows, schema)
        feedback_rows = len(rows)
        if len(rows) and schema.time is not None:
            until = max(rows[schema.time.name].max().date(), was)
    if until > was:
        text = PARAMS_FILE.read_text(encoding="utf-8")
        write_text(PARAMS_FILE, move_window(text, until, source, params, level))
    return {
        "source_until": str(source),
        "until": str(until),
        "was": str(was),
        "feedback_rows": feedback_rows,
        "left_out": left_out,
    }


def is_corrected(source: str) -> bool:
    """Return whether the source changed for days read before: a late or corrected partition.

    Only changes of the source count: the stage's outputs may be missing, as on a new runner.
    """
    run = subprocess.run(["dvc", "status", "--json", "ingest"], capture_output=True, text=True)
    changes = json.loads(run.stdout or "{}").get("ingest", [])
    return any(source in change.get("changed deps", {}) for change in changes)
