"""Run stages in one process: importing the libraries takes longer than the stages.

The arguments are the stages' modules; the last line of stdout names the one that failed.
"""

import importlib
import sys

from mlops.errors import run_command


def main() -> None:
    names, sys.argv = sys.argv[1:], sys.argv[:1]
    for name in names:
        try:
            importlib.import_module(name).main()
        except BaseException:
            print(f"\n{name}")
            raise


if __name__ == "__main__":
    run_command(main)
