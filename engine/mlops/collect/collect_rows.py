"""Find a database's rows that a source lacks, and write them as a partition."""

import datetime
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from mlops.collect.cells import as_rows
from mlops.collect.source_database import QUERY, VARIABLE, ask, read_query
from mlops.columns import Schema
from mlops.errors import UserError
from mlops.files import atomic_write
from mlops.frames import as_frame
from mlops.partition_text import csv_text
from mlops.paths import FEEDBACK
from mlops.pipeline.parsing import FILE
from mlops.pipeline.partitions import PARSERS, read_partitions

LATE_DAYS = 30
"""The query covers this many days before the newest one, to find late rows."""

_FIRST = datetime.date(1900, 1, 1)
_DAY = datetime.timedelta(days=1)
LISTED = 5


@dataclass(frozen=True)
class New:
    """Rows that the source lacks.

    Attributes:
        rows: of days after the source's newest one.
        late: of days up to that one.
        newest: that day; None for a source without partitions.
    """

    rows: pd.DataFrame
    late: pd.DataFrame
    newest: datetime.date | None


def find_new(
    address: str, query: sa.TextClause, source: str, today: datetime.date, schema: Schema
) -> New:
    """Query the rows of days before `today` that the source may lack.

    Raises:
        UserError: the schema has no time, the source is not a local folder, the query fails,
            or its rows do not fit the schema or the source.
    """
    if schema.time is None:
        raise UserError(
            "The schema has no column of role 'time': new rows can't be distinguished from old ones"
        )
    time, key = schema.time.name, schema.key.name
    known = _known(source, schema)
    newest = known[time].max().date() if len(known) else None
    since = newest - LATE_DAYS * _DAY if newest else _FIRST
    # One more day on either side: the database's time zone may differ. Rows are filtered below.
    names, found = ask(address, query, max(_FIRST, since - _DAY), today + _DAY)
    rows = as_rows(names, found, schema)
    rows = rows[(rows[time] < pd.Timestamp(today)) & (rows[time] >= pd.Timestamp(since))]
    if repeated := sorted(set(rows[key][rows[key].duplicated()])):
        shown = [f"{key} {value}: is on several rows" for value in repeated]
        raise UserError(f"{QUERY}: {len(shown)} duplicate key(s)", shown)
    after = pd.Timestamp(newest + _DAY if newest else _FIRST)
    there, is_new = rows[key].isin(known[key]), rows[time] >= after
    if moved := rows[key][there & is_new].tolist():
        shown = [f"{key} {value}: has an earlier day in {source}" for value in moved]
        raise UserError(
            f"{QUERY}: {len(shown)} row(s) were collected before, with another day", shown
        )
    return New(rows[is_new], rows[~is_new & ~there], newest)


def _known(source: str, schema: Schema) -> pd.DataFrame:
    """Read the source's rows without feedback."""
    folder = Path(source)
    if "://" in source:
        raise UserError(
            f"ingest.source {source}: collect writes into a folder of this repository",
            advice="Set ingest.source to a folder, or let your own job write the partitions.",
        )
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    if not any(n.lower().endswith(tuple(PARSERS)) and n[0] not in "._" for n in names):
        return pd.DataFrame(columns=schema.names)
    rows = as_frame(read_partitions(source, schema))
    return rows[rows[FILE] != FEEDBACK]


def write_new(new: New, source: str, late: bool, schema: Schema) -> Path | None:
    """Write the next partition, if there is a row for it; return its path.

    Raises:
        UserError: ingestion would reject the rows, or a file of that name exists.
    """
    assert schema.time is not None
    rows = pd.concat([new.late, new.rows]) if late else new.rows
    if rows.empty:
        return None
    days = rows[schema.time.name]
    has_late = "_late" if late and len(new.late) else ""
    name = f"{days.min().date()}_{days.max().date()}{has_late}"
    content, ending = _content(rows, schema)
    _, problems = PARSERS[ending](content, schema)
    if problems:
        raise UserError(f"{QUERY}: ingestion would reject the rows; none are written", problems)
    path = Path(source) / f"{name}{ending}"
    if path.exists():
        raise UserError(f"{path}: already exists", advice="Rename that file.")
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    return path


def _content(rows: pd.DataFrame, schema: Schema) -> tuple[bytes, str]:
    """Return CSV, which git can diff, or Parquet if a text has several lines; and the ending."""
    texts = [rows[c.name].dropna() for c in schema.columns if c.type is str and c.name in rows]
    if any(values.str.contains(r"[\r\n]").any() for values in texts):
        return rows.sort_values(schema.key.name).to_parquet(index=False), ".parquet"
    return csv_text(rows, schema).encode(), ".csv"


def said_of_late(new: New, schema: Schema) -> str:
    """Describe the late rows; return an empty text if there are none."""
    if new.late.empty:
        return ""
    keys = ", ".join(map(str, new.late[schema.key.name].head(LISTED)))
    more = " …" if len(new.late) > LISTED else ""
    return (
        f"{len(new.late):,} late row(s), of days up to {new.newest} that were collected before: "
        f"{schema.key.name} {keys}{more}"
    )


def collect(
    source: str, schema: Schema, today: datetime.date, late: bool = False, dry: bool = False
) -> Path | None:
    """Write the next partition if an address is set, and print a summary.

    Raises:
        UserError: as `find_new` and `write_new`.
    """
    if not (address := os.environ.get(VARIABLE)):
        print(f"collect: {VARIABLE} is not set: no database to collect from")
        return None
    new = find_new(address, read_query(), source, today, schema)
    if told := said_of_late(new, schema):
        print(f"collect: {told}; {'collected' if late else 'not collected: pass --late'}")
    since = f"after {new.newest}" if new.newest else "from the first day"
    print(f"collect: {len(new.rows):,} new row(s) {since}, up to {today - _DAY}")
    path = None if dry else write_new(new, source, late, schema)
    if path is not None:
        print(f"collect: {path} written" + _kept_by_dvc(path))
    return path


def _kept_by_dvc(path: Path) -> str:
    run = subprocess.run(["git", "check-ignore", "--quiet", str(path)], capture_output=True)
    return "" if run.returncode else f"; git ignores it: dvc add {path.parent} && dvc push"
