"""Command adopt: put data of one's own in the demo's place.

Proposes src/project/schema.py and params.yaml for a CSV or Parquet file, tries ingestion and
validation with them, shows the difference, asks, and writes: those two, the data, the first words
of README.md and data/README.md, the tests in tests/, and the examples in docs/. The demo goes, and
with it the engine's own tests, benchmarks and measurements, unless --keep-engine-tests is given.
"""

import argparse
import datetime
import difflib
import sys
import tempfile
from pathlib import Path

import pandas as pd

from mlops.adopt.first_words import about_data, readme
from mlops.adopt.pages import DOCS, rewritten
from mlops.adopt.project_tests import tests_of
from mlops.adopt.proposal import Proposal, propose
from mlops.adopt.repository import (
    SCHEMA_FILE,
    SOURCE,
    WORDS,
    check_committed,
    rehearse,
    write,
)
from mlops.adopt.schema_text import schema_text
from mlops.adopt.settings import adapted
from mlops.errors import BadInput, run_command
from mlops.params import PARAMS_FILE

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


def show(proposal: Proposal, texts: dict[Path, str]) -> None:
    for path, text in texts.items():
        old = path.read_text(encoding="utf-8").splitlines(keepends=True)
        new = text.splitlines(keepends=True)
        sys.stdout.writelines(difflib.unified_diff(old, new, f"a/{path}", f"b/{path}"))
    print("\n".join(["", *(f"- {note}" for note in proposal.notes)]))


def pages(proposal: Proposal, keep_measured: bool) -> dict[Path, str]:
    """Rewrite the pages in docs/ whose examples or links are the demo's."""
    texts = {page: page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("*.md"))}
    new = {page: rewritten(text, proposal, keep_measured) for page, text in texts.items()}
    return {page: text for page, text in new.items() if text != texts[page]}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mlops.adopt", description=__doc__)
    parser.add_argument("file", type=Path, help="CSV or Parquet, a row a line")
    parser.add_argument("--target", required=True, help="column to predict")
    parser.add_argument("--key", help="column that tells rows apart; else found, or made")
    parser.add_argument("--time", help="column with the day of each row, if there is one")
    parser.add_argument("--task", choices=("regression", "classification"))
    parser.add_argument("--keep", nargs="*", default=[], help="columns that may tell the target")
    parser.add_argument("--missing", nargs="*", default=[], help="texts for an unknown value")
    parser.add_argument(
        "--keep-engine-tests",
        action="store_true",
        help="keep the engine's tests, benchmarks, measurements and examples",
    )
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
        texts |= dict(zip(WORDS, first_words, strict=True)) | tests_of(proposal)
        kept = options.keep_engine_tests
        write(texts | pages(proposal, kept), data, kept)
    if (SOURCE / name).stat().st_size > _LARGE:
        print(f"- {SOURCE / name} is large: keep it out of git by `dvc add {SOURCE}`")
    print("Written. Read src/project/schema.py: say what each column means. Then: make run")


if __name__ == "__main__":
    run_command(main)
