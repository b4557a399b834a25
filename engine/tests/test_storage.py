"""Real storage by one variable: pushed here, pulled elsewhere, and what a review says of it."""

import re
from pathlib import Path

import pytest

from clones import clone, copy, read_lock, run, stages_run
from paths import SOURCES
from storages import Storage, storage, storages  # noqa: F401

REVIEW = "python -m mlops.review --base HEAD"


def setup(folder: Path, url: str, settings: str) -> None:
    """Do what `make remote` does."""
    run(
        folder, "python -m mlops.remote", PYTHONPATH=SOURCES,
        DVC_REMOTE_URL=url, DVC_REMOTE_SETTINGS=settings,
    )  # fmt: skip


@pytest.fixture
def elsewhere(quick: Path, storage: Storage, tmp_path: Path) -> Path:
    """A clone on another machine, as it were, of a repository whose outputs were pushed."""
    owner = copy(quick, tmp_path / "owner")
    storage.connect_owner(owner)
    run(owner, "dvc push --quiet")
    folder = clone(owner, tmp_path / "elsewhere")
    setup(folder, storage.url, storage.settings)
    return folder


def review(folder: Path, wanted: int = 0) -> tuple[str, str]:
    """Review a clone; give what is printed and the report."""
    told = run(folder, REVIEW, wanted, PYTHONPATH=SOURCES)
    return told, (folder / "artifacts/review/report.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_clone_elsewhere_is_reviewed_without_running_a_stage(elsewhere: Path) -> None:
    told, report = review(elsewhere)

    assert "Every stage of the pipeline is as in the base: nothing had to run." in report
    assert "missing from the storage" not in told
    assert "storage lacks" not in told
    assert stages_run(told) == []
    assert run(elsewhere, "git status --porcelain") == ""


@pytest.mark.slow
@pytest.mark.parametrize("storages", ["folder"], indirect=True)
def test_what_a_half_pushed_storage_lacks_is_made_anew_and_the_review_names_it(
    elsewhere: Path,
    storage: Storage,
) -> None:
    outs = read_lock(elsewhere)["train"]["outs"]
    (model,) = (out for out in outs if out["path"].endswith("model.joblib"))
    storage.remove(storage.of_hash(model["md5"]))

    told, report = review(elsewhere)

    assert f"missing from the storage: {model['path']} with hash {model['md5']}" in told
    assert (
        f"**The storage lacks outputs that dvc.lock names:** {model['path']}, artifacts/bundle."
        in report
    )
    assert "`dvc push`" in report
    assert set(stages_run(told)) <= {"train", "export"}
    assert "Pass" in report.splitlines()[0]


@pytest.mark.slow
@pytest.mark.parametrize("storages", ["http"], indirect=True)
def test_a_storage_that_refuses_its_reader_stops_the_review_and_says_why(
    elsewhere: Path,
    storage: Storage,
) -> None:
    setup(elsewhere, storage.url, storage.wrong)

    told, report = review(elsewhere, wanted=2)

    for text in (told, report):
        assert "The review could not judge" in text
        assert "The storage of data and models failed:" in text
        assert re.search("[Aa]uth|[Pp]ermission denied|401|403", text), text
    assert stages_run(told) == []


@pytest.mark.slow
@pytest.mark.parametrize("storages", ["folder"], indirect=True)
def test_data_that_nobody_pushed_stop_the_review_which_says_what_to_do(
    quick: Path,
    storage: Storage,
    tmp_path: Path,
) -> None:
    owner = copy(quick, tmp_path / "owner")
    run(owner, "git rm -rq --cached data/source && dvc add --quiet data/source")
    run(owner, "git add -A && git commit -qm 'The data, by DVC'")
    storage.connect_owner(owner)
    own, _ = review(owner)
    folder = clone(owner, tmp_path / "elsewhere")
    setup(folder, storage.url, storage.settings)

    told, report = review(folder, wanted=2)
    run(owner, "dvc push --quiet")
    again, _ = review(folder)

    assert "missing from the storage: artifacts/train/model.joblib" not in own, "the cache has it"
    for text in (told, report):
        assert "Source data is missing both locally and in the remote:\n  data/source\n" in text
        assert "dvc push" in text
    assert stages_run(again) == []
