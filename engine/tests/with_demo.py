"""The template's tests need its demo: where other data has taken its place, a copy that has it.

What holds there holds for the code that both share. The data that is really here is held to its
contract by the pipeline itself, and by the review.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from clones import ROOT, copy_tracked, run

from mlops.adopt.pages import DOCS
from mlops.adopt.repository import DEMO


def run_with_demo(arguments: Sequence[str]) -> int:
    """Run pytest in a copy of the repository that has the demo; give its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "repository"
        copy_tracked(copy, without=("data/source/", f"{DEMO}/"))
        shutil.copytree(ROOT / DEMO, copy, dirs_exist_ok=True)
        for page in (copy / DOCS).glob("*.md"):
            text = page.read_text(encoding="utf-8")
            page.write_text(text.replace(f"](../{DEMO}/{DOCS}/", "]("), encoding="utf-8")
        run(copy, "git init -q -b main && git add -A && git commit -q -m start")
        run(copy, "dvc repro --quiet && git add -A && git commit -q -m 'The demo again'")
        print("tests/demo: the template's tests run in a copy that has its demo", flush=True)
        return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=copy).returncode
