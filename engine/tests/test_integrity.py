"""The list of the template's files: what somebody edited is named, what adoption removed is not."""

import subprocess
import sys
from pathlib import Path

import pytest

from clones import clone, run
from mlops.integrity import LIST, edited, managed, recorded, write
from paths import ROOT


@pytest.fixture
def repository(origin: Path, tmp_path: Path) -> Path:
    folder = clone(origin, tmp_path / "repository")
    write(folder)
    return folder


def test_an_untouched_engine_is_as_it_came(repository: Path) -> None:
    assert edited(repository) == []
    assert "are unchanged" in run(repository, "PYTHONPATH=engine python -m mlops.integrity")


@pytest.mark.parametrize(
    "name", ["engine/mlops/files.py", ".github/workflows/check.yml", "engine/VERSION"]
)
def test_an_edit_of_engine_or_workflow_is_named(name: str, repository: Path) -> None:
    with (repository / name).open("a") as file:
        file.write("# mine\n")

    assert edited(repository) == [name]
    told = run(repository, "PYTHONPATH=engine python -m mlops.integrity", wanted=1)
    assert told == f"Edited here:\n{name}\n"


def test_a_file_more_counts_once_git_knows_it_and_a_file_less_never(repository: Path) -> None:
    (repository / "engine/mlops/extra.py").write_text("")
    (repository / "engine/tests/test_api.py").unlink()
    assert edited(repository) == []

    run(repository, "git add engine/mlops/extra.py")

    assert edited(repository) == ["engine/mlops/extra.py"]


def test_what_is_theirs_is_in_no_list(repository: Path) -> None:
    theirs = ("README.md", "params.yaml", "dvc.", "data/", "src/", "tests/", "notebooks/")
    names = list(managed(repository))

    assert not [name for name in names if name.startswith(theirs)]
    assert {"Makefile", "pyproject.toml", "engine/mlops/files.py"} <= set(names)
    assert recorded((repository / LIST).read_text()).keys() == set(names)


def test_the_list_is_one_that_sha256sum_checks(repository: Path) -> None:
    run(repository, f"sha256sum --check --quiet {LIST}")


def test_it_needs_no_library() -> None:
    code = "import sys; sys.path.insert(0, 'engine'); import mlops.integrity"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], cwd=ROOT, check=True)


def test_outside_of_a_repository_it_says_so_without_a_stack_trace(tmp_path: Path) -> None:
    told = run(tmp_path, f"{sys.executable} -m mlops.integrity", 1, PYTHONPATH=str(ROOT / "engine"))

    assert told.startswith("git ls-files: fatal: not a git repository")
    assert "Traceback" not in told
