"""How a command refuses input: all problems, no stack trace, exit code 1."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlops.errors import FAILURE_FILE, LISTED, UserError, run_command
from paths import ROOT


def refuse() -> None:
    raise UserError("file: 2 problem(s)", ["line 1: a", "line 2: b"], "Fix them.")


def test_the_message_holds_all_problems_and_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as leaving:
        run_command(refuse)

    assert leaving.value.code == 1
    assert capsys.readouterr().err == ("file: 2 problem(s)\n  line 1: a\n  line 2: b\nFix them.\n")


@pytest.mark.parametrize(("n", "more"), [(LISTED, False), (LISTED + 1, True)])
def test_a_long_list_is_cut_and_counted(n: int, more: bool) -> None:
    text = str(UserError("many", [f"problem {i}" for i in range(n)]))

    assert ("… and 1 more" in text) == more
    assert text.count("problem ") == LISTED


def test_success_leaves_with_zero() -> None:
    with pytest.raises(SystemExit) as leaving:
        run_command(lambda: None)

    assert leaving.value.code == 0


def test_a_review_can_read_why_a_stage_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FAILURE_FILE, str(tmp_path / "message"))

    with pytest.raises(SystemExit):
        run_command(refuse)
    assert (tmp_path / "message").read_text().startswith("file: 2 problem(s)")

    def crash() -> None:
        raise ZeroDivisionError("division by zero")

    with pytest.raises(ZeroDivisionError):
        run_command(crash)
    assert (tmp_path / "message").read_text() == "ZeroDivisionError: division by zero"


COMMAND = """
import atexit, ctypes
from mlops.errors import UserError, run_command
libc = ctypes.CDLL(None)
libc.__cxa_atexit(ctypes.cast(libc.abort, ctypes.c_void_p), None, None)
atexit.register(print, "cleaned up")
def main():
    print("said", end=" ")
    {end}
run_command(main)
"""
"""A command in whose process a C++ library aborts at exit, as Arrow's threads do."""


@pytest.mark.parametrize(
    ("end", "code", "told"),
    [
        ("return None", 0, ""),
        ("return 2", 2, ""),
        ("raise UserError('file: 1 problem')", 1, "file: 1 problem"),
        ("raise ZeroDivisionError('odd')", 1, "ZeroDivisionError: odd"),
    ],
)
def test_the_announced_exit_code_holds_where_a_library_aborts_at_exit(
    end: str, code: int, told: str, tmp_path: Path
) -> None:
    script = tmp_path / "command.py"
    script.write_text(COMMAND.format(end=end))

    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)

    assert run.returncode == code, run.stderr
    assert told in run.stderr
    assert run.stdout == "said cleaned up\n"


def test_every_command_leaves_by_the_same_way() -> None:
    """Its exit code is then the one that was announced, whatever libraries do at the end."""
    modules = [
        path.read_text(encoding="utf-8")
        for path in sorted((ROOT / "engine/mlops").rglob("*.py"))
        if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
    ]

    assert len(modules) > 30
    for text in modules:
        assert text.splitlines()[-1].startswith("    run_command("), text[:80]
