"""dvc.lock in a pull request: when it is behind, and fifteen that are refused."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops.errors import UserError
from mlops.review.lock_check import MOST_BYTES, checked_lock, is_behind
from paths import DEMO

TEXT = (DEMO / "dvc.lock").read_text(encoding="utf-8")
STAGES = yaml.safe_load(TEXT)["stages"]


def test_a_lock_of_dvc_passes_to_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "dvc.lock"
    path.write_text(TEXT, encoding="utf-8")

    assert checked_lock(path, STAGES) == TEXT


def test_a_lock_of_rows_in_object_storage_passes(tmp_path: Path) -> None:
    lock = copy.deepcopy({"schema": "2.0", "stages": STAGES})
    lock["stages"]["ingest"]["deps"][0] = {
        "path": "s3://bucket/rows", "hash": "md5", "etag": "ab-2", "size": 7, "nfiles": 1
    }  # fmt: skip
    path = tmp_path / "dvc.lock"
    path.write_text(yaml.safe_dump(lock), encoding="utf-8")

    assert "etag: ab-2" in checked_lock(path, STAGES)


def test_comments_and_form_of_the_sender_are_not_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "dvc.lock"
    path.write_text(f"# ::set-output name=x::y\n{TEXT}# the end\n", encoding="utf-8")

    assert checked_lock(path, STAGES) == TEXT


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    lock = copy.deepcopy({"schema": "2.0", "stages": STAGES})
    change(lock)
    return yaml.safe_dump(lock, sort_keys=False)


def with_output(**values: object) -> str:
    return changed(lambda lock: lock["stages"]["train"]["outs"][0].update(values))


HOSTILE: dict[str, str | bytes] = {
    "not UTF-8": b"schema: '2.0'\nstages: {\xff: 1}",
    "too large": TEXT + "#" * MOST_BYTES,
    "not YAML": "schema: [",
    "empty": "",
    "a script": "#!/bin/sh\ntouch owned\n",
    "two documents": f"{TEXT}---\n{TEXT}",
    "an alias": TEXT.replace("cmd: ", "cmd: &a ", 1),
    "an object": TEXT.replace("schema: '2.0'", "schema: !!python/object/apply:os.system [true]"),
    "deep nesting": "schema: " + "[" * 20_000,
    "another schema": TEXT.replace("'2.0'", "'3.0'"),
    "a key beside": changed(lambda lock: lock.update(plots=[])),
    "an unknown stage": changed(lambda lock: lock["stages"].update(evil=STAGES["train"])),
    "a missing stage": changed(lambda lock: lock["stages"].pop("train")),
    "a path above": with_output(path="artifacts/../../evil"),
    "an absolute path": with_output(path="/etc/passwd"),
    "a workflow": with_output(path=".github/workflows/check.yml"),
    "another drive": with_output(path="C:\\evil"),
    "a line break": with_output(path="a\n::error::b"),
    "no hash": with_output(md5="../../evil"),
    "a longer hash": with_output(md5="0" * 33),
    "a negative size": with_output(size=-1),
    "a size in words": with_output(size="large"),
    "an unknown property": with_output(remote="evil"),
    "two hashes": with_output(etag="x"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_lock_is_refused_without_being_quoted(name: str, tmp_path: Path) -> None:
    content = HOSTILE[name]
    path = tmp_path / "dvc.lock"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(UserError, match=r"^dvc\.lock refused") as refused:
        checked_lock(path, STAGES)

    assert not re.search(r"(?m)^\s*::", str(refused.value))
    assert len(str(refused.value)) < 10_000


@pytest.mark.parametrize("kind", ["absent", "folder", "link"])
def test_what_is_no_plain_file_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "dvc.lock"
    if kind == "folder":
        path.mkdir()
    if kind == "link":
        path.symlink_to(DEMO / "dvc.lock")

    with pytest.raises(UserError, match="wanted a plain file"):
        checked_lock(path, STAGES)


@pytest.mark.parametrize(
    ("change", "behind"),
    [
        (lambda s: s["train"]["params"]["params.yaml"]["train"].update(seed=1), True),
        (lambda s: s["train"].update(cmd="python other.py"), True),
        (lambda s: s["ingest"]["deps"][0].update(md5="0" * 32), True),  # data/source
        (lambda s: s.pop("export"), True),
        (lambda s: s["train"]["outs"].pop(), True),
        (lambda s: None, False),
        # Other bytes of the same inputs: made on another kind of processor.
        (lambda s: s["train"]["outs"][1].update(md5="0" * 32), False),  # the model
        (lambda s: s["evaluate"]["deps"][0].update(md5="0" * 32), True),  # its fingerprint
        (
            lambda s: [
                dep.update(md5="0" * 32) for dep in s["export"]["deps"] if "joblib" in dep["path"]
            ],
            False,
        ),
    ],
)
def test_a_lock_is_behind_if_it_was_made_from_other_inputs(
    change: Callable[[dict[str, Any]], object], behind: bool
) -> None:
    stages = copy.deepcopy(STAGES)
    change(stages)

    assert is_behind(TEXT, stages) is behind


@pytest.mark.parametrize("committed", ["", "stages:", "[", "stages: {train: 1}", "text"])
def test_what_is_no_lock_is_behind(committed: str) -> None:
    assert is_behind(committed, STAGES)


def moved(stages: dict[str, Any], *paths: str) -> dict[str, Any]:
    """Give some outputs other bytes, wherever they are named."""
    changed = copy.deepcopy(stages)
    for stage in changed.values():
        for entry in [*stage.get("deps", []), *stage["outs"]]:
            if entry["path"] in paths:
                entry["md5"] = "0" * 32
    return changed


MODEL, BUNDLE = "artifacts/train/model.joblib", "artifacts/bundle"


@pytest.mark.parametrize("paths", [(MODEL,), (BUNDLE,), (MODEL, BUNDLE)])
def test_a_lock_that_anybody_may_have_written_names_the_very_bytes_that_are_made(
    paths: tuple[str, ...],
) -> None:
    base = copy.deepcopy(STAGES)
    base["train"]["params"]["params.yaml"]["train"]["seed"] = -1
    base = moved(base, MODEL, BUNDLE)
    forged = yaml.safe_dump({"schema": "2.0", "stages": moved(STAGES, *paths)})

    assert is_behind(forged, STAGES, vouched=base)
    assert not is_behind(TEXT, STAGES, vouched=base)


def test_stages_of_the_base_whose_bytes_are_missing_may_come_from_another_processor() -> None:
    made = moved(STAGES, MODEL, BUNDLE)
    assert not is_behind(TEXT, made, vouched=STAGES)
    assert is_behind(TEXT, moved(STAGES, "artifacts/evaluate/predictions.parquet"), vouched=STAGES)

    mixed = copy.deepcopy(STAGES)
    mixed["train"]["params"]["params.yaml"]["train"]["seed"] = -1
    assert is_behind(TEXT, made, vouched=mixed), "the change's model, the base's bundle"


@pytest.mark.parametrize("told", ["etag", "checksum"])
def test_what_a_server_says_of_a_source_is_no_difference_but_what_was_read_is(told: str) -> None:
    def stages(tag: str, rows: str) -> dict[str, Any]:
        source = {"path": "https://x.example/rows", "hash": "md5", told: tag, "size": len(tag)}
        read = {"path": "artifacts/ingest/rows.parquet", "hash": "md5", "md5": rows * 32}
        return {"ingest": {"cmd": "x", "deps": [source], "outs": [read]}}

    committed = yaml.safe_dump({"schema": "2.0", "stages": stages("a", "0")})
    assert not is_behind(committed, stages("another", "0"))
    assert is_behind(committed, stages("a", "1"))
