"""A folder of partitions, wherever it stands: read whole, or refused with a message."""

import datetime
import gzip
import http.server
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import fsspec
import pandas as pd
import pytest
from fsspec.implementations.local import LocalFileSystem
from moto.server import ThreadedMotoServer

from mlops.errors import UserError
from mlops.pipeline import partitions, source_folder
from mlops.pipeline.parsing import FILE, LINE
from mlops.pipeline.partitions import read_partitions
from source_rows import HEADER, SALES, csv_bytes, parquet_bytes, plain, put, sales, slow_writer

A = sales("1,2009-01-05,100,house,5000", "2,2009-01-06,,,6000")
B = sales("3,2009-02-05,200,flat,7000")
ROWS_A, ROWS_B = A.count("\n") - 1, B.count("\n") - 1
PAUSE = 0.5
"""Seconds between two lines of a slow writer, half of what counts as still."""

ADVICE = "Ingestion stopped. Fix these files or remove them from the folder."


def refusal(source: Path | str) -> str:
    with pytest.raises(UserError) as refused:
        read_partitions(str(source), SALES)
    return str(refused.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder of two settled partitions."""
    put(tmp_path / "source" / "a.csv", A)
    put(tmp_path / "source" / "b.csv", B)
    return tmp_path / "source"


def test_each_row_tells_the_file_and_line_where_it_stands(folder: Path) -> None:
    put(folder / "c.parquet", parquet_bytes(pd.read_csv(folder / "b.csv", parse_dates=["day"])))
    table = read_partitions(str(folder), SALES)

    assert table.column_names == [*SALES.names, LINE, FILE]
    assert plain(table.select([FILE, LINE])) == [
        *[("a.csv", 2), ("a.csv", 3), ("b.csv", 2)],
        ("c.parquet", 1),
    ]
    assert [*partitions.places(table[FILE].to_pylist(), table[LINE].to_pylist())] == [
        *["a.csv line 2", "a.csv line 3", "b.csv line 2"],
        "c.parquet row 1",
    ]


def test_all_faults_of_all_partitions_are_told_at_once(folder: Path) -> None:
    put(folder / "c.csv", "")
    put(folder / "d.csv", HEADER)
    put(folder / "e.csv", B + "4,2009-0")
    put(folder / "f.csv", sales("x,2009-01-05,100,house,5000", "1,soon,100,house,5000"))
    put(folder / "g.csv", A.replace("size", "area"))
    put(folder / "h.csv", sales("1,2009-01-05,100,maison à louer,5000").encode("latin-1"))
    put(folder / "i.parquet", "")

    assert refusal(folder).splitlines() == [
        f"ingest.source {folder}: 9 problem(s) in its partitions",
        "  c.csv: is empty, wanted a header and rows",
        "  d.csv: line 2: no rows after the header",
        "  e.csv: line 3: has no line end: the file is truncated",
        "  f.csv: line 2: id: found 'x', wanted a whole number of at least 1",
        "  f.csv: line 3: day: found 'soon', wanted a date",
        "  g.csv: line 1: missing column(s) size",
        "  g.csv: line 1: unknown column(s) 'area' (add them to src/project/schema.py?)",
        "  h.csv: line 2: byte 0xe0 is not UTF-8; save as UTF-8",
        "  i.parquet: is empty, truncated or not Parquet: Parquet file size is 0 bytes",
        ADVICE,
    ]


@pytest.mark.parametrize(
    "name",
    [
        ".a.csv",
        ".a.csv.partial",
        "_a.csv",
        "a.csv.partial",
        "a.csv.tmp",
        "a.csv~",
        "notes.txt",
        "A.CSV.zip",
    ],
)
def test_hidden_and_temporary_files_are_no_partitions(folder: Path, name: str) -> None:
    put(folder / name, "half a li")

    assert len(read_partitions(str(folder), SALES)) == ROWS_A + ROWS_B


def test_a_folder_without_partitions_is_named(tmp_path: Path) -> None:
    put(tmp_path / "notes.txt", A)

    assert refusal(tmp_path) == (
        f"ingest.source {tmp_path}: no partition found, wanted *.csv or *.parquet"
    )


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    message = refusal(tmp_path / "nowhere")

    assert message.startswith(f"ingest.source {tmp_path}/nowhere: can't be read: FileNotFoundError")
    assert message.endswith("Check the address, the network and the credentials.")


def test_an_unknown_scheme_is_named() -> None:
    assert refusal("ftpx://host/folder").startswith(
        "ingest.source ftpx://host/folder: can't be read: ValueError: Protocol not known: ftpx"
    )


@pytest.mark.parametrize(
    ("source", "library", "extra"),
    [
        ("gs://bucket/folder", "gcsfs", "gs"),
        ("gcs://bucket/folder", "gcsfs", "gs"),
        ("az://container/folder", "adlfs", "azure"),
        ("abfs://container/folder", "adlfs", "azure"),
    ],
)
def test_a_missing_library_is_named_with_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, source: str, library: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    message = refusal(source)

    assert f"the library for {source.split('://')[0]}:// is not installed" in message
    assert f"Install it: pip install '.[{extra}]'" in message


# Storages other than the local disk


@pytest.fixture
def in_memory(folder: Path) -> Iterator[str]:
    """Give the two partitions in memory, where fsspec itself is the storage."""
    memory = fsspec.filesystem("memory")
    for path in folder.iterdir():
        memory.pipe(f"/source/{path.name}", path.read_bytes())
    yield "memory://source"
    memory.rm("/source", recursive=True)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serve a folder, with a page that lists it, and log nothing."""

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def over_http(folder: Path) -> Iterator[str]:
    """Serve the two partitions over HTTP."""

    def handler(*args: Any) -> Quiet:
        return Quiet(*args, directory=str(folder))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """Start a server that speaks S3."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def reach_s3(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Point every S3 client at `address`, with made-up credentials."""
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }.items():
        monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture
