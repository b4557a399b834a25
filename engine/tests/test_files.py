"""Files appear whole or not at all, and outlive a power cut once they have appeared."""

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops.files import TEMPORARY, atomic_write, sha256, whole_folder, write_json, write_text
from mlops.frames import write_rows
from paths import PYTHONPATH


class Crash(Exception):
    """Stand for whatever may go wrong."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# A file


def test_a_file_appears_with_its_folders_and_nothing_beside_it(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "folder" / "file", "ä\n")

    assert (tmp_path / "new" / "folder" / "file").read_bytes() == b"\xc3\xa4\n"
    assert names(tmp_path / "new" / "folder") == ["file"]


def test_a_file_is_not_seen_under_its_name_before_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.parent == path.parent  # a rename into another file system is a copy
        assert temporary.name.startswith(".")
        assert temporary.name.endswith(TEMPORARY)
    assert path.read_text() == "half"


@pytest.mark.parametrize("error", [Crash, KeyboardInterrupt])
def test_an_error_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    def fail() -> None:
        with atomic_write(tmp_path / "file") as temporary:
            temporary.write_text("half")
            raise error

    write_text(tmp_path / "file", "old")
    with pytest.raises(error):
        fail()

    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "old")
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "file"):
        pass

    assert (tmp_path / "file").read_text() == "old"


def test_what_a_killed_run_left_is_replaced(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "file") as left:
        left.write_text("old")
    left.write_text("a long text that a killed run left behind")
    write_text(tmp_path / "file", "new")

    assert (tmp_path / "file").read_text() == "new"
    assert names(tmp_path) == ["file"]


# A folder


def fill(path: Path, content: str) -> None:
    with whole_folder(path) as folder:
        (folder / content).write_text(content)
        (folder / "both").write_text(content)
        (folder / "under").mkdir()
        (folder / "under" / "it").write_text(content)


def test_a_folder_takes_the_place_of_another_one_with_all_that_was_in_it(tmp_path: Path) -> None:
    fill(tmp_path / "folder", "old")
    fill(tmp_path / "folder", "new")

    assert names(tmp_path / "folder") == ["both", "new", "under"]
    assert (tmp_path / "folder" / "both").read_text() == "new"
    assert (tmp_path / "folder" / "under" / "it").read_text() == "new"
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("error", [Crash, KeyboardInterrupt])
def test_an_error_leaves_the_old_folder(tmp_path: Path, error: type[BaseException]) -> None:
    def fail() -> None:
        with whole_folder(tmp_path / "folder") as folder:
            (folder / "half").write_text("half")
            raise error

    fill(tmp_path / "folder", "old")
    with pytest.raises(error):
        fail()

    assert names(tmp_path / "folder") == ["both", "old", "under"]
    assert names(tmp_path) == ["folder"]


def test_a_folder_that_a_killed_run_left_is_replaced(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "folder") as folder:
        (folder / "file").write_text("first")
    for left in (folder, tmp_path / f".folder.old{TEMPORARY}"):
        left.mkdir()
        (left / "left").write_text("behind")
    fill(tmp_path / "folder", "new")

    assert names(tmp_path / "folder") == ["both", "new", "under"]
    assert names(tmp_path) == ["folder"]


def test_a_folder_is_never_seen_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After every step that changes names, the folder is absent or whole."""
    seen = set()

    def watched(step: Callable[..., Any]) -> Callable[..., Any]:
        def watch(*given: Any, **options: Any) -> Any:
            try:
                return step(*given, **options)
            finally:
                path = tmp_path / "folder"
                seen.add(tuple(names(path)) if path.exists() else None)

        return watch

    fill(tmp_path / "folder", "old")
    for name in ("rename", "replace", "unlink", "rmdir", "mkdir"):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    fill(tmp_path / "folder", "new")

    assert seen == {("both", "old", "under"), None, ("both", "new", "under")}


# JSON


