"""How a command refuses bad input: every problem at once, no stack trace, exit code 1."""

import sys
from collections.abc import Callable, Sequence

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
    """Run `main`, turn BadInput into its message on stderr, and leave with an exit code."""
    try:
        code = main()
    except BadInput as error:
        print(error, file=sys.stderr)
        code = 1
    sys.exit(code or 0)
