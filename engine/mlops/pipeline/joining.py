"""Join a second table to rows by key: none is multiplied or lost, unmatched ones are reported."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from mlops import validation
from mlops.columns import Schema, Table
from mlops.errors import UserError
from mlops.files import unpack
from mlops.frames import as_frame
from mlops.joins import Join
from mlops.lookups import Content, looked_up
from mlops.pipeline.parsing import FILE, shortened
from mlops.pipeline.partitions import MOST_BYTES, PARSERS

MOST_ROWS = 100_000
"""Limit for a table in the bundle, because a server keeps it in memory."""

LISTED = 5


def read_table(join: Join, timezone: str) -> pd.DataFrame:
    """Read a table and validate it against its own columns; the index is its key.

    Raises:
        UserError: it is missing, faulty, too large for a bundle, or a key is duplicated; the
            message lists all problems.
    """
    where, path = f"{join.path} (table {join.table!r} of src/project/sources.py)", Path(join.path)
    table = Table(join.columns, timezone=timezone)
    try:
        content = path.read_bytes()
        if path.name.lower().endswith(".gz"):
            content = unpack(content, MOST_BYTES)
    except (OSError, ValueError) as error:
        advice = "Add the file; if DVC tracks it: dvc checkout, or dvc pull"
        raise UserError(f"{where}: can't be read: {error}", advice=advice) from error
    ending = next(ending for ending in PARSERS if path.name.lower().endswith(ending))
    parsed, problems = PARSERS[ending](content, table)
    if parsed is not None:
        rows = as_frame(parsed).reindex(columns=table.names)
        rows = rows.astype({column.name: column.dtype for column in join.columns})
        problems = list(_row_problems(rows, table))
        if join.serve == "table" and len(rows) > MOST_ROWS:
            problems.append(
                f"{len(rows):,} rows, wanted at most {MOST_ROWS:,} in a table that a server keeps "
                "in memory; for a larger one, set serve='request': requests contain its columns"
            )
    if problems:
        raise UserError(f"{where}: {len(problems)} problem(s)", problems)
    return rows.set_index(table.key.name)


def _row_problems(rows: pd.DataFrame, table: Table) -> Sequence[str]:
    found = validation.problems(rows, table)
    keys, key = rows[table.key.name].tolist(), table.key.name
    reasons = validation.reasons(found)
    return shortened(
        f"{key} {keys[row]}: {why}"
        for row, why in zip(reasons.index.tolist(), reasons, strict=True)
    )


def contents(schema: Schema) -> dict[str, Content]:
    """Read the tables that the bundle serves, as plain values by column.

    Raises:
        UserError: a table is faulty.
    """
    found: dict[str, Content] = {}
    for join in looked_up(schema):
        rows = read_table(join, schema.timezone).reset_index()
        names = [join.keyed.key.name, *(column.name for column in join.brought)]
        values = rows[names].astype(object)
        values = values.where(values.notna(), None)
        found[join.table] = {name: values[name].tolist() for name in names}
    return found


def bring(
    rows: pd.DataFrame, lacks: Mapping[str, Sequence[str]], join: Join, table: pd.DataFrame
) -> tuple[pd.DataFrame, list[str]]:
    """Fill a join's columns in rows of partitions that lack them; note unmatched rows.

    A partition that has the columns keeps its own values, which may be those of its time.

    Args:
        rows: with FILE, and the join's columns if a request carries them.
        lacks: column -> partitions without it.

    Raises:
        UserError: rows have no match, and the join rejects that.
    """
    wanted = pd.Series(join.serve == "table", rows.index)  # rows that need a match
    for name in sorted(join.carried):
        lacking = rows[FILE].isin(list(lacks.get(name, ())))
        found = pd.Series(table[name].reindex(rows[join.on]).to_numpy(), rows.index)
        values = rows[name].astype(table[name].dtype)
        rows = rows.assign(**{name: values.where(~lacking, found.astype(values.dtype))})
        wanted |= lacking
    lost = wanted & ~rows[join.on].isin(table.index)
    return rows, _unmatched(rows[join.on][lost], len(rows), join)


def _unmatched(keys: pd.Series, n_rows: int, join: Join) -> list[str]:
    """Describe the keys that the table lacks, and the number of their rows."""
    if keys.empty:
        return []
    named = keys.value_counts(dropna=False)
    shown = ", ".join("none" if pd.isna(key) else str(key) for key in named.index[:LISTED])
    more = f" and {len(named) - LISTED} more" if len(named) > LISTED else ""
    text = (
        f"table {join.table!r}: {len(keys):,} of {n_rows:,} rows have no match for {join.on}: "
        f"{shown}{more}"
    )
    if join.unmatched == "refuse":
        raise UserError(
            text,
            advice=f"Ingestion stopped. Add them to {join.path}, or set unmatched='missing' "
            "in src/project/sources.py: their columns are then missing.",
        )
    return [f"{text}; its columns are missing there"]
