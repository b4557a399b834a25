"""A source that answers the release otherwise than the review: its rows' hashes are held to."""

import contextlib
import http.server
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import pandas as pd
import pytest
import yaml
from fsspec.implementations.http import HTTPFileSystem
from moto.server import ThreadedMotoServer

from clones import clone, copy, edit_params, environment, run
from mlops.errors import UserError
from mlops.pipeline.partitions import read_partitions
from mlops.release import restore_outputs
from mlops.review.checkouts import reproduce
from mlops.review.unpinned import unpinned, unpinned_section
from paths import DEMO, ROOT, SOURCES
from project.schema import SCHEMA
from test_forged_locks import pipeline
from test_review import commit, git

READ = (
    "mkdir -p artifacts/ingest && python -c \"import fsspec; print(fsspec.open('{}/rows.csv', 'rt')"
    '.open().read())" > artifacts/ingest/rows.parquet'
)


class Tagged(http.server.SimpleHTTPRequestHandler):
    """A web server whose ETags tell nothing of what its files hold."""

    def end_headers(self) -> None:
        self.send_header("ETag", '"the same"')
        super().end_headers()

    def log_message(self, *message: object) -> None:
        pass


@contextlib.contextmanager
def web(folder: Path, kind: type[Tagged] = Tagged) -> Iterator[str]:
    handler = partial(kind, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(20)


Write = Callable[[str | None], Any]
"""Lets the source hold a text; None: nothing any more."""


def put(file: Path, text: str | None) -> None:
    file.unlink() if text is None else file.write_text(text)


@contextlib.contextmanager
def web_source(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Write]]:
    place.mkdir()
    with web(place) as address:
        yield address, partial(put, place / "rows.csv")


@contextlib.contextmanager
def bucket_source(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Write]]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    client = boto3.client("s3")
    client.create_bucket(Bucket="source")
    there = {"Bucket": "source", "Key": "data/rows.csv"}

    def write(text: str | None) -> Any:
        return (
            client.delete_object(**there) if text is None else client.put_object(**there, Body=text)
        )

    try:
        yield "s3://source/data", write
    finally:
        server.stop()


@contextlib.contextmanager
def folder_source(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Write]]:
    place.mkdir()
    yield str(place), partial(put, place / "rows.csv")


SOURCES_OF: dict[str, Any] = {"https": web_source, "s3": bucket_source, "folder": folder_source}


