"""A warm Python does what the usual one does: words, environment, files, exit codes, signals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clones import environment
from warm_python import warm_environment

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only on Linux")

TOLD = """
import json, os, sys
print(json.dumps([
    sys.argv[1:], os.getcwd(), dict(os.environ), sys.stdin.read(), __name__, oct(os.umask(0)),
]))
print("problem", file=sys.stderr)  # before what waits in the buffer of the standard output
sys.exit(3)
"""
WAITS = """
import pathlib, sys, time
pathlib.Path("waits").touch()
try:
    time.sleep(60)
except KeyboardInterrupt:
    pathlib.Path("interrupted").touch()
    raise
"""
WARM = "'sklearn' in sys.modules"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    package = tmp_path / "mlops"
    package.mkdir()
    for name, text in {
        "__init__": "", "told": TOLD, "waits": WAITS,
        "warm": f"import sys; print({WARM})",
        "raises": "raise ValueError('no')", "says": "raise SystemExit('said')",
    }.items():  # fmt: skip
        (package / f"{name}.py").write_text(text)
    return tmp_path


def run(
    folder: Path, *words: str, usual: bool = False, **own: str
) -> subprocess.CompletedProcess[str]:
    """Run a command; both of its streams are one, in the order in which they come."""
    return subprocess.run(
        [sys.executable if usual else warm_environment() / "bin/python", *words],
        cwd=folder, env=environment(**own), umask=0o027,
        input="given", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("own", [{}, {"OMP_NUM_THREADS": "1"}])
@pytest.mark.parametrize("words", [("-m", "mlops.told"), ("-P", "mlops/told.py")])
def test_a_command_finds_what_it_would_find_in_the_usual_python(
    words: tuple[str, str], own: dict[str, str], folder: Path
) -> None:
    words = (*words, "--rows", "größer")

    warm, usual = (run(folder, *words, usual=u, OWN="set", **own) for u in (False, True))

    assert usual.stdout.startswith("problem\n[")
    assert (warm.returncode, warm.stdout) == (3, usual.stdout)


def test_it_is_warm_only_for_commands_of_the_engine_and_settings_that_it_knows(
    folder: Path,
) -> None:
    def is_warm(*words: str, **own: str) -> bool:
        return run(folder, *words, **own).stdout == "True\n"

    assert is_warm("-m", "mlops.warm")
    assert is_warm("-m", "mlops.warm", OMP_NUM_THREADS="1")
    assert not is_warm("-m", "mlops.warm", OMP_NUM_THREADS="2")
    assert not is_warm("-m", "mlops.warm", PYTHONHASHSEED="7")
    assert not is_warm("-c", f"import sys; print({WARM})")


@pytest.mark.parametrize("module", ["raises", "says", "missing"])
def test_a_failure_is_the_same_failure(module: str, folder: Path) -> None:
    warm, usual = (run(folder, "-m", f"mlops.{module}", usual=usual) for usual in (False, True))

    assert warm.returncode == usual.returncode == 1
    assert usual.stdout.splitlines()[-1].split(": ")[-1] in warm.stdout


def waiting(folder: Path) -> "subprocess.Popen[bytes]":
    python = warm_environment() / "bin/python"
    process = subprocess.Popen([python, "-m", "mlops.waits"], cwd=folder, env=environment())
    _until((folder / "waits").exists)
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_as_it_ends_the_usual_one(number: signal.Signals, folder: Path) -> None:
    process = waiting(folder)
    process.send_signal(number)

    assert process.wait(10) == -number
    assert (folder / "interrupted").exists() == (number == signal.SIGINT)


def test_a_killed_command_leaves_nothing_behind(folder: Path) -> None:
    process = waiting(folder)
    (started,) = _those_in(folder) - {process.pid}

    process.kill()
    process.wait(10)

    _until(lambda: started not in _those_in(folder))


def _those_in(folder: Path) -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if path.resolve() == folder.resolve():
                found.add(int(path.parent.name))
        except OSError:
            continue
    return found


def _until(holds) -> None:  # type: ignore[no-untyped-def]
    for _ in range(200):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("not within 10 s")
