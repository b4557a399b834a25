"""Command retrain: take in what is new, retrain, and review the candidate against the champion.

Changes the work tree: `ingest.until` and the test window move on, feedback becomes labelled rows.
Exit code: 0 when it could judge, 1 when it could not.
"""

import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from mlops import paths
from mlops.columns import Schema
from mlops.database_address import VARIABLE
from mlops.errors import UserError, run_command
from mlops.files import whole_folder, write_json, write_text
from mlops.metric_registry import Metrics
from mlops.monitoring.feedback import labelled_rows, why_not_published, write_partition
from mlops.monitoring.label_shift import label_shift
from mlops.monitoring.log_reader import read_feedback
from mlops.params import PARAMS_FILE, Params
from mlops.pipeline.partitions import FILE, read_partitions
from mlops.project import load_metrics, load_project_params, load_schema
from mlops.review.checkouts import PipelineFailed
from mlops.review.github_markdown import cell
from mlops.review.review_files import REPORT, VERDICT
from mlops.review.review_files import write as write_review
from mlops.review.run_review import review

DECISION = "decision.json"
BODY = "body.md"


def newest_source_day(params: Params, schema: Schema) -> datetime.date:
    """Give the day of the source's newest row, feedback left out.

    Raises:
        UserError: the source can't be read, or doesn't fit the schema: before anything is trained.
    """
    assert schema.time is not None
    table = read_partitions(params.ingest.source, schema)
    own = table.filter(pc.not_equal(table[FILE].cast("string"), paths.FEEDBACK))
    newest = pc.max(own[schema.time.name]).as_py()
    if newest is None:
        raise UserError(f"ingest.source {params.ingest.source}: no row has a date")
    return newest.date()


def moved(
    text: str, until: datetime.date, source: datetime.date, params: Params, level: bool
) -> str:
    """Edit params.yaml's text: comments and order stay.

    Args:
        until: the newest day; the last `monitor.retrain.test_days` up to it test the model.
        source: the source's newest day. If that is before these, feedback alone tests the model,
            and the source's own last days are held out to judge it by, too.
    """
    window = datetime.timedelta(days=params.monitor.retrain.test_days - 1)
    changes = {("ingest", "until"): f'"{until}"'}
    if params.split.test_from is not None:
        changes["split", "test_from"] = f'"{until - window}"'
        last = min(source, until - window - datetime.timedelta(days=1))
        held_out = f'["{last - window}", "{last}"]' if source < until else "null"
        changes["split", "held_out"] = held_out
    if level and params.monitor.retrain.level_days is not None:
        changes["train", "level_days"] = str(params.monitor.retrain.level_days)
    for (section, key), value in changes.items():
        pattern = rf"(?m)(^{section}:\n(?:[ \t]+.*\n|\n)*?  {key}: )(\[[^\]\n]*\]|\"[^\"]*\"|\S+)"
        text, found = re.subn(pattern, rf"\g<1>{value}", text, count=1)
        if not found and key == "held_out":  # of an older release
            text, found = re.subn(r"(?m)^  test_from: .*$", rf"\g<0>\n  {key}: {value}", text)
        if not found:
            raise UserError(f"{PARAMS_FILE}: no line `  {key}: …` in section {section} to edit")
    return text


def take_in(
    params: Params, schema: Schema, today: datetime.date, url: str, level: bool
) -> dict[str, Any]:
    """Change the work tree to all that is new up to yesterday; say in facts what that is."""
    yesterday = today - datetime.timedelta(days=1)
    source = min(newest_source_day(params, schema), yesterday)
    facts: dict[str, Any] = {"source_until": str(source), "feedback_rows": 0, "left_out": 0}
    until = source
    if url:
        told = read_feedback(url, schema)
        rows, facts["left_out"] = labelled_rows(told, source, yesterday, schema)
        write_partition(params.ingest.source, rows, schema)
        facts["feedback_rows"] = len(rows)
        if len(rows) and schema.time is not None:
            until = rows[schema.time.name].max().date()
    was = params.ingest.until
    until = max(until, was)
    if until > was:
        text = PARAMS_FILE.read_text(encoding="utf-8")
        write_text(PARAMS_FILE, moved(text, until, source, params, level))
    return {**facts, "until": str(until), "was": str(was)}


def is_corrected(source: str) -> bool:
    """Tell whether rows of days taken in before are others now: a late or corrected partition.

    What the stage made may be missing, as on a new runner: that tells nothing of the source.
    """
    run = subprocess.run(["dvc", "status", "--json", "ingest"], capture_output=True, text=True)
    changes = json.loads(run.stdout or "{}").get("ingest", [])
    return any(source in change.get("changed deps", {}) for change in changes)


