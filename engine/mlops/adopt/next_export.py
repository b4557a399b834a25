"""Add the next file of an adopted system, with the first file's names and conversions."""

import tempfile
from pathlib import Path

import pandas as pd

from mlops import validation
from mlops.adopt.exports import read_export
from mlops.adopt.reading import content_of
from mlops.adopt.source_form import SourceForm, load_form
from mlops.columns import Column, Schema
from mlops.errors import UserError
from mlops.files import atomic_write
from mlops.frames import as_frame
from mlops.params import PARAMS_FILE, load_params
from mlops.paths import FEEDBACK
from mlops.pipeline.csv_parsing import parse_csv
from mlops.pipeline.parquet_parsing import parse_parquet
from mlops.pipeline.partitions import read_partitions


def read_next(path: Path, form: SourceForm, columns: tuple[Column, ...]) -> pd.DataFrame:
    """Read a file as the adopted one was read, under the schema's names.

    Raises:
        UserError: the file's format differs; the message lists each place.
    """
    content = content_of(path)
    try:
        return read_export(content, form, columns)
    except UserError as error:
        raise UserError(f"{path}: {error.headline}", error.problems, error.advice) from error


def prepare(path: Path, schema: Schema, source: str) -> tuple[pd.DataFrame, list[str]]:
    """Return the next partition's rows, and notes for the user before it is written."""
    form, notes = load_form(), list[str]()
    rows = read_next(path, form, schema.own)
    known = rows[schema.target.name].notna()
    if not known.all():
        notes.append(f"{(~known).sum()} rows have no {schema.target.name}: left out")
    rows = rows[known].reset_index(drop=True)
    present = as_frame(read_partitions(source, schema, without=path.name))
    values = [name for name in schema.names if name in rows and name != schema.key.name]
    if form.numbered:
        first = 1 + max(int(str(n)) for n in present[form.numbered])
        rows[form.numbered] = range(first, first + len(rows))
        notes.append(f"rows are numbered as {form.numbered} from {first}")
        again = rows[values].astype(str).merge(present[values].astype(str).drop_duplicates())
        if len(again):
            notes.append(
                f"{len(again)} of {len(rows)} rows are already in {source}, under other keys"
            )
    rows = rows[[name for name in schema.names if name in rows]]
    own = tuple(column for column in schema.columns if column.name in rows)
    broken = validation.problems(_in_types(rows, own), schema, own)
    reasons = validation.reasons(broken)
    notes += [
        f"row {int(str(row)) + 1} fails the schema: {why}" for row, why in reasons.head().items()
    ]
    notes += [f"… and {len(reasons) - 5} more rows fail it"] if len(reasons) > 5 else []
    if schema.time is not None:
        days = rows[schema.time.name]
        notes.append(f"{len(rows)} rows from {days.min()} to {days.max()}")
        until = load_params(PARAMS_FILE, schema).ingest.until
        if days.max().date() > until:
            notes.append(f"ingest.until is {until}: raise it to {days.max().date()} in params.yaml")
    else:
        notes.append(f"{len(rows)} rows")
    return rows, notes


def _in_types(rows: pd.DataFrame, columns: tuple[Column, ...]) -> pd.DataFrame:
    return rows.astype({column.name: column.dtype for column in columns})


def write_next(path: Path, rows: pd.DataFrame, schema: Schema, source: Path, text: bool) -> Path:
    """Write the partition to the source folder; replace the file itself if it is there.

    Raises:
        UserError: ingestion would reject the rows, or a file of that name exists.
    """
    name = partition_name(path, text)
    dropped = path.resolve().parent == source.resolve()  # by hand; convert it in place
    if (source / name).exists() and not (dropped and path.name == name):
        raise UserError(f"{source / name}: already exists", advice="Rename the file")
    with tempfile.TemporaryDirectory() as folder:
        tried = Path(folder) / name
        if text:
            rows.to_csv(tried, index=False, lineterminator="\n")
        else:
            rows.to_parquet(tried, index=False)
        _, problems = (parse_csv if text else parse_parquet)(tried.read_bytes(), schema)
        if problems:
            raise UserError(f"{path}: ingestion would reject the rows", problems)
        with atomic_write(source / name) as temporary:
            temporary.write_bytes(tried.read_bytes())
    if dropped and path.name != name:
        path.unlink()
    return source / name


def partition_name(path: Path, text: bool) -> str:
    """Return the name of a file's partition.

    Raises:
        UserError: the name is reserved: retraining writes and deletes that partition.
    """
    name = f"{path.name.split('.')[0]}.{'csv' if text else 'parquet'}"
    if name.lower() == FEEDBACK:
        raise UserError(
            f"{path}: the name {FEEDBACK} is reserved: retraining writes and deletes that file",
            advice="Rename the file",
        )
    return name
