"""Links and bombs in a source are refused before they are read."""

import io
import resource
import sys
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


def lying(content: bytes) -> bytes:
    """Write small sizes into a footer, in numbers of the same length."""
    length = int.from_bytes(content[-8:-4], "little")
    footer = content[-8 - length : -8]
    groups = pq.ParquetFile(io.BytesIO(content)).metadata
    for number in range(groups.num_row_groups):
        group = groups.row_group(number)
        for size in (group.total_byte_size, group.column(0).total_uncompressed_size):
            true = number_of_thrift(2 * size)
            footer = footer.replace(true, number_of_thrift(2 * 1000, len(true)))
    return content[: -8 - length] + footer + content[-8:]


def number_of_thrift(value: int, length: int = 0) -> bytes:
    parts = []
    while value >> 7 or len(parts) + 1 < length:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


@pytest.mark.skipif(sys.platform != "linux", reason="no other system limits memory")
def test_a_footer_that_lies_costs_no_more_than_the_limit() -> None:
    content = io.BytesIO()
    kind = pa.schema([("neighborhood", pa.string())])
    with pq.ParquetWriter(content, kind, use_dictionary=False, compression="zstd") as writer:
        for start in range(0, 1500, 100):
            texts = [f"{row}" + "x" * 1_000_000 for row in range(start, start + 100)]
            writer.write_table(pa.table({"neighborhood": texts}))
    bomb = lying(content.getvalue())
    before = resource.getrlimit(resource.RLIMIT_AS), pa.default_memory_pool().backend_name

    table, problems = parse_parquet(bomb, SCHEMA)

    assert table is None
    assert problems == ["takes more memory than its footer declares: 15,000 bytes"]
    after = resource.getrlimit(resource.RLIMIT_AS), pa.default_memory_pool().backend_name
    assert after == before


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
