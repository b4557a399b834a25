"""A restored cache: what is not what its name says is thrown out."""

import hashlib
from pathlib import Path

import pytest

from mlops import cache_check


def put(cache: Path, content: bytes, ending: str = "") -> Path:
    name = hashlib.md5(content, usedforsecurity=False).hexdigest()
    path = cache / name[:2] / f"{name[2:]}{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_true_files_stay_and_false_ones_go(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    true = [put(tmp_path, b"rows"), put(tmp_path, b"[]", ".dir")]
    false = [put(tmp_path, b"model"), put(tmp_path, b"[{}]", ".dir")]
    for path in false:
        path.write_bytes(b"evil")
    link = tmp_path / "aa" / "bb"
    link.parent.mkdir()
    link.symlink_to(true[0])

    cache_check.main(tmp_path)

    assert all(path.exists() for path in true)
    assert not any(path.exists() for path in false)
    assert not link.is_symlink()
    assert capsys.readouterr().err.count("removed") == 3


def test_no_cache_is_no_fault(tmp_path: Path) -> None:
    assert cache_check.false_files(tmp_path / "none") == []
