"""Stage ingest: a source's partitions -> one sorted table of rows up to a given day."""

import datetime

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mlops.columns import Schema
from mlops.errors import UserError, run_command
from mlops.frames import as_frame, write_rows
from mlops.paths import INGESTED_ROWS
from mlops.pipeline.joining import bring, read_table
from mlops.pipeline.parsing import FILE, LINE
from mlops.pipeline.partitions import lacking, places, read_partitions
from mlops.project import load_project_params, load_schema

LISTED = 5
"""Partitions named in a note."""


def up_to(table: pa.Table, until: datetime.date, max_gap_days: int, schema: Schema) -> pa.Table:
    """Keep the rows up to the end of day `until`.

    Raises:
        UserError: no row is left, or the newest is more than `max_gap_days` older than `until`,
            so the next partition is late.
    """
    if schema.time is None:
        return table
    end = datetime.datetime.combine(until, datetime.time()) + datetime.timedelta(days=1)
    # Keep rows without a time: the validate stage reports them.
    kept = table.filter(pc.less(table[schema.time.name], end).fill_null(True))
    if not len(kept):
        first = pc.min(table[schema.time.name]).as_py()
        raise UserError(f"ingest.until {until}: no row is that old, the oldest one is from {first}")
    newest = pc.max(kept[schema.time.name]).as_py()
    if newest is not None and (until - newest.date()).days > max_gap_days:
        row = pc.index(kept[schema.time.name], newest).as_py()
        place = next(places(*(kept[name].slice(row, 1).to_pylist() for name in (FILE, LINE))))
        raise UserError(
            f"ingest.until {until}: the newest row up to that day is from {newest.date()} "
            f"({place}): the next partition is late",
            advice=f"Wanted a row within ingest.max_gap_days = {max_gap_days} days before. Add "
            "the partition, lower ingest.until, or allow a longer gap.",
        )
    return kept


def without_duplicates(rows: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Drop exact duplicates.

    Raises:
        UserError: rows of the same key differ; the message lists all such keys and places.
    """
    key = schema.key.name
    repeated = rows[rows[key].duplicated(keep=False) & rows[key].notna()]
    if repeated.empty:
        return rows
    copies = repeated.duplicated(schema.names)
    differing = repeated[~copies & repeated[~copies][key].duplicated(keep=False)]
    if not differing.empty:
        problems = []
        for value, group in differing.groupby(key, sort=True):
            columns = [name for name in schema.names if group[name].nunique(dropna=False) > 1]
            shown = ", ".join(f"{c} {' / '.join(map(str, group[c]))}" for c in columns)
            problems.append(
                f"{key} {value}: {' and '.join(places(group[FILE], group[LINE]))}: {shown}"
            )
        raise UserError(
            f"{len(problems)} key(s) with conflicting rows",
            problems,
            "Ingestion stopped. Remove the incorrect row from its partition.",
        )
    return rows.drop(index=repeated.index[copies])


def said_of_lacking(
    lacks: dict[str, list[str]], n_partitions: int, source: str, schema: Schema
) -> list[str]:
    """Describe the columns that some partitions lack and that are missing values there.

    Raises:
        UserError: no partition has a column, perhaps a misspelled one; all such are listed.
    """
    brought = {name for join in schema.joins for name in join.carried}
    own = {name: files for name, files in lacks.items() if name not in brought}
    if nowhere := [name for name, files in own.items() if len(files) == n_partitions]:
        raise UserError(
            f"ingest.source {source}: no partition has column(s) {', '.join(nowhere)}",
            advice="A nullable column may be missing from some partitions, not from all. Is it "
            "spelled in src/project/schema.py as in the files?",
        )
    return [
        f"{name}: {len(files)} partition(s) without it, where it is missing: "
        + ", ".join(files[:LISTED])
        + (" …" if len(files) > LISTED else "")
        for name, files in own.items()
    ]


def main() -> None:
    params, schema = load_project_params().ingest, load_schema()
    tables = {join.table: read_table(join, schema.timezone) for join in schema.joins}
    table = read_partitions(params.source, schema)
    lacks = lacking(table)
    n_partitions = len(pc.unique(table[FILE]))
    n_found = len(table)
    table = up_to(table, params.until, params.max_gap_days, schema)
    n_kept = len(table)
    rows = as_frame(table)
    del table  # frees as much memory as the rest needs
    rows = without_duplicates(rows, schema)
    notes = said_of_lacking(lacks, n_partitions, params.source, schema)
    for join in schema.joins:
        rows, said = bring(rows, lacks, join, tables[join.table])
        notes += said
    order = [column.name for column in (schema.time, schema.key) if column is not None]
    rows = rows.sort_values(order, ignore_index=True)[schema.names]
    write_rows(INGESTED_ROWS, rows, notes)
    print(
        f"ingest: {len(rows)} rows up to {params.until} from {n_partitions} partitions "
        f"({n_kept - len(rows)} duplicates dropped, {n_found - n_kept} later rows ignored)",
        *notes,
        sep="\ningest: ",
    )


if __name__ == "__main__":
    run_command(main)
