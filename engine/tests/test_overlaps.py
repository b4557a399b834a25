"""Two pull requests that overlap, one merged after the other: main's lock is never a wrong one.

What counts is what the required check sees of the second one's merge: a conflict, which GitHub
shows by itself; a lock that is behind, which blocks; or a lock that DVC would write to the byte.
The pipeline is a toy; test_pull_requests.py plays one such pair with ours, under act.
"""

import contextlib
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from dvc.repo import Repo

from github_fake.origin import git as git_or_fail
from mlops.review.lock_check import is_behind
from test_review import commit, git

# DVC in this process, for its start is most of what a toy costs; by a library that will change.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value will:DeprecationWarning")

FILES = {
    "dvc.yaml": """\
stages:
  rows: {cmd: cat data/* > rows, deps: [data], outs: [rows]}
  train: {cmd: sh code > model, deps: [rows, code], params: [a, b], outs: [model]}
  export:
    cmd: "(cat model; grep ^c: params.yaml) > bundle"
    deps: [model]
    params: [c]
    outs: [bundle]
""",
    "params.yaml": "a: 1\n\n\n\nb: 1\n\n\n\nc: 1\n",
    "code": "cat rows\ngrep '^[ab]:' params.yaml\n",
    "data/1": "one\n",
    "README.md": "# Words\n",
    ".dvc/config": "[core]\n    analytics = false\n",
    ".dvc/.gitignore": "/tmp\n/cache\n",
    ".gitignore": "/rows\n/model\n/bundle\n",
}


class Proposed(NamedTuple):
    """A pull request: text by file, put in place of its first line there; whether with its lock."""

    edits: dict[str, tuple[str, str]]
    locked: bool = True


def params(name: str, value: int) -> Proposed:
    return Proposed({"params.yaml": (f"{name}: 1", f"{name}: {value}")})


def rows(name: str, text: str) -> Proposed:
    return Proposed({f"data/{name}": ("", text)})


WITHOUT_LOCK = params("a", 2)._replace(locked=False)
CODE = Proposed({"code": ("cat rows", "cat rows rows")})
WORDS = Proposed({"README.md": ("# Words", "# Other words")})

OVERLAPS = {
    "the same value of a parameter": (params("a", 2), params("a", 2), "current"),
    "two values of a parameter": (params("a", 2), params("a", 3), "conflict"),
    "two parameters of a stage": (params("a", 2), params("b", 2), "conflict"),
    "parameters of two stages": (params("a", 2), params("c", 2), "conflict"),
    "a parameter and rows": (params("a", 2), rows("2", "two"), "conflict"),
    "two partitions": (rows("2", "two"), rows("3", "three"), "conflict"),
    "one partition, two contents": (rows("2", "two"), rows("2", "three"), "conflict"),
    "code and a parameter": (CODE, params("b", 2), "conflict"),
    "a parameter without its lock": (WITHOUT_LOCK, params("b", 2), "behind"),
    "after a parameter without its lock": (params("b", 2), WITHOUT_LOCK, "behind"),
    "neither with its lock": (WITHOUT_LOCK, rows("2", "two")._replace(locked=False), "behind"),
    "code, and rows without their lock": (CODE, rows("2", "x")._replace(locked=False), "behind"),
    "words and a parameter": (WORDS, params("a", 2), "current"),
}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def lock(folder: Path) -> str:
    """Bring the lock up to date, as `dvc repro --no-run-cache` does, and give it."""
    with contextlib.chdir(folder), Repo() as repo:
        repo.reproduce(run_cache=False)
        assert repo.status() == {}
    return (folder / "dvc.lock").read_text(encoding="utf-8")


def propose(folder: Path, branch: str, proposed: Proposed) -> None:
    git(folder, "checkout", "--quiet", "-b", branch, "start")
    for name, (old, new) in proposed.edits.items():
        path = folder / name
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        assert old in before
        write(folder, {name: before.replace(old, new, 1) if before else f"{new}\n"})
    if proposed.locked:
        lock(folder)
    commit(folder, branch)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("overlaps")
    write(folder, FILES)
    git(folder, "init", "--quiet", "--initial-branch=main")
    lock(folder)
    commit(folder, "start")
    git(folder, "tag", "start")
    return folder


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_no_second_merge_brings_a_lock_that_is_not_what_dvc_would_write(
    overlap: str, repository: Path
) -> None:
    first, second, wanted = OVERLAPS[overlap]
    number = list(OVERLAPS).index(overlap)
    propose(repository, f"first-{number}", first)
    propose(repository, f"second-{number}", second)
    git(repository, "checkout", "--quiet", "--detach", f"first-{number}")

    try:
        git_or_fail(repository, "merge", "--quiet", "--no-edit", f"second-{number}")
    except RuntimeError:
        git(repository, "merge", "--abort")
        found = "conflict"
    else:
        merged = (repository / "dvc.lock").read_text(encoding="utf-8")
        made = lock(repository)
        stages: dict[str, Any] = yaml.safe_load(made)["stages"]
        found = "behind" if is_behind(merged, stages) else "current"
        assert found == "behind" or merged == made
        git(repository, "checkout", "--quiet", "--force", "HEAD")

    assert found == wanted
