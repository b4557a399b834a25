"""Stage prepare: valid rows -> the rows that the project's cleaning function keeps."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from mlops import validation
from mlops.columns import Schema
from mlops.errors import UserError, run_command
from mlops.files import atomic_write
from mlops.frames import read_rows, write_rows
from mlops.paths import PREPARED_ROWS, VALID_ROWS
from mlops.pipeline.prepared import Prepare, differences
from mlops.project import load_prepare, load_schema

WHERE = "src/project/prepare.py"


def prepared(rows: pd.DataFrame, prepare: Prepare, schema: Schema) -> pd.DataFrame:
    """Call the project's function, and validate its result against the schema.

    Returns:
        Rows in the original order, columns in the schema's.

    Raises:
        UserError: the function fails, or returns unknown keys, changed times or invalid rows.
    """
    try:
        given = prepare(rows.copy())
    except Exception as error:
        raise UserError(f"{WHERE}: its function fails: {type(error).__name__}: {error}") from error
    if not isinstance(given, pd.DataFrame):
        raise UserError(f"{WHERE}: found {type(given).__name__}, wanted a DataFrame")
    if problems := _column_problems(given, schema):
        raise UserError(f"{WHERE}: the columns are not those of the schema", problems)
    kept = _typed(given.reset_index(drop=True), schema)
    if problems := _row_problems(kept, rows, schema):
        raise UserError(
            f"{WHERE}: {len(problems)} problem(s) in the rows that it returns",
            problems,
            "Nothing was written. It must return only rows that it was given, each of them valid.",
        )
    key = schema.key.name
    return (
        kept.set_index(key)
        .reindex(rows[key][rows[key].isin(kept[key])])
        .reset_index()[schema.names]
    )


def _column_problems(given: pd.DataFrame, schema: Schema) -> list[str]:
    names = list(map(str, given.columns))
    problems = [f"column {name}: missing" for name in schema.names if name not in names]
    problems += [
        f"column {name}: unknown: define new columns in src/project/features.py"
        for name in names
        if name not in schema.names
    ]
    return problems + [
        f"column {name}: is duplicated" for name in schema.names if names.count(name) > 1
    ]


def _typed(given: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Cast each column to the schema's type.

    Raises:
        UserError: values don't fit; the message lists all such columns.
    """
    columns, problems = {}, []
    for column in schema.columns:
        try:
            dtype: Any = column.dtype
            columns[column.name] = given[column.name].astype(dtype)
        except (ValueError, TypeError) as error:
            problems.append(f"column {column.name}: wanted {column.wanted}: {error}")
    if problems:
        raise UserError(f"{WHERE}: values don't have the schema's types", problems)
    return pd.DataFrame(columns)


def _row_problems(kept: pd.DataFrame, rows: pd.DataFrame, schema: Schema) -> list[str]:
    key = schema.key.name
    if kept.empty:
        return ["no rows are left"]
    strange = kept[key][~kept[key].isin(rows[key])]
    problems = [f"{key} {value}: no row with this key was given" for value in strange]
    if schema.time is not None:
        was = rows.set_index(key)[schema.time.name].reindex(kept[key]).to_numpy()
        moved = kept[key][(kept[schema.time.name].to_numpy() != was) & ~kept[key].isin(strange)]
        problems += [
            f"{key} {value}: {schema.time.name} was changed, but it selects the test rows"
            for value in moved
        ]
    broken = validation.reasons(validation.problems(kept, schema))
    keys = kept[key].tolist()
    return problems + [
        f"{key} {keys[row]}: {why}" for row, why in zip(broken.index.tolist(), broken, strict=True)
    ]


def copy_rows(given: Path, out: Path) -> None:
    """Copy a file of rows unchanged, byte by byte."""
    with atomic_write(out) as temporary:
        shutil.copyfile(given, temporary)


def main() -> None:
    prepare = load_prepare()
    if prepare is None:
        copy_rows(VALID_ROWS, PREPARED_ROWS)
        print(f"prepare: no {WHERE}: the rows are copied unchanged")
        return
    schema, rows = load_schema(), read_rows(VALID_ROWS)
    kept = prepared(rows, prepare, schema)
    found = differences(rows, kept, schema)
    if found.removed.empty and found.changed.empty:
        copy_rows(VALID_ROWS, PREPARED_ROWS)
    else:
        write_rows(PREPARED_ROWS, kept)
    print(f"prepare: {len(kept)} rows; {found.said}")


if __name__ == "__main__":
    run_command(main)
