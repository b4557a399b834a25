"""Parse an unconverted file of the adopted system in the source to a typed table."""

import pyarrow as pa

from mlops.adopt.exports import fields_of, read_export
from mlops.adopt.source_form import SourceForm, load_form
from mlops.columns import Schema
from mlops.errors import UserError
from mlops.paths import SOURCE_FORM
from mlops.pipeline.parquet_parsing import cast
from mlops.pipeline.parsing import LINE, shortened

Parsed = tuple[pa.Table | None, list[str]]


def parse_export(content: bytes, path: str, schema: Schema) -> Parsed | None:
    """Parse a file in the form that adoption detected; return None if it has another form.

    Rows without a target are left out, and their number is printed.
    """
    form = load_form() if SOURCE_FORM.exists() else None
    if form is None or not _has_form(content, form):
        return None
    if form.numbered:
        return None, [
            "has the format of the adopted file, whose rows have no key, so they must be numbered "
            f"first: python -m mlops.adopt {path} --add"
        ]
    try:
        rows = read_export(content, form, schema.own)
    except UserError as error:
        if set(form.names) <= set(schema.names):  # then it may also be an invalid partition
            return None
        return None, shortened(iter([error.headline, *error.problems]))
    known = rows[schema.target.name].notna()
    if not known.all():
        name, target = path.rsplit("/", 1)[-1], schema.target.name
        print(f"ingest: {name}: {(~known).sum()} rows have no {target}: left out")
    columns, problems = {}, list[str]()
    if missing := [name for name in schema.names if name not in {*rows, *schema.optional}]:
        problems.append(f"missing column(s) {', '.join(missing)}")
    for column in (column for column in schema.columns if column.name in rows):
        values = pa.chunked_array([pa.Array.from_pandas(rows[column.name])])
        try:
            columns[column.name] = cast(values, column, schema.timezone)
        except pa.ArrowException as error:
            problems.append(f"column {column.name}: {error}")
    if problems:
        return None, problems
    if nameless := [line + 2 for line in rows.index[rows[schema.key.name].isna()]]:
        return None, [f"line {line}: {schema.key.name}: found nothing" for line in nameless[:20]]
    columns[LINE] = pa.array(rows.index + (1 if form.dialect is None else 2), pa.int64())
    return pa.table(columns).filter(pa.array(known)), []


def _has_form(content: bytes, form: SourceForm) -> bool:
    try:
        return set(form.names) <= set(fields_of(content, form))
    except UserError:
        return False
