"""Stage validate: rows -> valid rows, quarantined rows, and a report."""

import datetime
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlops import validation
from mlops.columns import Schema
from mlops.errors import UserError, run_command
from mlops.files import atomic_write, write_json, write_text
from mlops.frames import group_starts, read_group, read_notes, read_rows, write_rows
from mlops.params import Validate
from mlops.paths import (
    INGESTED_ROWS,
    QUARANTINED_ROWS,
    VALID_ROWS,
    VALIDATION_JSON,
    VALIDATION_MD,
)
from mlops.project import load_project_params, load_schema

REASON = "reason"
LISTED = 100
"""Maximum number of invalid rows in the report; the quarantine file has all of them."""


def table_problems(
    rows: pd.DataFrame, params: Validate, until: datetime.date, schema: Schema
) -> list[str]:
    """Check the whole table: row count, freshness, a sudden drop in rows."""
    problems = []
    if len(rows) < params.min_rows:
        problems.append(f"{len(rows)} valid rows, wanted validate.min_rows = {params.min_rows}")
    if schema.time is None or rows.empty:
        return problems
    days = (pd.Timestamp(until) - rows[schema.time.name].dt.normalize()).dt.days
    if days.min() > params.max_age_days:
        problems.append(
            f"the newest valid row is {days.min()} days older than ingest.until {until}, "
            f"wanted at most validate.max_age_days = {params.max_age_days}"
        )
    # Window 0 ends on `until`; the earliest window may be incomplete, so it is left out.
    counts = (days // params.window_days).value_counts()
    earlier = counts.reindex(range(1, counts.index.max()), fill_value=0)
    usual = float(earlier.median()) if len(earlier) else 0.0
    newest = int(counts.get(0, 0))
    if newest < params.min_window_share * usual:
        problems.append(
            f"{newest} rows in the last {params.window_days} days, the median is {usual:g}; "
            f"wanted a share of at least validate.min_window_share = {params.min_window_share:g}"
        )
    return problems


def failing_rows(path: Path, problems: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Read the invalid rows, with all reasons of a row in one column.

    The index is the row's position in the file.
    """
    by_row = validation.reasons(problems)
    holding = np.searchsorted(group_starts(path), by_row.index, side="right") - 1
    # The first group is always read, so that an empty frame has columns.
    groups = (read_group(path, group, schema.names) for group in sorted({0, *holding}))
    found = pd.concat([rows[rows.index.isin(by_row.index)] for rows in groups])
    return found.assign(**{REASON: by_row})


def report_of(
    n_rows: int,
    problems: pd.DataFrame,
    failing: pd.DataFrame,
    of_table: list[str],
    stops: bool,
    schema: Schema,
) -> dict[str, Any]:
    """Return the report: counts, each violated condition with its number of rows, examples."""
    conditions = problems.groupby(["column", "wanted"], sort=True, dropna=False)
    return {
        "passed": not stops,
        "rows": n_rows,
        "failing_rows": len(failing),
        "table": of_table,
        "conditions": [
            {
                "column": column if isinstance(column, str) else None,
                "wanted": wanted,
                "rows": len(group),
                "examples": sorted(set(group["found"]))[:5],
            }
            for (column, wanted), group in conditions
        ],
        "examples": [
            {"key": str(key), "reason": reason}
            for key, reason in failing[[schema.key.name, REASON]]
            .head(LISTED)
            .itertuples(index=False)
        ],
    }


def markdown(report: dict[str, Any], key: str) -> str:
    """Return the report as Markdown."""
    n_failing = report["failing_rows"]
    head = "passed" if report["passed"] else "FAILED"
    aside = f", {n_failing} quarantined" if report["passed"] and n_failing else ""
    lines = [
        f"## Data validation {head}",
        "",
        f"{report['rows']} rows, {n_failing} failing{aside}.",
    ]
    said = [*report["table"], *report.get("notes", [])]
    lines += ["", *(f"- {text}" for text in said)] if said else []
    if report["conditions"]:
        lines += ["", "| column | wanted | rows | found, for example |", "|---|---|---:|---|"]
        lines += [
            f"| {c['column']} | {c['wanted']} | {c['rows']} | {', '.join(c['examples'])} |"
            for c in report["conditions"]
        ]
    if report["examples"]:
        lines += ["", f"| {key} | reason |", "|---|---|"]
        lines += [f"| {e['key']} | {e['reason']} |" for e in report["examples"]]
    if n_failing > len(report["examples"]):
        lines.append(f"\n… and {n_failing - len(report['examples'])} more rows")
    return "\n".join(lines) + "\n"


def validate_file(
    path: Path, params: Validate, until: datetime.date, schema: Schema
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the invalid rows of a Parquet file, and the report."""
    problems = validation.file_problems(path, schema)
    failing = failing_rows(path, problems, schema)
    needed = schema.time or schema.key  # the only column that checks of the whole table need
    valid = read_rows(path, [needed.name]).drop(index=failing.index)
    of_table = table_problems(valid, params, until, schema)
    of_columns = problems[problems["row"].isna()]
    of_table += [f"column {p.found}: wanted {p.wanted}" for p in of_columns.itertuples()]
    stops = bool(of_table) or (not failing.empty and not params.quarantine)
    n_rows = len(valid) + len(failing)
    return failing, report_of(n_rows, problems, failing, of_table, stops, schema)


def main() -> None:
    params, schema = load_project_params(), load_schema()
    failing, report = validate_file(INGESTED_ROWS, params.validate_, params.ingest.until, schema)
    if notes := read_notes(INGESTED_ROWS):
        report["notes"] = notes
    text = markdown(report, schema.key.name)
    write_json(VALIDATION_JSON, report)
    write_text(VALIDATION_MD, text)
    write_rows(QUARANTINED_ROWS, failing)
    if not report["passed"]:
        raise UserError(
            text,
            advice=f"Stopped; the failing rows are in {QUARANTINED_ROWS}. Fix them in the "
            "source, or set validate.quarantine: true in params.yaml to continue without them.",
        )
    if failing.empty:  # copy, so that the same rows are the same bytes
        with atomic_write(VALID_ROWS) as temporary:
            shutil.copyfile(INGESTED_ROWS, temporary)
    else:
        write_rows(VALID_ROWS, read_rows(INGESTED_ROWS).drop(index=failing.index))
    print(f"validate: {report['rows'] - len(failing)} valid rows, {len(failing)} quarantined")


if __name__ == "__main__":
    run_command(main)