HONEST = "1\n2\n"
ANSWERS = {
    "other rows": "3\n2\n",
    "another order": "2\n1\n",
    "fewer rows": "1\n",
    "no row": "",
    "nothing any more": None,
}


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        *(("https", answer) for answer in ANSWERS),
        *((kind, answer) for kind in ("s3", "folder") for answer in list(ANSWERS)[::4]),
    ],
)
def test_a_release_that_reads_other_rows_than_the_review_stops_and_the_review_says_it_may(
    kind: str, answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", environment()["PATH"])
    monkeypatch.setattr(restore_outputs, "load_schema", lambda: None)
    monkeypatch.setattr(restore_outputs, "unlike_reviewed", lambda schema: [])
    folder = tmp_path / "repository"
    folder.mkdir()
    with SOURCES_OF[kind](tmp_path / "source", monkeypatch) as (address, write):
        write(HONEST)
        content = pipeline()
        dep = f"{address}/rows.csv" if kind != "folder" else address
        content["stages"]["ingest"] |= {"cmd": READ.format(address), "deps": [dep]}
        # What follows does not tell: metrics and predictions are equal.
        for stage in ("split", "train", "evaluate", "export"):
            command = content["stages"][stage]["cmd"].replace(
                "cat artifacts/ingest/rows.parquet ", "cat "
            )
            content["stages"][stage]["cmd"] = command
        (folder / "dvc.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        (folder / "params.yaml").write_text("".join(f"{s}: 1\n" for s in content["stages"]))
        (folder / ".gitignore").write_text("/artifacts\n")
        run(folder, "git init -q -b main && dvc init -q")
        shutil.copy(ROOT / ".dvc/config", folder / ".dvc/config")
        reproduce(folder)
        commit(folder, "reviewed")
        stages = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
        assert list(unpinned(stages)) == [dep]
        said = unpinned_section(unpinned(stages))
        assert "The source is not pinned by its content" in said
        assert "To pin it" in said
        wanted = (folder / "artifacts/bundle").read_bytes()

        write(ANSWERS[answer])
        fresh = clone(folder, tmp_path / "fresh/repository")
        monkeypatch.chdir(fresh)
        with pytest.raises(UserError) as stopped:
            restore_outputs.bring()

        if ANSWERS[answer] is None:
            assert "dvc repro" in str(stopped.value)
            assert not (fresh / "artifacts/bundle").exists()
            return
        assert "The reviewed outputs can't be reproduced" in str(stopped.value)
        assert "ingest: artifacts/ingest/rows.parquet: reviewed" in str(stopped.value)
        assert (fresh / "artifacts/bundle").read_bytes() == wanted, "it alone would tell nothing"


class Faulty(Tagged):
    """Fails in the midst of a file, as `fault` says."""

    fault = ""

    def copyfile(self, source: Any, outputfile: Any) -> None:
        if not self.path.endswith(".csv"):
            return super().copyfile(source, outputfile)
        content = source.read()
        if self.fault == "is cut":
            outputfile.write(content[:-20])
        for byte in content if self.fault == "trickles" else b"":
            with contextlib.suppress(ConnectionError):
                outputfile.write(bytes([byte]))
            time.sleep(0.05)
        if self.fault == "falls silent":
            time.sleep(3)


@pytest.mark.parametrize("fault", ["is cut", "trickles", "falls silent"])
def test_a_source_that_fails_in_the_midst_ends_ingestion_and_gives_no_row(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By default a whole file may take five minutes.
    monkeypatch.setattr(aiohttp.client, "DEFAULT_TIMEOUT", aiohttp.ClientTimeout(total=1))
    monkeypatch.setattr(Faulty, "fault", fault)
    shutil.copy(min((DEMO / "data/source").glob("*.csv")), tmp_path)
    HTTPFileSystem.clear_instance_cache()
    with web(tmp_path, Faulty) as address, pytest.raises(UserError, match="can't be read"):
        read_partitions(address, SCHEMA)
    HTTPFileSystem.clear_instance_cache()


def test_rows_in_the_repository_are_pinned() -> None:
    lock = yaml.safe_load((DEMO / "dvc.lock").read_text(encoding="utf-8"))

    assert unpinned(lock["stages"]) == {}
    assert unpinned_section({}) == ""
    for path in ("../rows", "/mnt/rows", "data/../../rows"):
        outside = {"ingest": {"cmd": "x", "deps": [{"path": path, "md5": "0" * 32}], "outs": []}}
        assert path in unpinned(outside)


@pytest.mark.slow
def test_a_web_server_that_is_honest_to_the_review_alone_gets_no_model_shipped(
    quick: Path, tmp_path: Path
) -> None:
    folder, served = copy(quick, tmp_path / "repository"), tmp_path / "served"
    shutil.copytree(folder / "data/source", served)
    with web(served) as address:
        git(folder, "checkout", "--quiet", "-b", "change")
        edit_params(folder, {"ingest.source": address})
        commit(folder, "read from a web server")
        review = "python -m mlops.review --base main --exact"
        run(folder, review, PYTHONPATH=SOURCES, OMP_NUM_THREADS="1")
        report = (folder / "artifacts/review/report.md").read_text()
        assert "The source is not pinned by its content" in report
        commit(folder, "the lock of the review")

        oldest = min(served.glob("*.csv"))
        rows = pd.read_csv(oldest, dtype=str)
        rows["price"] = [f"{round(int(price) * 0.64)}" for price in rows["price"]]
        rows.to_csv(oldest, index=False)
        fresh = clone(folder, tmp_path / "fresh/repository")
        told = run(
            fresh,
            "python -m mlops.release.restore_outputs",
            1,
            PYTHONPATH=SOURCES,
            OMP_NUM_THREADS="1",
        )

    assert "The reviewed outputs can't be reproduced" in told
    assert "artifacts/ingest/rows.parquet" in told
