"""Command adopt: put data of one's own in the demo's place.

Proposes src/mlops/schema.py and params.yaml for a CSV or Parquet file, tries ingestion and
validation with them, shows the difference, asks, and writes: those two, the data, and the first
words of README.md and data/README.md. The demo moves to tests/demo, for the template's own tests.
"""

import argparse
import datetime
import difflib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from mlops.adopt.first_words import about_data, readme
from mlops.adopt.proposal import Proposal, propose
from mlops.adopt.schema_text import schema_text
from mlops.adopt.settings import adapted
from mlops.errors import BadInput, run_command
from mlops.files import write_text
from mlops.params import PARAMS_FILE

SCHEMA_FILE = Path("src/mlops/schema.py")
SOURCE, LOCK = Path("data/source"), Path("dvc.lock")
WORDS = (Path("README.md"), Path("data/README.md"))
DEMO = Path("tests/demo")
"""Where the demo goes, under its paths: what the template's own tests take from it."""

_LARGE = 50_000_000  # bytes; above that, git is not the place


def read_table(path: Path, missing: list[str]) -> pd.DataFrame:
    """Read the file; `missing` are texts that mean that a value is not known.

    Raises:
        BadInput: it can't be read, or holds too little.
    """
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
            table = table.replace(missing, None) if missing else table
        else:
            table = pd.read_csv(path, encoding="utf-8-sig", low_memory=False, na_values=missing)
    except (OSError, ValueError) as error:  # pandas' and Arrow's own are of these kinds
        raise BadInput(f"{path}: can't be read: {error}", advice="Wanted CSV or Parquet") from error
    if table.shape[1] < 2 or len(table) < 2:
        raise BadInput(
            f"{path}: found {len(table)} rows of {table.shape[1]} column(s)",
            advice="Wanted a header, commas between fields, and a row a line",
        )
    return table.reset_index(drop=True)


def write_partition(folder: Path, source: Path, proposal: Proposal) -> str:
    """Write the rows as a partition; give its name."""
    kind = "parquet" if source.suffix == ".parquet" else "csv"
    name = f"{source.stem}.{kind}"
    if kind == "parquet":
        proposal.rows.to_parquet(folder / name, index=False)
    else:
        proposal.rows.to_csv(folder / name, index=False, lineterminator="\n")
    return name


def rehearse(texts: dict[Path, str], data: Path) -> str:
    """Check the parameters, ingest and validate in a copy of the repository.

    Returns:
        Why the validation would stop, for it is for a person to say what good data are.

    Raises:
        BadInput: the rows can't be taken in, with the reason.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copytree("src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(data, root / SOURCE)
        for path, text in texts.items():
            write_text(root / path, text)
        for module in ("mlops.params", "mlops.pipeline.ingest", "mlops.pipeline.validate"):
            run = subprocess.run(
                [sys.executable, "-m", module],
                cwd=root,
                env=os.environ | {"PYTHONPATH": str(root / "src")},
                capture_output=True,
                text=True,
            )
            if run.returncode and module.endswith("validate"):
                return run.stderr
            if run.returncode:
                raise BadInput(
                    f"{module} would stop at these rows; nothing was changed:",
                    run.stderr.strip().splitlines(),
                )
    return ""


def check_committed() -> None:
    """Refuse to write over what git could not give back.

    Raises:
        BadInput: some of what would be written is not committed.
    """
    paths = [str(path) for path in (SCHEMA_FILE, PARAMS_FILE, *WORDS, SOURCE, LOCK, DEMO)]
    status = subprocess.run(
        ["git", "status", "--porcelain", "--", *paths], capture_output=True, text=True
    )
    if status.returncode or status.stdout:
        found = (status.stdout or status.stderr).rstrip().splitlines()
        raise BadInput("Not committed, and would be written over:", found, "Commit or stash it")


def show(proposal: Proposal, texts: dict[Path, str]) -> None:
    for path, text in texts.items():
        old = path.read_text(encoding="utf-8").splitlines(keepends=True)
        new = text.splitlines(keepends=True)
        sys.stdout.writelines(difflib.unified_diff(old, new, f"a/{path}", f"b/{path}"))
    print("\n".join(["", *(f"- {note}" for note in proposal.notes)]))


def write(texts: dict[Path, str], data: Path) -> None:
    """Move the demo away, and write; all of it is as before if that fails."""
    first = not DEMO.exists()  # data of one's own may be adopted, too
    try:
        if first:
            shutil.copytree(SOURCE, DEMO / SOURCE)
            for path in texts:
                (DEMO / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, DEMO / path)
        shutil.rmtree(SOURCE)
        shutil.copytree(data, SOURCE)
        for path, text in texts.items():
            write_text(path, text)
        LOCK.unlink(missing_ok=True)  # of other data; the first run writes another
    except BaseException:
        shutil.rmtree(SOURCE, ignore_errors=True)
        if first:
            shutil.rmtree(DEMO, ignore_errors=True)
        tracked = [str(path) for path in (*texts, SOURCE, LOCK)]
        subprocess.run(["git", "checkout", "--quiet", "--", *tracked])
        raise


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mlops.adopt", description=__doc__)
    parser.add_argument("file", type=Path, help="CSV or Parquet, a row a line")
    parser.add_argument("--target", required=True, help="column to predict")
    parser.add_argument("--key", help="column that tells rows apart; else found, or made")
    parser.add_argument("--time", help="column with the day of each row, if there is one")
    parser.add_argument("--task", choices=("regression", "classification"))
    parser.add_argument("--keep", nargs="*", default=[], help="columns that may tell the target")
    parser.add_argument("--missing", nargs="*", default=[], help="texts for an unknown value")
    parser.add_argument("--yes", action="store_true", help="write without asking")
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    check_committed()
    table = read_table(options.file, options.missing)
    proposal = propose(table, options.target, options.key, options.time, options.task, options.keep)
    today = datetime.date.today()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        name = write_partition(data, options.file, proposal)
        old = PARAMS_FILE.read_text(encoding="utf-8")
        texts = {
            SCHEMA_FILE: schema_text(proposal.columns),
            PARAMS_FILE: adapted(old, proposal, today),
        }
        stops = rehearse(texts, data)
        show(proposal, texts)
        if stops:
            print(f"\nThe stage validate will stop, until `validate:` or the data change:\n{stops}")
        if not options.yes and (not sys.stdin.isatty() or input("Write this? [y/N] ") != "y"):
            raise BadInput("Nothing was written", advice="To write without a question: --yes")
        first_words = (readme(proposal), about_data(proposal, name, options.file.name, today))
        write(texts | dict(zip(WORDS, first_words, strict=True)), data)
    if (SOURCE / name).stat().st_size > _LARGE:
        print(f"- {SOURCE / name} is large: keep it out of git by `dvc add {SOURCE}`")
    print("Written. Read src/mlops/schema.py: say what each column means. Then: make run")


if __name__ == "__main__":
    run_command(main)
