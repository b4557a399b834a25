"""The table of columns as a pandera frame schema, and what it says of given rows.

Numbers are float64 in frames even where they must be whole: a missing value has no integer, and
pandera's own coercion would turn 1.7 into 1 without a word. Keys are int64 or text.
"""

import datetime
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pandera.pandas as pa
from joblib import Parallel, cpu_count, delayed

from mlops.columns import Column, Rule, Schema

_DTYPES = {float: "float64", int: "float64", str: "str", datetime.date: "datetime64[us]"}

PROBLEM_COLUMNS = ["row", "column", "found", "wanted"]
_CASE_COLUMNS = ["index", "column", "check", "failure_case"]

AT_ONCE = 250_000
"""Rows that a processor checks at a time: pandera copies what it is given."""


def frame_dtype(column: Column) -> str:
    """Name the pandas dtype that a column has in every frame of the pipeline."""
    return "int64" if column.role == "key" and column.type is int else _DTYPES[column.type]


def frame_schema(schema: Schema, columns: Sequence[Column] | None = None) -> pa.DataFrameSchema:
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
    elif column.type is str:
        checks.append(pa.Check(lambda values: values.str.len() > 0, error="a text, not empty"))
    return pa.Column(
        frame_dtype(column),
        checks,
        nullable=column.nullable,
    )


def _in_range(values: pd.Series, column: Column) -> pd.Series:
    """Tell which numbers are finite, within the bounds and, where wanted, whole."""
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
    rows: pd.DataFrame, schema: Schema, columns: Sequence[Column] | None = None
) -> pd.DataFrame:
    """List everything in `rows` that the contract forbids, at most one line a row and condition.

    Args:
        columns: those that `rows` has to have, and no others (default: all of the schema's).

    Returns:
        A frame with the columns row (position in `rows`, counted from 0; missing for a problem of
        a whole column), column, found (as text) and wanted, sorted by row.
    """
    rows = rows.reset_index(drop=True)
    parts = [rows.iloc[start : start + AT_ONCE] for start in range(0, len(rows) or 1, AT_ONCE)]
    workers = Parallel(cpu_count(), backend="threading")
    jobs = [delayed(_failure_cases)(part, schema, columns) for part in parts]
    cases = pd.concat(workers([delayed(_repeated_keys)(rows, schema), *jobs]), ignore_index=True)
    if cases.empty:
        return pd.DataFrame(columns=PROBLEM_COLUMNS)
    rules = {rule.description: ", ".join(rule.columns) for rule in schema.rules}
    # A rule on a column that is missing adds nothing to that.
    cases = cases[cases["index"].notna() | ~cases["check"].isin(rules)]
    wording = {
        "not_nullable": "a value",
        "field_uniqueness": "a key of its own",
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
    # pandera repeats a failing rule once a column of the frame; its own value says nothing there.
    of_rule = cases["check"].isin(rules).to_numpy()
    found.loc[of_rule, "found"] = [
        _values(rows, row, columns)
        for row, columns in zip(found["row"][of_rule], found["column"][of_rule], strict=True)
    ]
    found = found.drop_duplicates(["row", "column", "wanted"])
    return found.sort_values(["row", "column", "wanted"], ignore_index=True)


def _failure_cases(
    rows: pd.DataFrame, schema: Schema, columns: Sequence[Column] | None
) -> pd.DataFrame:
    """List in pandera's form what single rows break, by their place in the index."""
    try:
        frame_schema(schema, columns).validate(rows, lazy=True)
    except pa.errors.SchemaErrors as errors:
        return errors.failure_cases
    return pd.DataFrame(columns=_CASE_COLUMNS)


def _repeated_keys(rows: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """List in the same form the keys that stand on several rows, of all parts."""
    name = schema.key.name
    if name not in rows:
        return pd.DataFrame(columns=_CASE_COLUMNS)
    keys = rows[name]
    keys = keys[keys.duplicated(keep=False)]
    cases = {"index": keys.index, "column": name, "check": "field_uniqueness"}
    return pd.DataFrame(cases | {"failure_case": keys.to_numpy(dtype=object)})


def reasons(problems: pd.DataFrame) -> pd.Series:
    """Write all that is wrong with each failing row as one text, by the row's position."""
    of_rows = problems.dropna(subset="row")
    texts = of_rows["column"] + ": found " + of_rows["found"] + ", wanted " + of_rows["wanted"]
    return texts.groupby(of_rows["row"].astype("int64")).agg("; ".join).astype("str")


def _values(rows: pd.DataFrame, row: int, columns: str) -> str:
    """Write the values of several columns of one row, as 'rooms 4, bedrooms 5'."""
    return ", ".join(f"{name} {_text(rows.at[row, name])}" for name in columns.split(", "))


def _text(value: object) -> str:
    """Write a cell as a person would: 4 for 4.0, 2009-12-31 for a midnight, a word for nothing."""
    if value is None or value is pd.NaT or value != value:
        return "missing"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.date().isoformat() if isinstance(value, pd.Timestamp) else str(value)
