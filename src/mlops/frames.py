"""Frames of rows on the disk: Parquet, the same bytes for the same rows."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mlops.files import whole_file


def read_rows(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a Parquet file that a stage wrote, or only some of its columns."""
    return pq.read_table(path, columns=columns, partitioning=None).to_pandas()


def write_rows(path: Path, rows: pd.DataFrame) -> None:
    """Write rows as Parquet, whole, without anything in it that is not the rows."""
    table = pa.Table.from_pandas(rows, preserve_index=False)
    with whole_file(path) as temporary:
        # pandas' own metadata holds its version, which would change the bytes of equal rows.
        pq.write_table(table.replace_schema_metadata(None), temporary, compression="zstd")
