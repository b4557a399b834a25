"""Effects of both sides' `prepare` on the rows, and the models' metrics on test rows before it.

Requests are not prepared. So a candidate whose `prepare` removes or changes test rows is also
compared with the base on all unprepared test rows: hard rows can't be removed from the test.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mlops import paths
from mlops.columns import Schema
from mlops.frames import read_rows, write_rows
from mlops.metric_registry import Metrics
from mlops.params import Params
from mlops.pipeline.prepared import Differences, differences, prepared_rows
from mlops.pipeline.splitting import is_held_out, is_test
from mlops.review.checkouts import Side
from mlops.review.gate import Check, check_regressions
from mlops.review.github_markdown import cell, folded, table
from mlops.review.model_comparison import Comparison, compare, predictions_of_both


@dataclass(frozen=True)
class Part:
    """Effects of `prepare` on the training, test or held-out rows."""

    name: str
    rows: int
    removed: int
    changed: dict[str, int]


@dataclass(frozen=True)
class PreparedShare:
    """Effects of the candidate's `prepare`.

    Attributes:
        new_removed: number of test rows that it removes, and the base's does not.
        new_changed: the same for rows with changed values.
        comparisons: of both models on all unprepared test rows; empty if it changes none of them.
    """

    parts: list[Part]
    new_removed: int
    new_changed: int
    comparisons: list[Comparison]

    @property
    def test(self) -> Part:
        return next(part for part in self.parts if part.name == "test")

    def as_json(self) -> dict[str, Any]:
        """Return the counts as in verdict.json."""
        parts = {
            part.name: {"rows": part.rows, "removed": part.removed, "changed": part.changed}
            for part in self.parts
        }
        return {
            "parts": parts,
            "new_removed": self.new_removed,
            "new_changed": self.new_changed,
        }


def prepared_share(
    base: Side, candidate: Side, params: Params, schema: Schema, metrics: Metrics
) -> PreparedShare | None:
    """Count removed and changed rows, and compare the models on the unprepared test rows.

    Returns:
        None if the candidate's `prepare` removes and changes nothing.
    """
    before, found = _read(candidate.root, schema)
    if found.removed.empty and found.changed.empty:
        return None
    keys, test = before[schema.key.name], is_test(before, params.split, schema)
    held_out = is_held_out(before, params.split, schema) & ~test
    masks = {"training": ~test & ~held_out, "test": test, "held-out": held_out}
    parts = [_part(name, keys[mask], found, schema) for name, mask in masks.items() if mask.any()]
    removed, changed = _touched(found, keys[test], schema)
    try:
        known, touched_there = _read(base.root, schema)
        removed_there, changed_there = _touched(touched_there, known[schema.key.name], schema)
    except (KeyError, FileNotFoundError):  # the base has other columns or stages
        removed_there = changed_there = pd.Index([])
    return PreparedShare(
        parts,
        len(removed.difference(removed_there)),
        len(changed.difference(changed_there)),
        _compared(base, candidate, before[test], params, metrics)
        if len(removed) + len(changed)
        else [],
    )


def _read(root: Path, schema: Schema) -> tuple[pd.DataFrame, Differences]:
    before = read_rows(root / paths.VALID_ROWS)
    return before, differences(before, read_rows(prepared_rows(root)), schema)


def _touched(found: Differences, keys: pd.Series, schema: Schema) -> tuple[pd.Index, pd.Index]:
    """Return the keys that were removed, and those that were changed."""
    removed, changed = pd.Index(found.removed[schema.key.name]), found.changed.index
    return removed[removed.isin(keys)], changed[changed.isin(keys)]


def _part(name: str, keys: pd.Series, found: Differences, schema: Schema) -> Part:
    removed, changed = _touched(found, keys, schema)
    counts = Differences(found.removed, found.changed.loc[changed]).by_column
    return Part(name, len(keys), len(removed), counts)


def _compared(
    base: Side, candidate: Side, test: pd.DataFrame, params: Params, metrics: Metrics
) -> list[Comparison]:
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "test.parquet"
        write_rows(rows, test)
        of_base, of_candidate = predictions_of_both(base, candidate, rows, len(test), params)
    return compare(of_base, of_candidate, {}, params, metrics)


def check_prepared(found: PreparedShare | None, params: Params) -> list[Check]:
    """Report removed and changed test rows, warn of those that the base's `prepare` leaves alone,
    and check `gate.max_regression` on all unprepared test rows.
    """
    if found is None:
        return []
    test, checks = found.test, []
    for what, n, new in (
        ("removes", test.removed, found.new_removed),
        ("changes values of", sum(test.changed.values()), found.new_changed),
    ):
        if n:
            of = "values" if what != "removes" else "rows"
            why = f"prepare {what} test rows: {n:,} {of}; {new:,} rows that the base's does not"
            checks.append(Check(f"prepare {what} test rows", n, 0, "warn" if new else "pass", why))
    where = f"on all {test.rows:,} test rows as they came in"
    return checks + [
        Check(f"{c.name} {where}", c.value, c.limit, c.outcome, f"{where}: {c.why}")
        for c in check_regressions(found.comparisons, params)
    ]


def prepared_section(found: PreparedShare | None) -> str:
    """Show the numbers of removed and changed rows, part by part."""
    if found is None:
        return ""
    rows = [
        (
            part.name,
            f"{part.rows:,}",
            f"{part.removed:,}",
            ", ".join(f"{cell(name)} {n:,}" for name, n in part.changed.items()) or "none",
        )
        for part in found.parts
    ]
    head = ("rows", "valid", "removed by prepare", "values changed, by column")
    text = f"{table(head, 'lrrl', rows)}\n\nRequests are not prepared."
    return folded("Rows that prepare removes or changes", text)
