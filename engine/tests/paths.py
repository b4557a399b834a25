"""Where the repository is, and the project that the engine's tests bring: they need no other."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEMO = Path(__file__).parent / "demo_project"

SOURCES = "engine:src"
"""PYTHONPATH of a command that runs in a clone."""
PYTHONPATH = os.pathsep.join(map(str, (ROOT / "engine", DEMO / "src")))
"""PYTHONPATH of a command that runs anywhere: this engine, and the project of its tests."""
