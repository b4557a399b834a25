"""Adoption's changes to the repository: all of them or none."""

import shutil
import subprocess
from pathlib import Path

from mlops.adopt.docs_examples import DOCS, MEASURED
from mlops.errors import UserError
from mlops.files import write_text
from mlops.params import PARAMS_FILE
from mlops.paths import SOURCE_FORM

SCHEMA_FILE, FEATURES_FILE = Path("src/project/schema.py"), Path("src/project/features.py")
METRICS_FILE = Path("src/project/metrics.py")
SOURCE, LOCK = Path("data/source"), Path("dvc.lock")
WORDS = (Path("README.md"), Path("data/README.md"))
_WRITTEN = (SCHEMA_FILE, FEATURES_FILE, METRICS_FILE, PARAMS_FILE, SOURCE_FORM, LOCK)
TESTS = Path("tests")
TEMPLATES = tuple(
    Path(name) for name in ("engine/tests", "engine/benchmarks", "engine/examples", MEASURED, ".ci")
)
"""The demo's figures, and tests and measurements that only the engine's development needs."""


def check_committed() -> None:
    """Check that git can restore every file that would be overwritten.

    Raises:
        UserError: some of these files are not committed.
    """
    paths = [str(path) for path in (*_WRITTEN, *WORDS, DOCS, TESTS, SOURCE)]
    status = subprocess.run(
        ["git", "status", "--porcelain", "--", *paths], capture_output=True, text=True
    )
    if status.returncode or status.stdout:
        found = (status.stdout or status.stderr).rstrip().splitlines()
        raise UserError("Not committed, and would be overwritten:", found, "Commit or stash it")


def check_replaced(allowed: bool) -> None:
    """Check that rows of an earlier adoption are removed only on request.

    Raises:
        UserError: there are such rows; the message lists the files.
    """
    if SOURCE_FORM.exists() and not allowed:
        raise UserError(
            f"{SOURCE} contains rows of an earlier adoption; they would be removed:",
            sorted(str(path) for path in SOURCE.glob("*")),
            "To add a file to them: --add. To replace them: --replace",
        )


def write(texts: dict[Path, str], data: Path, keep_engine_tests: bool) -> None:
    """Write the texts and the data and remove the template's files; restore all on failure."""
    removed = () if keep_engine_tests else TEMPLATES
    try:
        for path in (SOURCE, *removed):
            shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(data, SOURCE)
        for path in TESTS.glob("test_*.py"):
            path.unlink()  # about the demo
        for path, text in texts.items():
            write_text(path, text)
        LOCK.unlink(missing_ok=True)  # of other data; the first run writes a new one
    except BaseException:
        shutil.rmtree(SOURCE, ignore_errors=True)
        subprocess.run(["git", "checkout", "--quiet", "--", "."])
        raise