def over_s3(folder: Path, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Put the two partitions into a bucket."""
    reach_s3(monkeypatch, s3_server)
    client = boto3.client("s3")
    client.create_bucket(Bucket="sales")
    for path in folder.iterdir():
        client.put_object(Bucket="sales", Key=f"source/{path.name}", Body=path.read_bytes())
    yield "s3://sales/source"
    for entry in client.list_objects_v2(Bucket="sales")["Contents"]:
        client.delete_object(Bucket="sales", Key=entry["Key"])
    client.delete_bucket(Bucket="sales")
    client.close()


REMOTE = ["in_memory", "over_http", "over_s3"]


@pytest.mark.parametrize("storage", REMOTE)
def test_every_storage_gives_the_rows_of_the_local_folder(
    request: pytest.FixtureRequest, folder: Path, storage: str
) -> None:
    source = request.getfixturevalue(storage)

    assert read_partitions(source, SALES).equals(read_partitions(str(folder), SALES))


def rewrite(request: pytest.FixtureRequest, storage: str, name: str, content: str) -> None:
    """Replace a partition of a storage, whole and at once."""
    if storage == "in_memory":
        fsspec.filesystem("memory").pipe(f"/source/{name}", content.encode())
    elif storage == "over_s3":
        boto3.client("s3").put_object(Bucket="sales", Key=f"source/{name}", Body=content.encode())
    else:
        put(request.getfixturevalue("folder") / name, content, age=0)


@pytest.mark.parametrize("storage", REMOTE)
def test_a_remote_partition_that_is_rewritten_while_read_is_named(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, storage: str
) -> None:
    source = request.getfixturevalue(storage)
    before_reading(monkeypatch, "b.csv", lambda: rewrite(request, storage, "a.csv", A[:-2] + "9\n"))

    assert refusal(source) == (
        f"ingest.source {source}: a.csv changed while being read\nIngestion stopped. Run again "
        "when the writer has finished; writers should write under another ending and rename."
    )


@pytest.mark.parametrize("storage", REMOTE)
def test_a_remote_partition_that_vanishes_is_named(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, storage: str
) -> None:
    source = request.getfixturevalue(storage)

    def remove() -> None:
        if storage == "in_memory":
            fsspec.filesystem("memory").rm("/source/b.csv")
        elif storage == "over_s3":
            boto3.client("s3").delete_object(Bucket="sales", Key="source/b.csv")
        else:
            (request.getfixturevalue("folder") / "b.csv").unlink()

    before_reading(monkeypatch, "b.csv", remove)

    assert f"ingest.source {source}: b.csv changed while being read" in refusal(source)


@pytest.mark.parametrize("storage", ["over_http", "over_s3"])
def test_a_missing_remote_folder_is_named(request: pytest.FixtureRequest, storage: str) -> None:
    source = request.getfixturevalue(storage).replace("source", "nowhere") + "/nothing"

    assert refusal(source).startswith(f"ingest.source {source}: can't be read: FileNotFoundError: ")


def closed_port() -> int:
    with socket.socket() as briefly:
        briefly.bind(("127.0.0.1", 0))
        return int(briefly.getsockname()[1])


def test_a_server_that_cannot_be_reached_is_named() -> None:
    source = f"http://127.0.0.1:{closed_port()}/source"
    message = refusal(source)

    assert message.startswith(f"ingest.source {source}: can't be read: ClientConnectorError: ")
    assert message.endswith("Check the address, the network and the credentials.")


def test_an_object_store_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    reach_s3(monkeypatch, f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

    assert "ingest.source s3://sales/source: can't be read: " in refusal("s3://sales/source")


# Partitions that are written to while they are read


def before_reading(monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[], object]) -> None:
    """Let `act` happen when all partitions are listed and `name` is about to be read."""
    read = partitions._read

    def disturbed(filesystem: Any, partition: Any, schema: Any) -> Any:
        if partition.name == name:
            act()
        return read(filesystem, partition, schema)

    monkeypatch.setattr(partitions, "_read", disturbed)


@pytest.mark.parametrize("when", ["a.csv", "b.csv"])
@pytest.mark.parametrize("what", ["a.csv", "b.csv"])
def test_a_partition_that_is_rewritten_before_or_after_it_was_read_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, what: str, when: str
) -> None:
    before_reading(monkeypatch, when, lambda: put(folder / what, sales("9,2009-01-05,,,1"), age=0))

    assert f"{what} changed while being read" in refusal(folder)


def test_a_partition_is_found_changed_even_with_the_size_and_time_it_had(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As tools that copy a file's time with it leave it."""
    path = folder / "a.csv"

    def copy_over(new: Path) -> None:
        status = path.stat()
        new.write_text(A.replace("6000", "7000"))
        os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
        new.replace(path)

    before_reading(monkeypatch, "b.csv", lambda: copy_over(path))
    assert "a.csv changed while being read" in refusal(folder)

    before_reading(monkeypatch, "b.csv", lambda: copy_over(folder / "a.new"))
    assert "a.csv changed while being read" in refusal(folder)


def test_a_partition_that_comes_or_goes_while_others_are_read_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_reading(monkeypatch, "b.csv", lambda: put(folder / "c.csv", A))
    assert "c.csv changed while being read" in refusal(folder)

    before_reading(monkeypatch, "b.csv", lambda: (folder / "c.csv").unlink())
    assert "c.csv changed while being read" in refusal(folder)


def test_a_change_is_named_before_the_fault_that_it_brought(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_reading(monkeypatch, "a.csv", lambda: put(folder / "a.csv", A[:40], age=0))

    message = refusal(folder)
    assert "a.csv changed while being read" in message
    assert "truncated" not in message


class Marked(LocalFileSystem):
    """A storage that tells of a file's state by one mark alone."""

    protocol = "marked"
    mark: tuple[str, object] = ("", None)

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Keep all else to itself."""
        found = super().info(path, **options)
        mark, value = type(self).mark
        return {"name": found["name"], "type": found["type"], mark: value}


@pytest.mark.parametrize(
    ("mark", "before", "after"),
    [
        ("size", 10, 11),
        ("ETag", '"abc"', '"abd"'),
        ("etag", "abc", "abd"),
        ("generation", "1", "2"),
        ("created", 1.5, 2.5),
        ("mtime", 1.5, 2.5),
        ("LastModified", datetime.datetime(2026, 1, 1), datetime.datetime(2026, 1, 2)),
        ("last_modified", datetime.datetime(2026, 1, 1), datetime.datetime(2026, 1, 2)),
        ("updated", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"),
        ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT", "Thu, 01 Jan 2026 00:00:01 GMT"),
    ],
)
def test_any_mark_of_a_storage_tells_that_a_partition_changed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, mark: str, before: object, after: object
) -> None:
    fsspec.register_implementation("marked", Marked, clobber=True)
    monkeypatch.setattr(Marked, "mark", (mark, before))
    assert len(read_partitions(f"marked://{folder}", SALES)) == ROWS_A + ROWS_B

    before_reading(monkeypatch, "b.csv", lambda: setattr(Marked, "mark", (mark, after)))
    assert "a.csv, b.csv changed while being read" in refusal(f"marked://{folder}")


LINES = [HEADER, *A.splitlines(keepends=True)[1:], *B.splitlines(keepends=True)[1:]]
PARTS = [LINES[0] + LINES[1], *LINES[2:]]


def test_a_partition_that_is_being_written_is_waited_for(folder: Path) -> None:
    with slow_writer(folder / "c.csv", PARTS, PAUSE):
        table = read_partitions(str(folder), SALES)

    assert len(table) == 2 * (ROWS_A + ROWS_B)


def test_a_partition_that_is_being_rewritten_in_place_is_waited_for(folder: Path) -> None:
    with slow_writer(folder / "b.csv", PARTS, PAUSE):
        table = read_partitions(str(folder), SALES)

    assert len(table) == 2 * ROWS_A + ROWS_B


def test_a_partition_that_is_being_written_on_a_web_server_is_waited_for(
    folder: Path, over_http: str
) -> None:
    with slow_writer(folder / "c.csv", PARTS, PAUSE):
        table = read_partitions(over_http, SALES)

    assert len(table) == 2 * (ROWS_A + ROWS_B)


def test_writers_at_any_moment_never_get_half_a_partition_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"{n},2009-01-05,,,{n}\n" for n in range(10, 15)]

    def write(number: int) -> None:
        for batch in range(2):
            time.sleep(source_folder.STILL_SECONDS + 0.3 * number)
            with slow_writer(folder / f"w{number}-{batch}.csv", [HEADER, *lines], 0.1):
                pass

    read = partitions._read

    def read_slowly(*given: Any) -> Any:
        time.sleep(0.1)
        return read(*given)

    monkeypatch.setattr(partitions, "_read", read_slowly)
    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for writer in writers:
        writer.start()
    outcomes = []
    while not outcomes or any(writer.is_alive() for writer in writers):
        try:
            table = read_partitions(str(folder), SALES)
        except UserError as error:
            outcomes.append("refused" if "changed while being read" in str(error) else str(error))
        else:
            counts = {
                row["values"]: row["counts"] for row in table[FILE].value_counts().to_pylist()
            }
            assert counts.pop("a.csv") == ROWS_A
            assert counts.pop("b.csv") == ROWS_B
            assert set(counts.values()) <= {len(lines)}
            outcomes.append("whole")
    assert {"refused", "whole"} == set(outcomes)  # else the writers came too early or too late


def test_a_partition_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "c.csv").symlink_to(folder / "nowhere")
    (folder / "d.csv").mkdir()

    assert "FileNotFoundError" in refusal(folder)
    (folder / "c.csv").unlink()
    assert (
        f"\n  d.csv: can't be read: IsADirectoryError: [Errno 21] Is a directory: '{folder}/d.csv'"
        in refusal(folder)
    )


def test_a_partition_that_is_written_to_without_end_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_folder, "WAIT_SECONDS", 1.0)
    with slow_writer(folder / "b.csv", [*PARTS, *LINES[1:3]], PAUSE):
        message = refusal(folder)

    assert message == (
        f"ingest.source {folder}: b.csv still being written to\n"
        "Ingestion stopped after 1 seconds. Run again when the writer has finished."
    )


def test_a_settled_folder_is_read_without_waiting(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail(f"waited {seconds} s"))

    assert len(read_partitions(str(folder), SALES)) == ROWS_A + ROWS_B


@pytest.mark.parametrize("ahead", [0.5, 3600.0])
def test_by_a_clock_that_is_ahead_a_partition_is_read_once_it_stays_as_it_is(
    folder: Path, ahead: float
) -> None:
    put(folder / "b.csv", B, age=-ahead)
    start = time.monotonic()

    assert len(read_partitions(str(folder), SALES)) == ROWS_A + ROWS_B
    assert source_folder.STILL_SECONDS <= time.monotonic() - start < 10


class Telling(LocalFileSystem):
    """A local folder whose times are told in another storage's way."""

    protocol = "telling"
    tell: Callable[[float], Any] = float

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Give no number where the real one gives a number."""
        found = super().info(path, **options)
        return {**found, "mtime": type(self).tell(found["mtime"])}


@pytest.mark.parametrize(
    "tell",
    [
        lambda seconds: datetime.datetime.fromtimestamp(seconds, datetime.UTC),
        lambda seconds: int(seconds),
        lambda seconds: None,
    ],
    ids=["as Google's and SFTP", "in whole seconds", "not at all"],
)
def test_the_time_of_a_partition_may_be_told_in_any_storages_way(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tell: Callable[[float], Any]
) -> None:
    fsspec.register_implementation("telling", Telling, clobber=True)
    monkeypatch.setattr(Telling, "tell", staticmethod(tell))
    source = f"telling://{folder}"

    assert len(read_partitions(source, SALES)) == ROWS_A + ROWS_B
    if tell(0.0) is not None:
        with slow_writer(folder / "c.csv", PARTS, PAUSE):
            assert len(read_partitions(source, SALES)) == 2 * (ROWS_A + ROWS_B)


@pytest.mark.parametrize(
    ("info", "seconds"),
    [
        ({}, None),
        ({"mtime": None}, None),
        ({"mtime": 1000.5}, 1000.5),
        ({"mtime": 1000}, 1001),  # cut to a whole second, it may be that late
        ({"mtime": datetime.datetime.fromtimestamp(1000.5, datetime.UTC)}, 1000.5),
        ({"mtime": datetime.datetime.fromtimestamp(1000, datetime.UTC)}, 1001),
        ({"Last-Modified": "Thu, 01 Jan 1970 00:16:40 GMT"}, 1001),
    ],
)
def test_the_time_of_a_write_is_known_to_the_second_at_least(
    info: dict[str, Any], seconds: float | None
) -> None:
    assert source_folder._modified(info) == seconds


def test_many_partitions_of_both_kinds_give_all_their_rows(tmp_path: Path) -> None:
    rows = pd.DataFrame(
        {
            "id": range(1, 1001),
            "day": pd.Timestamp("2009-01-05"),
            "size": 1.5,
            "kind": "flat",
            "price": 2.5,
        }
    )
    for start in range(0, 1000, 10):
        part = rows[start : start + 10]
        if start % 20:
            put(tmp_path / f"{start}.csv", csv_bytes(part))
        else:
            put(tmp_path / f"{start}.parquet", parquet_bytes(part))

    assert sorted(read_partitions(str(tmp_path), SALES)["id"].to_pylist()) == [*range(1, 1001)]


def test_endings_in_any_case_and_gzip_are_read_and_other_files_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path / "A.CSV", sales("1,2026-01-01,100,house,5"))
    put(tmp_path / "b.csv.gz", gzip.compress(sales("2,2026-01-01,100,house,5").encode()))
    put(tmp_path / "c.csv", sales("3,2026-01-01,100,house,5"))
    for name in ("notes.txt", "_new.csv"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "old").mkdir()

    found = read_partitions(str(tmp_path), SALES)

    assert len(found) == 3
    assert "ingest: not read: _new.csv, notes.txt, old (wanted" in capsys.readouterr().out