def test_json_is_for_people_too_and_the_same_for_the_same_content(tmp_path: Path) -> None:
    content = {"b": [1, 2.5, None], "a": "ä"}
    write_json(tmp_path / "file", content)

    assert (tmp_path / "file").read_text(encoding="utf-8") == (
        '{\n  "b": [\n    1,\n    2.5,\n    null\n  ],\n  "a": "ä"\n}\n'
    )
    assert json.loads((tmp_path / "file").read_bytes()) == content


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), np.nan, object()])
def test_json_refuses_what_is_no_json(tmp_path: Path, value: object) -> None:
    write_json(tmp_path / "file", "old")
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "file", {"deep": [value]})

    assert json.loads((tmp_path / "file").read_bytes()) == "old"
    assert names(tmp_path) == ["file"]


def test_a_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")

    assert sha256(tmp_path / "file").startswith("ba7816bf8f01cfea")  # FIPS 180-2, appendix B.1


# Power cut


class Recorder:
    """Note in which order bytes are brought to the disk and names are changed."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.steps: list[tuple[str, Path, int]] = []
        fsync = os.fsync
        monkeypatch.setattr(os, "fsync", lambda handle: self._sync(fsync, handle))
        for name in ("rename", "replace"):
            monkeypatch.setattr(os, name, self._renaming(getattr(os, name)))

    def _sync(self, fsync: Callable[[int], None], handle: int) -> None:
        fsync(handle)
        found, same = os.fstat(handle), os.path.samestat
        places = [self.folder, *self.folder.rglob("*")]
        path = next(path for path in places if same(path.stat(), found))
        self.steps.append(("sync", path.relative_to(self.folder), found.st_size))

    def _renaming(self, rename: Callable[..., None]) -> Callable[..., None]:
        def note(old: Path, new: Path, **options: Any) -> None:
            size = os.stat(old).st_size
            rename(old, new, **options)
            self.steps.append(("rename", Path(new).relative_to(self.folder), size))

        return note


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Record what happens in the test's folder."""
    return Recorder(tmp_path, monkeypatch)


def write_a_text(path: Path) -> None:
    write_text(path, "text" * 1000)


def write_a_table(path: Path) -> None:
    write_rows(path, pd.DataFrame({"number": np.arange(1000)}))


@pytest.mark.parametrize("write", [write_a_text, write_a_table])
def test_a_files_bytes_are_on_the_disk_before_its_name_and_its_name_before_the_end(
    tmp_path: Path, recorder: Recorder, write: Callable[[Path], None]
) -> None:
    write(tmp_path / "file")
    size = (tmp_path / "file").stat().st_size

    assert [(step, str(path)) for step, path, _ in recorder.steps] == [
        ("sync", f".file{TEMPORARY}"),
        ("rename", "file"),
        ("sync", "."),
    ]
    assert recorder.steps[0][2] == size  # all of it was written before the sync


def test_all_bytes_of_a_folder_are_on_the_disk_before_its_name(
    tmp_path: Path, recorder: Recorder
) -> None:
    fill(tmp_path / "folder", "new")
    steps = [(step, str(path)) for step, path, _ in recorder.steps]
    renamed = steps.index(("rename", "folder"))

    temporary = f".folder{TEMPORARY}"
    under = ["both", "new", "under", "under/it"]
    wanted = {("sync", temporary), *(("sync", f"{temporary}/{name}") for name in under)}
    assert set(steps[:renamed]) == wanted
    assert steps[renamed + 1 :] == [("sync", ".")]


# Full disk


@pytest.mark.parametrize("step", ["write", "fsync"])
def test_a_full_disk_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Some file systems tell it when a file is written, some not before it is synced."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fail() -> None:
        with atomic_write(tmp_path / "file") as temporary:
            temporary.write_text("new")
            if step == "write":
                full()

    write_text(tmp_path / "file", "old")
    if step == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        fail()

    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file"]


LIMITED = f"""
import resource, sys
from pathlib import Path
import numpy as np, pandas as pd
from mlops.frames import write_rows
resource.setrlimit(resource.RLIMIT_FSIZE, ({20_000}, {20_000}))
write_rows(Path("rows.parquet"), pd.DataFrame({{"x": np.random.default_rng(0).random(100_000)}}))
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="the system sets no such limit")
def test_a_table_that_finds_no_room_leaves_the_old_one(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.parquet", pd.DataFrame({"x": [1.0]}))
    old = sha256(tmp_path / "rows.parquet")
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ran.returncode != 0
    assert "File too large" in ran.stderr
    assert sha256(tmp_path / "rows.parquet") == old
    assert names(tmp_path) == ["rows.parquet"]
