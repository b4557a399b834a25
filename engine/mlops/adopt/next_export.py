"""The next file of a system whose first one was adopted: the same names, the same conversions."""

import tempfile
from pathlib import Path

import pandas as pd

from mlops import validation
from mlops.adopt import dialect, parse_column
from mlops.adopt.columnar import columns_of
from mlops.adopt.infer_column import texts
from mlops.adopt.parse_column import Asked
from mlops.adopt.reading import content_of, header_names
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

    A column that came into the schema since then has its own name in the file, too; a nullable one
    may lack.

    Args:
        columns: those that are wanted of it.

    Raises:
        UserError: it is written in another way; each place is named.
    """
    content = content_of(path)
    if form.dialect is None:
        given, _ = columns_of(content, None)
    else:
        text, _ = dialect.decode(content, form.dialect.encoding)
        _, lines = dialect.split(text, form.dialect)
        headers, _ = header_names(lines[0][1])
        fields = zip(*(line for _, line in lines[1:]), strict=True)
        given = {
            h: pd.Series(values, dtype="object") for h, values in zip(headers, fields, strict=False)
        }
    since = {c.name for c in columns} - {*form.names.values(), form.numbered}
    names = form.names | {name: name for name in since}
    wanted = {header: c for header, name in names.items() for c in columns if c.name == name}
    lacking = [header for header in wanted if header not in given]
    if missing := [header for header in lacking if not wanted[header].nullable]:
        raise UserError(f"{path}: missing column(s) {', '.join(missing)}", _headers(given))
    rows, problems = {}, list[str]()
    for header, column in wanted.items():
        if header in lacking:
            continue
        rows[column.name], found = _convert(header, given[header], form, column)
        problems += found
    if problems:
        raise UserError(
            f"{path}: {len(problems)} value(s) are written otherwise than in the adopted file",
            problems,
            "Nothing was taken in. Mend them, or adopt anew with --replace",
        )
    return pd.DataFrame(rows)


def _headers(given: dict[str, pd.Series]) -> list[str]:
    return [f"found: {', '.join(given)}"]


def _convert(
    header: str, given: pd.Series, form: SourceForm, column: Column
) -> tuple[pd.Series, list[str]]:
    conversion, asked = form.conversions.get(header), Asked(missing=form.missing)
    if conversion is None and given.dtype != object and not pd.api.types.is_string_dtype(given):
        return (texts(given) if column.type is str else given), []
    plain = ["" if value is None or value != value else str(value) for value in given]
    clean, _ = parse_column.without_missing(header, plain, asked)
    values = parse_column.apply(conversion, clean)
    wrong = [
        f"row {row}: {header}: found {text!r}"
        for row, (text, lost) in enumerate(zip(clean, values.isna(), strict=True), 1)
        if text and lost
    ]
    return (texts(values) if column.type is str else values), wrong


def prepare(path: Path, schema: Schema, source: str) -> tuple[pd.DataFrame, list[str]]:
    """Make the rows of the next partition; say what a person should know before it is written."""
    form, notes = load_form(), list[str]()
    carried = {name for join in schema.joins for name in join.carried}
    rows = read_next(path, form, tuple(c for c in schema.columns if c.name not in carried))
    known = rows[schema.target.name].notna()
    if not known.all():
        notes.append(f"{(~known).sum()} rows have no {schema.target.name}: left out")
    rows = rows[known].reset_index(drop=True)
    present = as_frame(read_partitions(source, schema))
    values = [name for name in schema.names if name in rows and name != schema.key.name]
    if form.numbered:
        first = 1 + max(int(str(n)) for n in present[form.numbered])
        rows[form.numbered] = range(first, first + len(rows))
        notes.append(f"rows are numbered as {form.numbered} from {first}")
        again = rows[values].astype(str).merge(present[values].astype(str).drop_duplicates())
        if len(again):
            notes.append(f"{len(again)} of {len(rows)} rows stand in {source} already, key apart")
    rows = rows[[name for name in schema.names if name in rows]]
    own = tuple(column for column in schema.columns if column.name in rows)
    broken = validation.problems(_in_types(rows, own), schema, own)
    reasons = validation.reasons(broken)
    notes += [
        f"row {int(str(row)) + 1} fails the schema: {why}" for row, why in reasons.head().items()
    ]
    notes += [f"… and {len(reasons) - 5} rows more fail it"] if len(reasons) > 5 else []
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
    return rows.astype({column.name: validation.frame_dtype(column) for column in columns})


def write_next(path: Path, rows: pd.DataFrame, schema: Schema, source: Path, text: bool) -> Path:
    """Write the partition beside the others, if ingestion would take it.

    Raises:
        UserError: it would not, or a file of that name is there.
    """
    name = partition_name(path, text)
    if (source / name).exists():
        raise UserError(f"{source / name}: is there already", advice="Give the file another name")
    with tempfile.TemporaryDirectory() as folder:
        tried = Path(folder) / name
        if text:
            rows.to_csv(tried, index=False, lineterminator="\n")
        else:
            rows.to_parquet(tried, index=False)
        _, problems = (parse_csv if text else parse_parquet)(tried.read_bytes(), schema)
        if problems:
            raise UserError(f"{path}: ingestion would refuse the rows", problems)
        with atomic_write(source / name) as temporary:
            temporary.write_bytes(tried.read_bytes())
    return source / name


def partition_name(path: Path, text: bool) -> str:
    """Name the partition of a file.

    Raises:
        UserError: the name is that of the partition which retraining writes and deletes.
    """
    name = f"{path.name.split('.')[0]}.{'csv' if text else 'parquet'}"
    if name.lower() == FEEDBACK:
        raise UserError(
            f"{path}: a retraining writes and deletes the partition {FEEDBACK}",
            advice="Give the file another name",
        )
    return name
