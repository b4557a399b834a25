"""What a killed DVC leaves cut is put right; what a person has to decide is left to them."""

from pathlib import Path

import pytest

from clones import run
from mlops.errors import UserError
from mlops.repair_dvc import LOCK, RWLOCK, SET_ASIDE, recover
from paths import DEMO

WHOLE = (DEMO / "dvc.lock").read_text(encoding="utf-8")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / RWLOCK).parent.mkdir(parents=True)
    (tmp_path / LOCK).write_text(WHOLE, encoding="utf-8")
    run(tmp_path, f"git init -q && git add {LOCK} && git commit -q -m lock")
    return tmp_path


def test_whole_files_stay_as_they_are(checkout: Path) -> None:
    (checkout / RWLOCK).write_text('{"a": {"read": []}}')
    changed = WHOLE.replace("schema: '2.0'", "schema: '2.0'\n# mine")
    (checkout / LOCK).write_text(changed, encoding="utf-8")

    assert recover(checkout) == []
    assert (checkout / LOCK).read_text(encoding="utf-8") == changed
    assert (checkout / RWLOCK).exists()


def test_files_that_are_not_there_are_no_fault(tmp_path: Path) -> None:
    assert recover(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"{", b"\x00\x00", b'{"a": '])
def test_an_unreadable_rwlock_is_removed(checkout: Path, content: bytes) -> None:
    (checkout / RWLOCK).write_bytes(content)

    assert recover(checkout) == [RWLOCK]
    assert not (checkout / RWLOCK).exists()


@pytest.mark.slow
def test_a_lock_that_is_cut_anywhere_is_accepted_by_dvc_or_put_right(checkout: Path) -> None:
    for length in range(0, len(WHOLE), 97):
        (checkout / LOCK).write_text(WHOLE[:length], encoding="utf-8")

        recover(checkout)

        text = (checkout / LOCK).read_text(encoding="utf-8")
        assert text == WHOLE or (text == WHOLE[:length] and text.endswith("\n"))
        assert recover(checkout) == []


def test_a_cut_lock_is_replaced_by_the_committed_one_and_kept_aside(checkout: Path) -> None:
    (checkout / LOCK).write_text(WHOLE[:500], encoding="utf-8")

    assert recover(checkout) == [LOCK]
    assert (checkout / LOCK).read_text(encoding="utf-8") == WHOLE
    assert (checkout / SET_ASIDE).read_text(encoding="utf-8") == WHOLE[:500]


def test_a_cut_lock_that_was_never_committed_is_taken_away(tmp_path: Path) -> None:
    run(tmp_path, "git init -q")
    (tmp_path / LOCK).write_text("", encoding="utf-8")

    assert recover(tmp_path) == [LOCK]
    assert not (tmp_path / LOCK).exists()


def test_a_merge_conflict_is_left_to_the_person(checkout: Path) -> None:
    conflict = WHOLE.replace("stages:", "<<<<<<< HEAD\nstages:\n=======\n>>>>>>> theirs\n", 1)
    (checkout / LOCK).write_text(conflict, encoding="utf-8")

    with pytest.raises(UserError, match="contains a merge conflict") as error:
        recover(checkout)

    assert "dvc repro" in str(error.value)
    assert (checkout / LOCK).read_text(encoding="utf-8") == conflict
