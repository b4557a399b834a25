"""Paths for the benchmarks. They measure the engine with the project of its tests, and use their
helpers: this module, imported first, puts both where Python finds them.
"""

import sys
from pathlib import Path

_TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(_TESTS), str(_TESTS / "demo_project/src")]

from paths import DEMO, PYTHONPATH, ROOT, SOURCES  # noqa: E402

__all__ = ["DEMO", "PYTHONPATH", "ROOT", "SOURCES"]
