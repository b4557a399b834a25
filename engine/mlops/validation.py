"""Validate rows: the columns as a pandera schema, and the problems that it finds.

Whole numbers are checked as floats: pandera's own coercion would silently turn 1.7 into 1.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
from joblib import Parallel, cpu_count, delayed

from mlops.columns import LONGEST, Column, Rule, Table
from mlops.frames import group_starts, read_group, read_rows

PROBLEM_COLUMNS = ["row", "column", "found", "wanted"]


def frame_schema(schema: Table, columns: Sequence[Column] | None = None) -> pa.DataFrameSchema:
    """Build the pandera schema of a frame of `columns` (default: all) and the rules among them."""
    columns = schema.columns if columns is None else columns
    names = {column.name for column in columns}
    return pa.DataFrameSchema(
        {column.name: _frame_column(column) for column in columns},
        checks=[_frame_rule(rule) for rule in schema.rules if names.issuperset(rule.columns)],
        strict=True,
    )


def _frame_column(column: Column) -> pa.Column:
    checks = []
    if column.choices:
        checks.append(pa.Check.isin(column.choices, error=column.wanted))
    elif column.type in (int, float):
        checks.append(pa.Check(lambda values: _in_range(values, column), error=column.wanted))
    elif column.type is bool:
        checks.append(pa.Check.isin([0.0, 1.0], error=column.wanted))
    elif column.type is str:
        longest = LONGEST if column.open else np.inf
        wanted = column.wanted if column.open else "a text, not empty"
        checks.append(pa.Check(lambda values: values.str.len().between(1, longest), error=wanted))
    return pa.Column(
        column.dtype,
        checks,
        nullable=column.nullable,
    )


def _in_range(values: pd.Series, column: Column) -> pd.Series:
    """Return which numbers are finite, within the bounds and, for an int column, whole."""
    low = -np.inf if column.low is None else column.low
    high = np.inf if column.high is None else column.high
    fits = values.between(low, high) & np.isfinite(values)  # infinity passes a lone `>=`
    return fits & (values == np.floor(values)) if column.type is int else fits


def _frame_rule(rule: Rule) -> pa.Check:
    def holds(rows: pd.DataFrame) -> pd.Series:
        verdict = pd.Series(True, index=rows.index)
        values = rows[list(rule.columns)].dropna()
        verdict.loc[values.index] = rule.holds(*(values[name] for name in rule.columns))
        return verdict

    return pa.Check(holds, name=rule.name, error=rule.description)


def problems(
    rows: pd.DataFrame, schema: Table, columns: Sequence[Column] | None = None
) -> pd.DataFrame:
    """List everything in `rows` that the schema forbids, at most one line per row and condition.

    Args:
        columns: exactly the columns that `rows` must have (default: all of the schema's).

    Returns:
        A frame with the columns row (position in `rows`, counted from 0; missing for a problem of
        a whole column), column, found (as text) and wanted, sorted by row.
    """
    rows = rows.reset_index(drop=True)
    return _gathered([_row_problems(rows, schema, columns), _key_problems(rows, schema)])


def file_problems(path: Path, schema: Table) -> pd.DataFrame:
    """List the problems of a Parquet file, row groups in parallel; keys across the whole file."""

    def of_group(group: int) -> pd.DataFrame:
        return _row_problems(read_group(path, group), schema, None)

    def of_keys() -> pd.DataFrame:
        return _key_problems(read_rows(path, [schema.key.name]), schema)

    groups = [delayed(of_group)(group) for group in range(len(group_starts(path)))]
    workers = Parallel(cpu_count(), backend="threading")
    return _gathered(workers([delayed(of_keys)(), *groups]))


def _gathered(found: list[pd.DataFrame]) -> pd.DataFrame:
    found = [lines for lines in found if not lines.empty]
    if not found:
        return pd.DataFrame(columns=PROBLEM_COLUMNS)
    lines = pd.concat(found).drop_duplicates(["row", "column", "wanted"])
    return lines.sort_values(["row", "column", "wanted"], ignore_index=True)


def _row_problems(
    rows: pd.DataFrame, schema: Table, columns: Sequence[Column] | None
) -> pd.DataFrame:
    """List the problems of single rows and of columns, with rows by their index label."""
    try:
        frame_schema(schema, columns).validate(rows, lazy=True, inplace=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases
    else:
        return pd.DataFrame(columns=PROBLEM_COLUMNS)
    rules = {rule.description: ", ".join(rule.columns) for rule in schema.rules}
    # A rule on a missing column only repeats that the column is missing.
    cases = cases[cases["index"].notna() | ~cases["check"].isin(rules)]
    wording = {
        "not_nullable": "a value",
        "column_in_dataframe": "this column",
        "column_in_schema": "no such column",
    }
    found = pd.DataFrame(
        {
            "row": cases["index"].astype("Int64"),
            "column": [
                rules.get(check, column)
                for check, column in zip(cases["check"], cases["column"], strict=True)
            ],
            "found": cases["failure_case"].map(_text),
            "wanted": cases["check"].astype(str).replace(wording),
        }
    )
    # pandera repeats a failing rule for each column of the frame, with an unrelated value.
    of_rule = cases["check"].isin(rules).to_numpy()
    found.loc[of_rule, "found"] = [
        _values(rows, row, columns)
        for row, columns in zip(found["row"][of_rule], found["column"][of_rule], strict=True)
    ]
    return found


def _key_problems(rows: pd.DataFrame, schema: Table) -> pd.DataFrame:
    """List the rows whose key is duplicated."""
    name = schema.key.name
    if name not in rows:
        return pd.DataFrame(columns=PROBLEM_COLUMNS)
    keys = rows[name]
    keys = keys[keys.duplicated(keep=False)]
    return pd.DataFrame(
        {
            "row": keys.index.astype("Int64"),
            "column": name,
            "found": keys.map(_text),
            "wanted": "a unique key",
        }
    )


def reasons(problems: pd.DataFrame) -> pd.Series:
    """Return the problems of each invalid row as one text, by the row's position."""
    of_rows = problems.dropna(subset="row")
    texts = of_rows["column"] + ": found " + of_rows["found"] + ", wanted " + of_rows["wanted"]
    return texts.groupby(of_rows["row"].astype("int64")).agg("; ".join).astype("str")


def _values(rows: pd.DataFrame, row: int, columns: str) -> str:
    """Format the values of several columns of one row, as 'rooms 4, bedrooms 5'."""
    return ", ".join(f"{name} {_text(rows.at[row, name])}" for name in columns.split(", "))


def _text(value: object) -> str:
    """Format a cell for people: 4 for 4.0, 2009-12-31 for a midnight, 'missing' for no value."""
    if value is None or value is pd.NaT or value != value:
        return "missing"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, pd.Timestamp):
        return (value.date() if value == value.normalize() else value).isoformat()
    return str(value)
