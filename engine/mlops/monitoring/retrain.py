"""Command retrain: add new rows, retrain, and review the challenger against the champion.

Changes the work tree: `ingest.until` and the test window move forward, and feedback becomes
labelled rows. Exit code: 0 if a decision was possible, else 1.
"""

import argparse
import datetime
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from mlops import paths
from mlops.collect.collect_rows import collect
from mlops.columns import Schema
from mlops.database_address import VARIABLE
from mlops.errors import UserError, run_command
from mlops.files import whole_folder, write_json, write_text
from mlops.metric_registry import Metrics
from mlops.monitoring.feedback import why_not_published
from mlops.monitoring.label_shift import label_shift
from mlops.monitoring.new_rows import NewRows, add_new_rows, is_corrected
from mlops.params import PARAMS_FILE, Params
from mlops.project import load_metrics, load_project_params, load_tabled_schema
from mlops.review.checkouts import PipelineFailed
from mlops.review.github_markdown import cell
from mlops.review.model_comparison import Comparison
from mlops.review.review_files import REPORT
from mlops.review.review_files import write as write_review
from mlops.review.run_review import review

DECISION = "decision.json"
BODY = "body.md"


class Decision(NewRows):
    """The next job's input: whether to open a pull request, and why or why not."""

    withheld: str | None
    propose: bool
    why: str


def is_better(comparisons: Sequence[Comparison], params: Params) -> bool:
    """Return whether a metric of the gate got better, and none got worse, beyond chance."""
    found = {one.metric: one for one in comparisons}
    signs = []
    for metric in params.gate.max_regression:
        one = found.get(metric)
        if one is None or one.ci_low is None or one.ci_high is None:
            return False
        higher, low, high = one.higher_is_better, one.ci_low, one.ci_high
        signs.append((low > 0) - (high < 0) if higher else (high < 0) - (low > 0))
    return bool(signs) and max(signs) > 0 and min(signs) >= 0


def not_compared(comparisons: Sequence[Comparison], params: Params) -> list[str]:
    """List the gate's metrics that can't be compared, and why."""
    found = {one.metric: one for one in comparisons}
    return [
        f"{name} can't be compared: {(one and one.reason) or 'it has no interval'}"
        for name in params.gate.max_regression
        if not (one := found.get(name)) or one.ci_low is None or one.ci_high is None
    ]


def decide(
    new: NewRows,
    withheld: str | None,
    force: bool,
    params: Params,
    schema: Schema,
    metrics: Metrics,
) -> Decision:
    """Decide whether to open a pull request, and give the reason as a message."""
    if new["until"] == new["was"] and not force and not is_corrected(params.ingest.source):
        why = f"no row is newer than ingest.until = {new['was']}, and none was corrected"
        return {**new, "withheld": withheld, "propose": False, "why": why}
    try:
        found = review("HEAD", params, schema, metrics)
    except PipelineFailed as error:
        raise UserError(f"the champion could not be reproduced: {error}") from error
    write_review(found, params)
    if found.failure:
        raise UserError(f"the pipeline fails on the newer data: {found.failure}")
    better = is_better(found.comparisons, params)
    why = "better" if better else "not better"
    why = f"the retrained model is {why} than the served one beyond chance, on the same rows"
    why += "".join(f"; {line}" for line in not_compared(found.comparisons, params))
    return {**new, "withheld": withheld, "propose": better or force, "why": why}


def body(decision: Decision, params: Params, schema: Schema) -> str:
    """Return the pull request's text: the new rows, how many are feedback, then the review."""
    lines = [
        f"Retrained on data up to {decision['until']} (before: {decision['was']}): "
        f"{decision['why']}.",
    ]
    if decision["withheld"]:
        lines.append(f"Feedback is left out: {cell(decision['withheld'])}.")
    if decision["feedback_rows"]:
        lines.append(
            f"**{decision['feedback_rows']:,} rows are feedback**, sent to the API by its clients "
            f"after the source's newest day, {decision['source_until']}; check them like any "
            f"external data. {decision['left_out']:,} more fail the schema and are left out."
        )
        lines.append(label_shift(params, schema))
    return "\n\n".join([*lines, REPORT.read_text(encoding="utf-8")])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m mlops.monitoring.retrain", description=__doc__)
    parser.add_argument(
        "--level", action="store_true", help="rescale older targets to the level of the newest days"
    )
    parser.add_argument(
        "--force", action="store_true", help="propose the model even if it is not better"
    )
    parser.add_argument(
        "--no-feedback", action="store_true", help="ignore the prediction log's rows"
    )
    parser.add_argument("--today", type=datetime.date.fromisoformat, default=datetime.date.today())
    options = parser.parse_args()
    params, schema = load_project_params(), load_tabled_schema()
    shutil.rmtree(paths.RETRAIN, ignore_errors=True)
    if schema.time is None:
        raise UserError(
            "The schema has no column of role 'time': new rows can't be distinguished from old ones"
        )
    url = "" if options.no_feedback else os.environ.get(VARIABLE, "")
    withheld = why_not_published() if url else None
    collected = [path for path in [collect(params.ingest.source, schema, options.today)] if path]
    new = add_new_rows(params, schema, options.today, "" if withheld else url, options.level)
    params = load_project_params()  # add_new_rows may have changed the days
    decision = decide(new, withheld, options.force, params, schema, load_metrics(schema))
    if withheld:
        print(f"retrain: feedback is left out: {withheld}", file=sys.stderr)
    with whole_folder(paths.RETRAIN) as folder:
        write_json(folder / DECISION, decision)
        if decision["propose"]:
            write_text(folder / BODY, body(decision, params, schema))
            partition = Path(params.ingest.source) / paths.FEEDBACK
            changed = [PARAMS_FILE, Path("dvc.lock"), partition, *collected]
            for path in changed:
                if path.exists():
                    (folder / "files" / path).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, folder / "files" / path)
    outcome = "a pull request will be opened" if decision["propose"] else "no pull request"
    print(f"retrain: {decision['why']}: {outcome}", file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
