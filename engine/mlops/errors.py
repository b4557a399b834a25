"""How a command refuses bad input: every problem at once, no stack trace, exit code 1."""

import atexit
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

FAILURE_FILE = "MLOPS_FAILURE_FILE"
"""Environment variable: the file to which a failing command writes its message."""

_codes: list[int] = []
"""The exit code of this process's command, once it is known."""

LISTED = 20
"""Problems shown on a terminal; nobody reads a message of a thousand lines."""


class UserError(Exception):
    """Input that a person has to fix.

    Each problem names its place, the value found and the one wanted; `advice` says how to fix it.
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
    """Run `main`, print the message of a UserError to stderr, and exit with a code.

    The message is also written to the file that FAILURE_FILE names, so that a review can show why a
    stage failed without capturing the stage's terminal output, and with it the progress bar.
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
    if main.__module__ == "__main__":  # not a test that calls a command in its own process
        _codes.append(code)


def _leave() -> None:
    """End the process with the announced code, after Python's own cleanup.

    The C++ cleanup after that may abort: on a busy machine, Arrow's threads are still running
    (https://github.com/apache/arrow/issues/34314), and the exit code would be 134.
    """
    if _codes:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(_codes[-1])


atexit.register(_leave)  # registered among the first, so run among the last


def _record(message: str) -> None:
    if path := os.environ.get(FAILURE_FILE):
        Path(path).write_text(message, encoding="utf-8")
