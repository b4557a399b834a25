"""Paths for the benchmarks, which use the project and the helpers of the engine's tests: import
this module first, to add both to Python's path.
"""

import sys
from pathlib import Path

_TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(_TESTS), str(_TESTS / "demo_project/src")]

from paths import DEMO, PYTHONPATH, ROOT, SOURCES  # noqa: E402

__all__ = ["DEMO", "PYTHONPATH", "ROOT", "SOURCES"]
