"""What a person does every day: format, lock, commit; on any machine, with the same line ends."""

import json
import re
import shutil
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from clones import clone, run
from mlops import GIT_PLACES
from paths import ROOT, SOURCES

CRLF = "-c core.autocrlf=true -c core.eol=crlf"
"""What Git for Windows sets, and the worst that a person could."""


def test_a_clone_with_windows_line_ends_has_the_bytes_that_dvc_lock_names(
    quick: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "clone"
    run(tmp_path, f"git {CRLF} clone --quiet '{quick}' '{folder}'")
    run(folder, "git config core.autocrlf true && git config core.eol crlf")

    text = run(folder, "git ls-files --eol")
    assert "w/crlf" not in text
    assert "w/mixed" not in text
    changed = json.loads(run(folder, "dvc status --json"))
    states = [
        state
        for changes in changed.values()
        for change in changes
        if isinstance(change, dict)
        for paths in change.values()
        for state in paths.values()
    ]
    # Outputs are not there yet; a file of git that had other bytes would be "modified".
    assert set(states) <= {"deleted", "not in cache"}, changed
    assert run(folder, "git status --porcelain") == ""


def test_data_keep_the_line_ends_with_which_they_came(quick: Path, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    clone(quick, ours)
    files = {"data/source/new.csv": b"a,b\r\n1,2\r\n", "elsewhere/x.tsv": b"a\tb\r\n"}
    for name, content in files.items():
        (ours / name).parent.mkdir(exist_ok=True)
        (ours / name).write_bytes(content)
    run(ours, "git add --all && git commit --quiet --message data")
    run(tmp_path, f"git {CRLF} clone --quiet '{ours}' '{theirs}'")

    for name, content in files.items():
        assert (theirs / name).read_bytes() == content


def test_locks_and_the_engine_are_folded_in_diffs() -> None:
    paths = [
        "dvc.lock",
        "requirements-dev.txt",
        "engine/mlops/params.py",
        "src/x.py",
        "params.yaml",
    ]
    shown = run(ROOT, f"git check-attr linguist-generated {' '.join(paths)}")

    assert [line.rsplit(": ")[-1] for line in shown.splitlines()] == [
        "set", "set", "set", "unspecified", "unspecified",
    ]  # fmt: skip


def test_make_format_fixes_what_lint_refuses(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "odd.py").write_text("import sys\nimport os\nx = {  'a':1 }\n")

    run(tmp_path, "make -o .venv/test format")

    assert (tmp_path / "odd.py").read_text() == 'x = {"a": 1}\n'


def wheel(folder: Path, name: str, version: str) -> None:
    """Write a wheel that holds nothing but its name."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")


REAL = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
GROUPS = "".join(f'{name} = ["second"]\n' for name in REAL["dependency-groups"])
EXTRAS = "".join(f'{name} = ["first"]\n' for name in REAL["project"]["optional-dependencies"])
PROJECT = f"""[project]
name = "mlops"
version = "0"
requires-python = ">=3.11"
dependencies = ["first"]
[project.optional-dependencies]
{EXTRAS}
[dependency-groups]
{GROUPS}
"""
"""A project with our groups of libraries, in which there are only two of them."""


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """Give a project that is locked to version 1 of its two libraries."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in ("first", "second"):
        wheel(wheels, name, "1")
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    lock(tmp_path)
    return tmp_path


def lock(folder: Path, options: str = "") -> dict[str, str]:
    """Run `make lock` against the wheels alone, and give every locked file."""
    offline = {"UV_NO_INDEX": "1", "UV_OFFLINE": "1", "UV_FIND_LINKS": str(folder / "wheels")}
    run(folder, f"make -o .venv/run lock {options}", **offline, UV_NO_CONFIG="1")
    return {path.name: path.read_text() for path in folder.glob("requirements*.txt")}


def pins(locks: dict[str, str]) -> set[str]:
    return {pin for text in locks.values() for pin in re.findall(r"^\S+==\S+", text, re.MULTILINE)}


def test_make_lock_changes_only_what_was_asked(locked: Path) -> None:
    before = lock(locked)
    assert pins(before) == {"first==1", "second==1"}
    for name in ("first", "second", "third"):
        wheel(locked / "wheels", name, "2")

    assert lock(locked) == before, "newer releases change nothing by themselves"

    project = PROJECT.replace('dependencies = ["first"]', 'dependencies = ["first", "third"]')
    (locked / "pyproject.toml").write_text(project)
    added = lock(locked)
    assert pins(added) == {"first==1", "second==1", "third==2"}
    for name, text in before.items():
        assert set(text.splitlines()) <= set(added[name].splitlines())

    assert pins(lock(locked, "UPGRADE=second")) == {"first==1", "second==2", "third==2"}
    assert pins(lock(locked, "UPGRADE=1")) == {"first==2", "second==2", "third==2"}


HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]


def test_hooks_run_the_locked_tools_and_download_nothing() -> None:
    assert [repository["repo"] for repository in HOOKS] == ["local"]
    for hook in HOOKS[0]["hooks"]:
        assert hook["language"] == "system"
        assert hook["entry"].startswith(".venv/bin/")


def test_a_commit_is_formatted_and_its_params_are_checked(quick: Path, tmp_path: Path) -> None:
    folder = clone(quick, tmp_path / "clone")
    (folder / ".venv").symlink_to(sys.prefix)
    cache = {"PREK_HOME": str(tmp_path / "prek"), "HOME": str(tmp_path), "PYTHONPATH": SOURCES}
    run(folder, ".venv/bin/prek install", **cache)
    odd = folder / "src" / "odd.py"
    odd.write_text("x = {  'a':1 }\n")

    refused = run(folder, "git add -A src && git commit -qm odd", wanted=1, **cache)
    assert "Format (ruff)" in refused
    assert odd.read_text() == 'x = {"a": 1}\n'
    run(folder, "git add -A src && git commit -qm even", **cache)

    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("kind: hist_gradient", "knid: hist_gradient"))
    refused = run(folder, "git commit -qam params", wanted=1, **cache)
    assert "knid" in refused


