"""Links and bombs in a source are refused before they are read."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops.errors import UserError
from mlops.pipeline.parquet_parsing import parse_parquet
from mlops.pipeline.partitions import read_partitions
from project.schema import SCHEMA


@pytest.mark.parametrize("target", ["/proc/self/environ", "/dev/zero", "other.csv"])
def test_a_link_in_the_source_is_not_followed(target: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (tmp_path / "other.csv").write_text("SECRET=1\n")
    (source / "z.csv").symlink_to(tmp_path / target)

    with pytest.raises(UserError, match=r"z\.csv: is a link") as refused:
        read_partitions(str(source), SCHEMA)

    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize("compression", ["snappy", "gzip", "zstd"])
def test_a_parquet_bomb_is_refused_by_its_footer(compression: str) -> None:
    content = io.BytesIO()
    zeros = pa.chunked_array([pa.repeat(0.0, 40_000_000)])
    pq.write_table(pa.table({"size": zeros}), content, compression=compression)

    table, problems = parse_parquet(content.getvalue(), SCHEMA)

    assert table is None
    assert "would take 320,000,000 bytes" in problems[0]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary()])
@pytest.mark.parametrize("declared", [True, False])
def test_a_long_text_that_stands_on_a_million_rows_once_is_refused(
    kind: pa.DataType, declared: bool
) -> None:
    content = io.BytesIO()
    text = pa.array(["x" * 900_000], kind)
    column = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), 1_000_000), text)
    table = pa.table({"neighborhood": column})
    pq.write_table(table, content, store_schema=declared, dictionary_pagesize_limit=2_000_000)
    assert len(content.getvalue()) < 1_000_000

    table, problems = parse_parquet(content.getvalue(), SCHEMA)

    assert table is None
    assert "would take 900,000,000,000 bytes" in problems[0]
