"""Read a Parquet file into columns of texts and of values; each omission has a note."""

import io
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlops.adopt.parse_numbers import EXACT
from mlops.errors import UserError

_UNNAMED_INDEX = "__index_level_"


def columns_of(content: bytes) -> tuple[dict[str, pd.Series], list[str]]:
    """Return the columns by name, an index included, and notes on omissions and changes.

    Times keep their time zone.

    Raises:
        UserError: the bytes are not Parquet.
    """
    try:
        table = pq.read_table(io.BytesIO(content), partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"can't be read: {error}", advice="Wanted CSV or Parquet") from error
    found, notes = dict[str, pd.Series](), list[str]()
    for place, name in enumerate(table.column_names):
        header = f"index_{name.strip('_')[-1]}" if name.startswith(_UNNAMED_INDEX) else name
        if header != name:
            notes.append(f"the unnamed index is kept as {header}")
        values, note = _column(table.column(place))
        notes += [f"{header}: {note}"] if note else []
        if values is not None:
            found[header] = values
    return _range_index(table.schema.pandas_metadata, len(table)) | found, notes


def _range_index(metadata: dict[str, Any] | None, n_rows: int) -> dict[str, pd.Series]:
    """Return a named index that pandas stored only as a range."""
    indexes = (metadata or {}).get("index_columns", [])
    ranges = [index for index in indexes if isinstance(index, dict) and index.get("name")]
    return {
        str(index["name"]): pd.Series(range(index["start"], index["stop"], index["step"]))
        for index in ranges
        if len(range(index["start"], index["stop"], index["step"])) == n_rows
    }


def _column(values: pa.ChunkedArray) -> tuple[pd.Series | None, str]:
    types, kind = pa.types, values.type
    if types.is_dictionary(kind):
        values, kind = values.cast(kind.value_type), kind.value_type
    if types.is_nested(kind) or types.is_duration(kind) or types.is_time(kind):
        return None, f"left out: values of type {kind}; convert them to numbers or texts"
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        try:
            plain = values.cast(pa.binary()).cast(pa.string())
        except pa.ArrowInvalid:
            return None, "left out: bytes that are not UTF-8 text"
        return plain.to_pandas().astype("object"), "bytes read as UTF-8 texts"
    if types.is_decimal(kind):
        return _decimal(values)
    if types.is_integer(kind) and _beyond(values):
        texts = values.cast(pa.string()).to_pandas().astype("object")
        return texts, "whole numbers beyond 2^53 are kept as texts"
    if types.is_date(kind) or types.is_timestamp(kind):
        return _time(values)
    return values.to_pandas(), ""


def _beyond(values: pa.ChunkedArray) -> bool:
    least, most = pc.min_max(values).as_py().values()
    return least is not None and max(-least, most) > EXACT


def _decimal(values: pa.ChunkedArray) -> tuple[pd.Series, str]:
    if values.type.scale <= 0 and any(v is not None and abs(v) > EXACT for v in values.to_pylist()):
        texts = [None if v is None else f"{v:f}" for v in values.to_pylist()]
        return pd.Series(texts, dtype="object"), "whole numbers beyond 2^53 are kept as texts"
    return values.cast(pa.float64()).to_pandas(), f"{values.type} read as numbers"


def _time(values: pa.ChunkedArray) -> tuple[pd.Series, str]:
    days = values.to_pandas(date_as_object=False)
    whole = days.dt.as_unit("us")
    lost = (whole != days).loc[days.notna()].any()
    return whole, "times truncated to microseconds" if lost else ""
