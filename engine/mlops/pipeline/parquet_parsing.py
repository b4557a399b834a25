"""The bytes of a Parquet partition as a typed table, or all that is wrong with them, by row."""

import io

import pyarrow as pa
import pyarrow.parquet

from mlops.columns import Column, Schema
from mlops.pipeline.parsing import arrow_type, local_times, name_problems, shortened

PLAIN_BYTES = 256_000_000
MOST_RATIO = 100
"""A file may become so many times larger when it is read, or as large as PLAIN_BYTES."""


def parse_parquet(content: bytes, schema: Schema) -> tuple[pa.Table | None, list[str]]:
    """Parse a Parquet partition."""
    try:
        file = pa.parquet.ParquetFile(io.BytesIO(content))
        names = file.schema_arrow.names
        if problem := _bomb(file, len(content)):
            return None, [problem]
        table = file.read()
        table.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        return None, [f"is empty, truncated or no Parquet: {error}"]
    if problems := name_problems(names, schema):
        return None, problems
    if not len(table):
        return None, ["has no row"]
    columns, problems = [], []
    for column in schema.columns:
        values, wanted = table[column.name], arrow_type(column)
        try:
            columns.append(cast(values, column, schema.timezone))
        except pa.ArrowException as error:
            problems.append(f"column {column.name}: found {values.type}, wanted {wanted}: {error}")
    keyless = table[schema.key.name].is_null().to_pylist()
    problems += shortened(
        f"row {row}: {schema.key.name}: found nothing, wanted {schema.key.wanted}"
        for row, missing in enumerate(keyless, 1)
        if missing
    )
    return (None, problems) if problems else (pa.table(columns, names=schema.names), [])


def _bomb(file: pa.parquet.ParquetFile, n_bytes: int) -> str:
    """Say so if a file becomes far larger when it is read: by its footer, before it is."""
    footer = file.metadata
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    plain = sum(group.total_byte_size for group in groups)
    size = max(plain, 8 * footer.num_rows * footer.num_columns)
    limit = max(PLAIN_BYTES, MOST_RATIO * n_bytes)
    return (
        f"would take {size:,} bytes, wanted at most {limit:,} of its size" if size > limit else ""
    )


def cast(values: pa.ChunkedArray, column: Column, timezone: str) -> pa.ChunkedArray:
    """Cast without loss and without taking one kind of value for another, as Arrow would.

    Moments become times of the time zone.

    Raises:
        pa.ArrowException: a value doesn't fit.
    """
    wanted = arrow_type(column)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if column.type is bool and pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    if not pa.types.is_null(values.type) and _kind(values.type) != _kind(wanted):
        raise pa.ArrowInvalid("another kind of value")
    if pa.types.is_timestamp(values.type):
        return local_times(values, timezone)
    return values.cast(wanted)


def _kind(kind: pa.DataType) -> str:
    types = pa.types
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "text"
    return "time" if types.is_date(kind) or types.is_timestamp(kind) else str(kind)
