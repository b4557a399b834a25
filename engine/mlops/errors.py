"""How a command refuses bad input: every problem at once, no stack trace, exit code 1."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

FAILURE_FILE = "MLOPS_FAILURE_FILE"
"""Environment variable: where a failing command leaves its message."""

LISTED = 20
"""Problems shown on a terminal; a message of a thousand lines is read by nobody."""


class BadInput(Exception):
    """Input that a person has to mend.

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
    """Run `main`, turn BadInput into its message on stderr, and leave with an exit code.

    The message also goes into the file that FAILURE_FILE names: so a review can show why a stage
    failed without taking the terminal, and with it the progress bar, away from the stage.
    """
    try:
        code = main()
    except BadInput as error:
        _record(str(error))
        print(error, file=sys.stderr)
        code = 1
    except Exception as error:
        _record(f"{type(error).__name__}: {error}")
        raise
    sys.exit(code or 0)


def _record(message: str) -> None:
    if path := os.environ.get(FAILURE_FILE):
        Path(path).write_text(message, encoding="utf-8")
