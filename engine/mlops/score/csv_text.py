"""CSV input and output of batch scoring."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from mlops.adopt.next_export import read_next
from mlops.adopt.reading import content_of
from mlops.adopt.source_form import load_form
from mlops.columns import Schema
from mlops.errors import UserError
from mlops.paths import SOURCE_FORM
from mlops.pipeline.parquet_parsing import cast
from mlops.pipeline.parsing import arrow_type
from mlops.score.rows import columns


def text_rows(path: Path, schema: Schema) -> pa.Table:
    """Read key and features of a CSV file that has the schema's names or the adopted file's form.

    Raises:
        UserError: the file has another format.
    """
    wanted = columns(schema)
    try:
        return pyarrow.csv.read_csv(
            io.BytesIO(content_of(path)),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=[column.name for column in wanted],
                column_types={column.name: arrow_type(column) for column in wanted},
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except (pa.ArrowException, KeyError) as error:
        if not SOURCE_FORM.exists():
            raise UserError(
                f"{path}: {error}", advice=f"Wanted {', '.join(column.name for column in wanted)}"
            ) from error
    form = load_form()
    rows = read_next(path, form, wanted)
    if form.numbered:
        rows[form.numbered] = range(1, len(rows) + 1)
    given = {c: pa.chunked_array([pa.Array.from_pandas(rows[c.name])]) for c in wanted}
    return pa.table({c.name: cast(v, c, schema.timezone) for c, v in given.items()})


def write_text_rows(rows: pa.Table, path: Path) -> None:
    """Write scored rows as CSV, one column per probability."""
    pyarrow.csv.write_csv(rows.flatten(), path)
