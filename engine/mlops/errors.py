"""How a command refuses bad input: every problem at once, no stack trace, exit code 1."""

import atexit
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

FAILURE_FILE = "MLOPS_FAILURE_FILE"
"""Environment variable: where a failing command leaves its message."""

_codes: list[int] = []
"""The exit code of the command that is this process, once it is known."""

LISTED = 20
"""Problems shown on a terminal; a message of a thousand lines is read by nobody."""


class UserError(Exception):
    """Input that a person has to fix.

    Each problem says where it stands, what was found and what was wanted; `advice` what to do.
    """

    def __init__(self, headline: str, problems: Sequence[str] = (), advice: str = "") -> None:
        self.headline, self.problems, self.advice = headline, tuple(problems), advice
        super().__init__(headline, self.problems, advice)

    def __str__(self) -> str:
        lines = [self.headline, *(f"  {problem}" for problem in self.problems[:LISTED])]
        if len(self.problems) > LISTED:
            lines.append(f"  … and {len(self.problems) - LISTED} more")
        return "\n".join([*lines, self.advice] if self.advice else lines)


def run_command(main: Callable[[], int | None]) -> None:
    """Run `main`, turn UserError into its message on stderr, and leave with an exit code.

    The message also goes into the file that FAILURE_FILE names: so a review can show why a stage
    failed without taking the terminal, and with it the progress bar, away from the stage.
    """
    try:
        code = main()
    except UserError as error:
        _record(str(error))
        print(error, file=sys.stderr)
        code = 1
    except Exception as error:
        _record(f"{type(error).__name__}: {error}")
        _announce(main, 1)
        raise
    _announce(main, code or 0)
    sys.exit(code or 0)


def _announce(main: Callable[[], int | None], code: int) -> None:
    if main.__module__ == "__main__":  # not a test that calls a command within its own process
        _codes.append(code)


def _leave() -> None:
    """End the process with the announced code, once all that Python cleans up is done.

    What C++ cleans up after that may abort: on a busy machine, threads of Arrow are still at work
    (https://github.com/apache/arrow/issues/34314), and the exit code would be 134.
    """
    if _codes:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(_codes[-1])


atexit.register(_leave)  # among the first to be registered, so among the last to run


def _record(message: str) -> None:
    if path := os.environ.get(FAILURE_FILE):
        Path(path).write_text(message, encoding="utf-8")