def test_the_devcontainer_runs_what_the_readme_says() -> None:
    text = (ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8")
    settings = json.loads(re.sub(r"^ *//.*$", "", text, flags=re.MULTILINE))
    base = re.search(
        r"^FROM python:(3\.\d+)[\d.]*-slim-(\w+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )

    assert base
    assert settings["image"] == f"python:{base[1]}-{base[2]}", "as the image that serves"
    assert settings["postCreateCommand"] == "make run"
    assert "target=${containerWorkspaceFolder}/.venv,type=volume" in settings["mounts"][0]


def test_what_git_sets_in_its_hooks_leads_no_call_of_ours_elsewhere(
    quick: Path, tmp_path: Path
) -> None:
    here, other = clone(quick, tmp_path / "here"), clone(quick, tmp_path / "other")
    run(other, "git commit --quiet --allow-empty --message other")
    head = run(here, "git rev-parse HEAD").strip()
    hook = {
        "GIT_DIR": f"{other}/.git",
        "GIT_WORK_TREE": str(other),
        "GIT_INDEX_FILE": f"{other}/.git/index",
        "GIT_LITERAL_PATHSPECS": "1",
        "PYTHONPATH": SOURCES,
    }
    code = (
        "from mlops.review.checkouts import git; import subprocess; print(git('rev-parse', "
        "'HEAD'), subprocess.check_output(['git', 'rev-parse', 'HEAD'], text=True).strip())"
    )

    assert run(here, f'{sys.executable} -c "{code}"', **hook).split() == [head, head]


def test_make_drops_the_same_variables_as_the_engine() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    dropped = set(re.findall(r"GIT_[A-Z_]+", " ".join(re.findall(r"^unexport .*$", text, re.M))))

    assert dropped == set(GIT_PLACES)
