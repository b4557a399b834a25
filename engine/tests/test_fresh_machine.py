"""Both commands of the README on machines as people have them: `make` in a clone, for real."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clones import run
from paths import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
BASE = Path(sys.base_prefix) / "bin/python3"
FROM = {name: value for name, value in os.environ.items() if name in {"PIP_CERT", "SSL_CERT_FILE"}}
"""How this machine reaches its packages."""
OFFLINE = dict.fromkeys(
    ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"), "http://127.0.0.1:9"
)


def python_that(folder: Path, condition: str, does: str) -> Path:
    """Make a stand-in for python3 that behaves otherwise where its arguments match a pattern."""
    path = folder / "python3"
    path.write_text(f"""#!/bin/sh
case "$*" in {condition}) {does} ;; esac
exec "{BASE}" "$@"
""")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Give a folder with nothing but what sets the environment up."""
    folder = tmp_path / "bare"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.txt", "requirements-setup.txt"):
        shutil.copy(ROOT / name, folder)
    return folder


def test_a_python_without_venv_is_named_with_the_line_to_type(bare: Path, tmp_path: Path) -> None:
    python = python_that(tmp_path, "*venv*", "echo ensurepip is not available; exit 1")

    printed = run(bare, f"make run PYTHON='{python}'", wanted=2)

    assert f"{python} can't make .venv" in printed
    assert "sudo apt-get install python3-venv" in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("version", ["3.10.13", "3.15.0"])
def test_a_python_outside_the_supported_ones_is_refused(
    bare: Path, tmp_path: Path, version: str
) -> None:
    parts = ", ".join(version.split("."))
    does = f'shift; exec "{BASE}" -c "import sys; sys.version_info = ({parts}); $*"'
    python = python_that(tmp_path, "-c*", does)

    printed = run(bare, f"make run PYTHON='{python}'", wanted=2)

    assert "wanted Python 3.11 to 3.14: make PYTHON=python3.12" in printed
    assert not (bare / ".venv").exists()


def test_no_python_at_all_is_said_too(bare: Path) -> None:
    assert "wanted Python 3.11 to 3.14" in run(bare, "make run PYTHON=/nowhere/python3", wanted=2)


def set_up(origin: Path, folder: Path, before: str = "", **variables: str) -> str:
    """Clone by one commit and run the README's first command, under a shell's settings."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    clone = f"{before} git clone -q --depth 1 'file://{origin}' '{folder}' && cd '{folder}'"
    printed = run(folder.parent, f"{clone} && make run PYTHON='{BASE}'", **FROM, **variables)
    assert run(folder, "git status --porcelain") == ""
    return printed


@pytest.mark.slow
def test_a_shallow_clone_in_an_odd_folder_runs_then_offline_without_a_git_user(
    committed: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "Jörgs neue Proben" / "ein Modell"
    nobody = {
        f"GIT_{who}_{what}": "" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }

    assert "rmse is unchanged" in set_up(committed, folder, "umask 077;", **nobody)

    assert "rmse is unchanged" in run(folder, "umask 077; make run", **nobody, **OFFLINE)
    assert run(folder, "git status --porcelain") == ""


@pytest.mark.slow
def test_a_persons_own_settings_change_nothing(committed: Path, tmp_path: Path) -> None:
    folder, other = tmp_path / "model", tmp_path / "other"
    run(tmp_path, f"'{BASE}' -m venv --without-pip '{other}'")
    (other / "numpy.py").write_text("raise SystemExit('numpy of another project')\n")
    (other / "constraints.txt").write_text("numpy==1.0\n")
    theirs = {
        "PYTHONPATH": f"{other}", "PYTHONOPTIMIZE": "2", "VIRTUAL_ENV": f"{other}",
        "CONDA_PREFIX": f"{other}", "PIP_USER": "1", "PIP_TARGET": f"{other}/target",
        "PIP_PREFIX": f"{other}/prefix", "PIP_CONSTRAINT": f"{other}/constraints.txt",
        "PIP_REQUIRE_VIRTUALENV": "1", "UV_SYSTEM_PYTHON": "1", "UV_PYTHON": f"{other}/bin/python",
        "UV_CONSTRAINT": f"{other}/constraints.txt", "UV_PROJECT_ENVIRONMENT": f"{other}",
    }  # fmt: skip

    assert "rmse is unchanged" in set_up(committed, folder, f"PATH='{other}/bin':$PATH;", **theirs)
    assert not (other / "target").exists()
    assert not list(other.glob("lib/*/site-packages/*/"))


@pytest.mark.slow
def test_a_home_that_nobody_can_write_to_is_no_obstacle(committed: Path, tmp_path: Path) -> None:
    nowhere = {"HOME": "/dev/null/home", "XDG_CACHE_HOME": "/dev/null/cache"}

    printed = set_up(committed, tmp_path / "model", **nowhere)

    assert "rmse is unchanged" in printed
    assert "Traceback" not in printed


@pytest.fixture(scope="session")
def committed(quick: Path) -> Path:
    """Give the quick repository, whose lock says what a run must give."""
    return quick


# macOS has GNU make 3.81 and BSD's tools


def test_every_command_of_make_goes_through_a_shell_that_knows_the_environment() -> None:
    # Make 3.81 starts what needs no shell by the PATH that it was itself started with, unless SHELL
    # is another one than /bin/sh.
    shell = MAKEFILE.index("\nSHELL := $(shell command -v bash")

    assert shell < MAKEFILE.index("\nhelp:")
    shown = subprocess.run(
        ["make", "--print-data-base", "--dry-run", "help"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert re.search(r"^SHELL := \S*/bash$", shown, re.MULTILINE)


NEWER = {
    "GNU make after 3.81": r"^\.ONESHELL|^\.SHELLFLAGS|::=|!=|\$\((?:file|guile)\b|^undefine|&:",
    "GNU tools": r"""(?x)\b(?:
        sed\ -i(?!\ '')|sed\ -\w*[rz]|grep\ -\w*[PZ]|readlink\ -[fem]|realpath|xargs\ -\w*[rd]
        |date\ -[dI]|cp\ -\w*[tTu]|mv\ -[tT]|sort\ -\w*[VRz]|stat\ -c|find\ .*-printf|head\ -n\ -
        |timeout\ |nproc|tac\ |sha256sum|md5sum|base64\ -w|touch\ -d|ln\ -\w*[rT]|du\ -b|install\ -D
        |cut\ -z|wc\ -L|flock\ )""",
    "bash": r"\[\[|<\(|\$'|&>|\|&",
}


@pytest.mark.parametrize("family", NEWER)
def test_the_makefile_needs_nothing_that_macos_lacks(family: str) -> None:
    lines = [line for line in MAKEFILE.splitlines() if not line.startswith("#")]

    assert [line for line in lines if re.search(NEWER[family], line)] == []


@pytest.mark.parametrize(
    ("family", "line"),
    [
        ("GNU make after 3.81", ".ONESHELL:"),
        ("GNU make after 3.81", "NOW != date"),
        ("GNU tools", "\tsed -i s/a/b/ x"),
        ("GNU tools", "\tgrep -oP x y"),
        ("GNU tools", "\tfind . | xargs -r rm"),
        ("GNU tools", "\tcd $$(readlink -f .)"),
        ("bash", "\tif [[ -f x ]]; then"),
    ],
)
def test_what_macos_lacks_is_found(family: str, line: str) -> None:
    assert re.search(NEWER[family], line, re.MULTILINE)