def is_better(verdict: dict[str, Any], params: Params, metrics: Metrics) -> bool:
    """Tell whether a metric of the gate got better, and none worse, beyond chance."""
    signs = []
    for metric in params.gate.max_regression:
        found = verdict["metrics"].get(metric)
        if not found or found["ci_low"] is None or found["ci_high"] is None:
            return False
        higher = metrics.higher_is_better[metric]
        low, high = found["ci_low"], found["ci_high"]
        signs.append((low > 0) - (high < 0) if higher else (high < 0) - (low > 0))
    return bool(signs) and max(signs) > 0 and min(signs) >= 0


def not_compared(verdict: dict[str, Any], params: Params) -> list[str]:
    """Say of which metrics of the gate nobody can tell whether they got better, and why."""
    found = {name: verdict["metrics"].get(name) for name in params.gate.max_regression}
    return [
        f"{name} can't be compared: {(one and one['reason']) or 'it has no interval'}"
        for name, one in found.items()
        if not one or one["ci_low"] is None or one["ci_high"] is None
    ]


def conclude(
    facts: dict[str, Any], force: bool, params: Params, schema: Schema, metrics: Metrics
) -> dict[str, Any]:
    """Decide whether to open a pull request, and say why in words."""
    if facts["until"] == facts["was"] and not force and not is_corrected(params.ingest.source):
        why = f"no row is newer than ingest.until = {facts['was']}, and none was corrected"
        return {**facts, "propose": False, "why": why}
    try:
        found = review("HEAD", params, schema, metrics)
    except PipelineFailed as error:
        raise UserError(f"the champion could not be reproduced: {error}") from error
    write_review(found, params)
    if found.failure:
        raise UserError(f"the pipeline fails on the newer data: {found.failure}")
    verdict = json.loads(VERDICT.read_text(encoding="utf-8"))
    better = is_better(verdict, params, metrics)
    why = "better" if better else "not better"
    why = f"the retrained model is {why} than the served one beyond chance, on the same rows"
    why += "".join(f"; {line}" for line in not_compared(verdict, params))
    return {**facts, "propose": better or force, "why": why}


def body(decision: dict[str, Any], params: Params, schema: Schema) -> str:
    """Write the pull request's text: what was taken in, what of it is feedback, then the review."""
    lines = [
        f"Retrained on data up to {decision['until']} (before: {decision['was']}): "
        f"{decision['why']}.",
    ]
    if decision.get("withheld"):
        lines.append(f"Feedback is left out: {cell(decision['withheld'])}.")
    if decision["feedback_rows"]:
        lines.append(
            f"**{decision['feedback_rows']:,} rows are feedback**, told to the API by its clients "
            f"after the source's newest day, {decision['source_until']}; look at them as at any "
            f"data from outside. {decision['left_out']:,} more broke the contract and are left out."
        )
        lines.append(label_shift(params, schema))
    return "\n\n".join([*lines, REPORT.read_text(encoding="utf-8")])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m mlops.monitoring.retrain", description=__doc__)
    parser.add_argument(
        "--level", action="store_true", help="adjust to the level of the newest days"
    )
    parser.add_argument("--force", action="store_true", help="propose it even if it is not better")
    parser.add_argument("--no-feedback", action="store_true", help="take nothing from the log")
    parser.add_argument("--today", type=datetime.date.fromisoformat, default=datetime.date.today())
    options = parser.parse_args()
    params, schema = load_project_params(), load_schema()
    shutil.rmtree(paths.RETRAIN, ignore_errors=True)
    if schema.time is None:
        raise UserError("The schema has no column of role 'time': nothing tells new rows from old")
    url = "" if options.no_feedback else os.environ.get(VARIABLE, "")
    withheld = why_not_published() if url else None
    facts = take_in(params, schema, options.today, "" if withheld else url, options.level)
    params = load_project_params()  # days have moved on
    decision = conclude(
        facts | {"withheld": withheld}, options.force, params, schema, load_metrics(schema)
    )
    if withheld:
        print(f"retrain: feedback is left out: {withheld}", file=sys.stderr)
    with whole_folder(paths.RETRAIN) as folder:
        write_json(folder / DECISION, decision)
        if decision["propose"]:
            write_text(folder / BODY, body(decision, params, schema))
            partition = Path(params.ingest.source) / paths.FEEDBACK
            changed = [PARAMS_FILE, Path("dvc.lock"), partition]
            for path in changed:
                if path.exists():
                    (folder / "files" / path).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, folder / "files" / path)
    outcome = "a pull request is to be opened" if decision["propose"] else "nothing is opened"
    print(f"retrain: {decision['why']}: {outcome}", file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
