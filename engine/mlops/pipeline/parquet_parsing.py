"""Parse the bytes of a Parquet partition to a typed table, or list all faults."""

import io

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from mlops.columns import Column, Table
from mlops.pipeline.memory_limit import memory_limit
from mlops.pipeline.parsing import arrow_type, local_times, name_problems, shortened

PLAIN_BYTES = 256_000_000
MOST_RATIO = 100
"""A file may become at most this many times larger when read, or as large as PLAIN_BYTES."""


def parse_parquet(content: bytes, schema: Table) -> tuple[pa.Table | None, list[str]]:
    """Parse a Parquet partition; return its schema columns in the schema's order, or the faults."""
    try:
        table, problems = _read(content)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        return None, [f"is empty, truncated or not Parquet: {error}"]
    if table is None:
        return None, problems
    if problems := name_problems(table.column_names, schema):
        return None, problems
    if not len(table):
        return None, ["has no rows"]
    columns, problems = {}, []
    for column in schema.columns:
        if column.name not in table.column_names:
            continue
        values, wanted = table[column.name], arrow_type(column)
        try:
            columns[column.name] = cast(values, column, schema.timezone)
        except pa.ArrowException as error:
            found = _plain(values.type)
            problems.append(f"column {column.name}: found {found}, wanted {wanted}: {error}")
    keyless = table[schema.key.name].is_null().to_pylist()
    problems += shortened(
        f"row {row}: {schema.key.name}: found nothing, wanted {schema.key.wanted}"
        for row, missing in enumerate(keyless, 1)
        if missing
    )
    return (None, problems) if problems else (pa.table(columns), [])


def _read(content: bytes) -> tuple[pa.Table | None, list[str]]:
    """Read a file, its texts as dictionaries, unless it becomes far larger in memory.

    The footer is checked first; as it may be false, the memory of reading is limited too.
    """
    file = pa.parquet.ParquetFile(io.BytesIO(content))
    limit = max(PLAIN_BYTES, MOST_RATIO * len(content))
    if (size := _told_bytes(file)) > limit:
        return None, [_bomb(size, limit)]
    kinds = list(file.schema_arrow)
    if nested := [one for one in kinds if pa.types.is_nested(one.type)]:
        return None, [f"column {one.name}: found {one.type}, wanted a value" for one in nested]
    # As a dictionary, a text of a million rows is stored once.
    texts = [one.name for one in kinds if _is_text(one.type)]
    file = pa.parquet.ParquetFile(io.BytesIO(content), read_dictionary=texts)
    try:
        with memory_limit(4 * limit):
            table = file.read(use_threads=False)
    except MemoryError:
        return None, [f"takes more memory than its footer declares: {_told_bytes(file):,} bytes"]
    table.validate(full=True)
    if (size := sum(map(_plain_bytes, table.columns))) > limit:
        return None, [_bomb(size, limit)]
    return table, []


def _bomb(size: int, limit: int) -> str:
    return f"would take {size:,} bytes in memory, wanted at most {limit:,} for its size"


def _told_bytes(file: pa.parquet.ParquetFile) -> int:
    """Estimate a file's size in memory from its footer, before reading it."""
    footer = file.metadata
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    # A column chunk's metadata may be false, at which pyarrow aborts the process.
    widths = [max(8, file.schema.column(number).length) for number in range(footer.num_columns)]
    return max(sum(group.total_byte_size for group in groups), footer.num_rows * sum(widths))


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind)


def _plain_bytes(values: pa.ChunkedArray) -> int:
    """Return the size of a column's texts if each row had its own copy."""
    return sum(
        pc.sum(pc.binary_length(chunk.dictionary).take(chunk.indices)).as_py() or 0
        for chunk in values.chunks
        if pa.types.is_dictionary(chunk.type) and _is_text(chunk.type.value_type)
    )


def cast(values: pa.ChunkedArray, column: Column, timezone: str) -> pa.ChunkedArray:
    """Cast without loss and, unlike Arrow, without converting one kind of value to another.

    Moments become times in the time zone.

    Raises:
        pa.ArrowException: a value doesn't fit.
    """
    wanted = arrow_type(column)
    values = values.cast(_plain(values.type))
    if column.type is bool and pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    if not pa.types.is_null(values.type) and _kind(values.type) != _kind(wanted):
        raise pa.ArrowInvalid("another type of value")
    if pa.types.is_timestamp(values.type):
        return local_times(values, timezone)
    return values.cast(wanted)


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _kind(kind: pa.DataType) -> str:
    types = pa.types
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "text"
    return "time" if types.is_date(kind) or types.is_timestamp(kind) else str(kind)
