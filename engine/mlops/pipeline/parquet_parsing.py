"""The bytes of a Parquet partition as a typed table, or all that is wrong with them, by row."""

import io

import pyarrow as pa
import pyarrow.parquet

from mlops.columns import Schema
from mlops.pipeline.parsing import arrow_type, name_problems, shortened


def parse_parquet(content: bytes, schema: Schema) -> tuple[pa.Table | None, list[str]]:
    """Parse a Parquet partition."""
    try:
        table = pa.parquet.ParquetFile(io.BytesIO(content)).read()
        names = table.column_names
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
            columns.append(cast(values, wanted))
        except pa.ArrowException as error:
            problems.append(f"column {column.name}: found {values.type}, wanted {wanted}: {error}")
    keyless = table[schema.key.name].is_null().to_pylist()
    problems += shortened(
        f"row {row}: {schema.key.name}: found nothing, wanted {schema.key.wanted}"
        for row, missing in enumerate(keyless, 1)
        if missing
    )
    return (None, problems) if problems else (pa.table(columns, names=schema.names), [])


def cast(values: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """Cast without loss and without taking one kind of value for another, as Arrow would.

    Raises:
        pa.ArrowException: a value doesn't fit.
    """
    plain = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if not pa.types.is_null(plain) and _kind(plain) != _kind(wanted):
        raise pa.ArrowInvalid("another kind of value")
    return values.cast(plain).cast(wanted)


def _kind(kind: pa.DataType) -> str:
    types = pa.types
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "text"
    return "time" if types.is_date(kind) or types.is_timestamp(kind) else str(kind)
