"""Command review: reproduce the work tree and its base, compare them, and hold the gate.

Exit code: 0 pass or warn, 1 block, 2 could not judge.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from mlops import artifacts
from mlops.columns import Schema
from mlops.errors import BadInput
from mlops.files import write_json, write_text
from mlops.frames import read_rows
from mlops.params import Params, load_params
from mlops.review.champion import NotComparable, compare, compare_slices, models_on_same_rows
from mlops.review.differences import params_diff, rows_diff, stages_diff
from mlops.review.gate import (
    Check,
    check_floors,
    check_gate_is_kept,
    check_regressions,
    detectable_regression,
    verdict,
)
from mlops.review.lock import is_behind
from mlops.review.page import html_page
from mlops.review.plots import draw_changes
from mlops.review.report import Review, markdown, no_verdict
from mlops.review.sides import PipelineFailed, Side, base_tree, git, merge_base, reproduce
from mlops.schema import SCHEMA

REPORT = artifacts.REVIEW / "report.md"
PAGE = artifacts.REVIEW / "report.html"
CHANGES = artifacts.REVIEW / "changes.png"
VERDICT = artifacts.REVIEW / "verdict.json"


def review(revision: str) -> Review:
    """Review the work tree against the commit where it left `revision`.

    Raises:
        BadInput: params.yaml is faulty or there is no such revision.
        PipelineFailed: the base could not be reproduced.
    """
    params = load_params()
    base_commit, head = merge_base(revision), git("rev-parse", "HEAD")
    try:
        reproduce(Path())
    except PipelineFailed as error:
        failed = Check("pipeline", None, None, "block", "the pipeline runs to its end: it does not")
        return Review(base_commit, head, "block", [failed], failure=str(error))
    candidate = Side.read(Path())
    with base_tree(base_commit) as root:
        try:
            if not (root / "dvc.yaml").exists():
                raise NotComparable("the base has no pipeline yet; the floors alone decide")
            reproduce(root)
            return _against_base(Side.read(root), candidate, params)
        except NotComparable as error:
            return _alone(base_commit, candidate, params, str(error))


def _against_base(base: Side, candidate: Side, params: Params) -> Review:
    test, of_base, of_candidate = models_on_same_rows(base, candidate, params)
    recorded = {k: v["value"] for k, v in base.manifest["evaluation"]["metrics"].items()}
    comparisons = compare(of_base, of_candidate, recorded, params)
    metrics = {c.metric: c.candidate for c in comparisons}
    changed = params_diff(base.params, candidate.params)
    checks = [
        *check_floors(metrics, params),
        *check_regressions(comparisons, params),
        *check_gate_is_kept(path for path, _, _ in changed),
    ]
    confidence, limits = params.gate.confidence, params.gate.max_regression
    return Review(
        base=base.commit,
        head=candidate.commit,
        outcome=verdict(checks),
        checks=checks,
        comparisons=comparisons,
        confidence=params.evaluate.confidence,
        test=_test_rows(len(test), candidate, SCHEMA),
        slices=compare_slices(of_base, of_candidate, test, params),
        slice_metric=next(iter(limits), comparisons[0].metric),
        params=changed,
        stages=stages_diff(base.stages, candidate.stages),
        data=_data_diff(base, SCHEMA),
        lock_behind=_lock_is_behind(candidate),
        detectable={
            c.metric: detectable_regression(c, limits[c.metric], confidence)
            for c in comparisons
            if c.metric in limits
        },
    )


def _alone(base_commit: str, candidate: Side, params: Params, why: str) -> Review:
    metrics = {k: v["value"] for k, v in candidate.manifest["evaluation"]["metrics"].items()}
    checks = check_floors(metrics, params)
    return Review(
        base_commit,
        candidate.commit,
        verdict(checks),
        checks,
        not_comparable=why,
        lock_behind=_lock_is_behind(candidate),
    )


def _lock_is_behind(candidate: Side) -> bool:
    try:
        committed = git("show", "HEAD:./dvc.lock")
    except BadInput:  # HEAD has none
        return True
    return is_behind(committed, candidate.stages)


def _test_rows(n_rows: int, candidate: Side, schema: Schema) -> str:
    window = candidate.manifest["data"]["test"]
    days = f" ({window['from']} to {window['to']})" if schema.time else ""
    return f"{n_rows:,} test rows{days}"


def _data_diff(base: Side, schema: Schema) -> dict[str, object] | None:
    try:
        return rows_diff(
            read_rows(base.root / artifacts.VALID_ROWS), read_rows(artifacts.VALID_ROWS), schema
        )
    except (KeyError, FileNotFoundError):  # the base has other columns or stages
        return None


def write(found: Review) -> None:
    """Write report, page, plots and verdict, and print the report."""
    text = markdown(found)
    write_text(REPORT, text)
    plots = []
    if found.comparisons:
        draw_changes(CHANGES, found.comparisons, load_params())
        plots = [CHANGES, *sorted(artifacts.PLOTS.glob("*.png"))]
    write_text(PAGE, html_page(text, plots))
    write_json(
        VERDICT,
        {
            "verdict": found.outcome,
            "checks": [check.as_json() for check in found.checks],
            "metrics": {
                c.metric: {
                    "base_recorded": c.base_recorded,
                    "base_on_this_data": c.base,
                    **{k: asdict(c)[k] for k in ("candidate", "delta", "ci_low", "ci_high")},
                }
                for c in found.comparisons
            },
            "base": found.base,
            "head": found.head,
            "lock": None if found.failure else "behind" if found.lock_behind else "current",
        },
    )
    print(text)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mlops.review", description=__doc__)
    parser.add_argument("--base", default="HEAD", help="revision to compare with")
    try:
        found = review(parser.parse_args().base)
    except (BadInput, PipelineFailed) as error:
        print(f"The review could not judge:\n{error}", file=sys.stderr)
        write_text(REPORT, no_verdict(str(error)))
        return 2
    write(found)
    return 1 if found.outcome == "block" else 0


if __name__ == "__main__":
    sys.exit(main())
