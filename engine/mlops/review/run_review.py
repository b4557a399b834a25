"""Reproduce the work tree and its base, compare them, and apply the gate."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from mlops import paths
from mlops.columns import Schema
from mlops.dvc_lock import Stages
from mlops.errors import UserError
from mlops.files import read_json
from mlops.frames import count_rows, with_derived
from mlops.integrity import ENGINE, edited
from mlops.metric_registry import Metrics
from mlops.metrics import Predictions
from mlops.params import Params
from mlops.pipeline.prepared import prepared_rows
from mlops.repair_dvc import recover
from mlops.review.checkouts import PipelineFailed, Side, base_tree, git, merge_base, reproduce
from mlops.review.chosen_parameters import chosen_diff
from mlops.review.data_changes import data_changes
from mlops.review.differences import params_diff, stages_diff
from mlops.review.explanation import Explanation, explain
from mlops.review.feedback_share import check_feedback, feedback_share
from mlops.review.gate import (
    Check,
    check_definitions,
    check_engine_is_kept,
    check_floors,
    check_gate_is_kept,
    check_regressions,
    check_slices,
    check_storage_is_kept,
    detectable_regression,
    verdict,
)
from mlops.review.hostile_files import refuse_hostile
from mlops.review.leak_warning import check_leaks
from mlops.review.lock_check import is_behind
from mlops.review.model_comparison import (
    NotComparable,
    compare,
    models_on_same_rows,
    reasons,
    redefined,
)
from mlops.review.moved_rows import leading_features, moved_rows
from mlops.review.prepared_share import check_prepared, prepared_share
from mlops.review.report import Review
from mlops.review.slice_comparison import check_slices_against_base, compare_slices
from mlops.review.trusted_outputs import keep_believed, stages_at
from mlops.review.unpinned import unpinned


def review(
    revision: str, params: Params, schema: Schema, registry: Metrics, *, exact: bool = False
) -> Review:
    """Review the work tree against the commit where it left `revision`.

    Args:
        exact: the commit's dvc.lock is untrusted: entries that differ from the base's must have
            the exact hashes of this review's outputs, also for a model.

    Raises:
        UserError: `revision` does not exist, or there is a file that DVC must not read.
        PipelineFailed: the base could not be reproduced.
    """
    base_commit, head = merge_base(revision), git("rev-parse", "HEAD")
    refuse_hostile(Path())
    recover(Path())
    keep_believed(Path(), base_commit)
    try:
        lacking = reproduce(Path())
    except PipelineFailed as error:
        failed = Check("pipeline", None, None, "block", "the pipeline fails")
        return Review(base_commit, head, "block", [failed], failure=str(error))
    candidate = Side.read(Path())
    with base_tree(base_commit) as root:
        if (root / "dvc.yaml").exists():
            reproduce(root)
            found = _against_base(Side.read(root), candidate, params, schema, registry)
        else:
            why = "the base has no pipeline yet; the floors alone decide"
            found = _alone(base_commit, candidate, params, schema, registry, why)
    vouched = stages_at(base_commit) if exact else None
    return replace(
        found,
        lacking=lacking,
        lock_behind=_lock_is_behind(candidate, vouched),
        unpinned=unpinned(candidate.stages),
    )


def _against_base(
    base: Side, candidate: Side, params: Params, schema: Schema, registry: Metrics
) -> Review:
    try:
        found = _compared(base, candidate, params, schema, registry)
    except NotComparable as error:
        found = _alone(base.commit, candidate, params, schema, registry, str(error))
    return replace(
        found,
        params=[*params_diff(base.params, candidate.params), *chosen_diff(base, candidate)],
        stages=stages_diff(base.stages, candidate.stages),
        data=data_changes(base, candidate, schema, params.review),
    )


def _compared(
    base: Side, candidate: Side, params: Params, schema: Schema, registry: Metrics
) -> Review:
    test, (of_base, of_candidate) = models_on_same_rows(base, candidate, params)
    why = Explanation()
    if any(stages_diff(base.stages, candidate.stages).values()):
        why = explain(base, candidate, test, (of_base, of_candidate), params, schema, registry)
    recorded = {k: v["value"] for k, v in base.manifest["evaluation"]["metrics"].items()}
    comparisons = compare(of_base, of_candidate, recorded, params, registry)
    metrics = {c.metric: c.candidate for c in comparisons}
    changed = params_diff(base.params, candidate.params)
    slices = compare_slices(of_base, of_candidate, test, params, schema, registry)
    feedback = feedback_share(base, candidate, [of_base, of_candidate], params, schema, registry)
    prepared = prepared_share(base, candidate, params, schema, registry)
    checks = [
        *check_floors(metrics, params, registry, reasons(comparisons)),
        *check_regressions(comparisons, params),
        *check_slices(candidate.manifest["evaluation"]["slices"], params, registry),
        *check_slices_against_base(slices, params),
        *why.checks(params),
        *check_feedback(feedback, params, registry),
        *check_definitions(redefined(base, candidate, comparisons)),
        *check_prepared(prepared, params),
        *check_gate_is_kept(path for path, _, _ in changed),
        *check_storage_is_kept(_changed_files(base, ".dvc")),
        *check_engine_is_kept(set(edited()).intersection(_changed_files(base, *ENGINE))),
        *check_leaks(schema, base),
    ]
    confidence, limits = params.gate.confidence, params.gate.max_regression
    return Review(
        base=base.commit,
        head=candidate.commit,
        outcome=verdict(checks),
        checks=checks,
        comparisons=comparisons,
        confidence=params.evaluate.confidence,
        test=_test_rows(len(test), candidate, schema) + _sample(candidate),
        own_metrics=registry.described,
        slices=slices,
        slice_metric=next(iter(limits), comparisons[0].metric),
        key=schema.key.name,
        target=schema.target.name,
        moved=_moved_rows(test, of_base, of_candidate, params, schema),
        feedback=feedback,
        explanation=why,
        prepared=prepared,
        notes=_notes(),
        detectable={
            c.metric: detectable_regression(c, limits[c.metric], confidence)
            for c in comparisons
            if c.metric in limits
        },
    )


def _changed_files(base: Side, *folders: str) -> list[str]:
    return git("diff", "--name-only", base.commit, "--", *folders).splitlines()


def _alone(
    base_commit: str,
    candidate: Side,
    params: Params,
    schema: Schema,
    registry: Metrics,
    why: str,
) -> Review:
    evaluated = candidate.manifest["evaluation"]
    metrics = {name: metric["value"] for name, metric in evaluated["metrics"].items()}
    why_not = {k: m["reason"] for k, m in evaluated["metrics"].items() if m["value"] is None}
    checks = [
        *check_floors(metrics, params, registry, why_not),
        *check_slices(evaluated["slices"], params, registry),
        *check_leaks(schema),
    ]
    return Review(
        base_commit,
        candidate.commit,
        verdict(checks),
        checks,
        not_comparable=why + _sample(candidate),
        notes=_notes(),
    )


def _lock_is_behind(candidate: Side, vouched: Stages | None) -> bool:
    try:
        committed = git("show", "HEAD:./dvc.lock")
    except UserError:  # HEAD has none
        return True
    return is_behind(committed, candidate.stages, vouched)


def _test_rows(n_rows: int, candidate: Side, schema: Schema) -> str:
    window = candidate.manifest["data"]["test"]
    days = f" ({window['from']} to {window['to']})" if schema.time else ""
    return f"{n_rows:,} test rows{days}"


def _sample(candidate: Side) -> str:
    """Return a note if the candidate was trained on a sample of its training rows."""
    learnt, tested = (candidate.manifest["data"][part]["rows"] for part in ("train", "test"))
    held_out = count_rows(paths.HELD_OUT_ROWS)
    there = count_rows(prepared_rows()) - tested - held_out
    if learnt == there:
        return ""
    return (
        f"; the candidate was trained on {learnt:,} of {there:,} rows, a sample by "
        "split.max_train_rows"
    )


def _notes() -> list[str]:
    """Return ingestion's notes: columns that partitions lack, rows without a match."""
    found: list[str] = read_json(paths.VALIDATION_JSON).get("notes", [])
    return found


def _moved_rows(
    test: pd.DataFrame,
    base: Predictions,
    candidate: Predictions,
    params: Params,
    schema: Schema,
) -> dict[str, Any] | None:
    features = leading_features(paths.PLOTS)
    moved = moved_rows(with_derived(test, schema), base, candidate, schema, features)
    return moved if moved is None or params.review.examples else moved | {"most": []}
