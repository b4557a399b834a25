"""Command adopt: replace the demo with your own data.

Proposes src/project/schema.py and params.yaml for a CSV or Parquet file, tries ingestion and
validation with them, shows the difference, asks for confirmation, and writes: those two, empty
src/project/features.py and metrics.py, the file's format, the data, the beginning of README.md and
data/README.md, the tests in tests/, and the examples in docs/. It removes the demo and, unless
--keep-engine-tests is given, the engine's own tests, benchmarks, measurements and examples.
"""

import argparse
import datetime
import difflib
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from mlops.adopt.adopted_params import adapted
from mlops.adopt.arguments import asked, named, parse_arguments
from mlops.adopt.docs_examples import DOCS, rewritten
from mlops.adopt.features_text import FEATURES_TEXT
from mlops.adopt.guess import Guess
from mlops.adopt.metrics_text import metrics_text
from mlops.adopt.next_export import partition_name, prepare, write_next
from mlops.adopt.project_tests import tests_of
from mlops.adopt.proposal import Proposal, propose
from mlops.adopt.reading import read_table
from mlops.adopt.readme_templates import about_data, readme
from mlops.adopt.rehearsal import rehearse
from mlops.adopt.repository import (
    FEATURES_FILE,
    METRICS_FILE,
    SCHEMA_FILE,
    SOURCE,
    WORDS,
    check_committed,
    check_replaced,
    write,
)
from mlops.adopt.schema_text import schema_text
from mlops.adopt.source_form import load_form
from mlops.errors import UserError, run_command
from mlops.params import PARAMS_FILE
from mlops.paths import SOURCE_FORM
from mlops.project import load_kinds, load_schema

_LARGE = 50_000_000  # bytes; larger files do not belong in git


def write_partition(folder: Path, source: Path, proposal: Proposal, text: bool) -> str:
    """Write the rows as a partition; return its name."""
    name = partition_name(source, text)
    if text:
        proposal.rows.to_csv(folder / name, index=False, lineterminator="\n")
    else:
        proposal.rows.to_parquet(folder / name, index=False)
    return name


def show(proposal: Proposal, texts: dict[Path, str]) -> None:
    for path, text in texts.items():
        old = path.read_text("utf-8").splitlines(keepends=True) if path.exists() else []
        new = text.splitlines(keepends=True)
        sys.stdout.writelines(difflib.unified_diff(old, new, f"a/{path}", f"b/{path}"))
    print("\n".join(["", *(f"- {note}" for note in proposal.notes)]))


def pages(proposal: Proposal, keep_measured: bool) -> dict[Path, str]:
    """Return the pages in docs/ whose examples or links are the demo's, rewritten."""
    texts = {page: page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("*.md"))}
    new = {page: rewritten(text, proposal, keep_measured) for page, text in texts.items()}
    return {page: text for page, text in new.items() if text != texts[page]}


def fitted_params(
    proposal: Proposal, schema: dict[Path, str], data: Path, today: datetime.date
) -> tuple[str, str, list[str]]:
    """Rehearse; return the text of params.yaml, why validation would fail, and notes.

    Raises:
        UserError: the rows can't be split into training and test rows.
    """
    old, notes = PARAMS_FILE.read_text(encoding="utf-8"), list[str]()
    by_day = proposal.of_role("time") is not None
    tried = rehearse(schema | {PARAMS_FILE: adapted(old, proposal, today)}, data)
    if tried.unsplit and by_day:
        why = tried.unsplit.splitlines()[0]
        notes.append(f"{why}: so the test rows are chosen at random, by split.test_share")
        by_day = False
        tried = rehearse(schema | {PARAMS_FILE: adapted(old, proposal, today, by_day)}, data)
    if tried.unsplit:
        raise UserError("No model can be trained on these rows:", tried.unsplit.splitlines())
    notes.append(
        "hyper-parameters: not tuned for these rows; another model may be better by some per cent, "
        "and train.search in params.yaml searches for it"
    )
    guess = None
    if tried.train is not None and tried.test is not None:
        target = proposal.of_role("target")
        assert target is not None, "every proposal has one"
        guess = Guess.of(tried.train, tried.test, target)
        notes += guess.notes()
    settings = adapted(old, proposal, today, by_day, guess, load_kinds())
    return settings, tried.invalid, notes


def add(options: argparse.Namespace) -> None:
    """Add the next file of an adopted system to the source."""
    schema = load_schema()
    rows, notes = prepare(options.file, schema, str(SOURCE))
    print("\n".join(f"- {note}" for note in notes))
    _ask(options.yes)
    written = write_next(options.file, rows, schema, SOURCE, load_form().dialect is not None)
    print(f"Written: {written}. Then: make run")


def _ask(yes: bool) -> None:
    if not yes and (not sys.stdin.isatty() or input("Write this? [y/N] ") != "y"):
        raise UserError("Nothing was written", advice="To write without confirmation: --yes")


def main() -> None:
    options = parse_arguments(__doc__)
    if options.add:
        return add(options)
    check_committed()
    check_replaced(options.replace)
    reading = read_table(options.file, asked(options), options.encoding, **named(options))
    proposal = propose(
        reading.table.drop(columns=options.leave_out, errors="ignore"),
        options.target,
        options.key,
        options.time,
        options.task,
        options.keep,
        reading.doubts,
        options.time_format,
    )
    proposal = replace(proposal, notes=(*reading.notes, *proposal.notes))
    made = {column.name for column in proposal.columns} - set(proposal.names.values())
    form = replace(reading.form, names=proposal.names, numbered="".join(made))
    form = replace(form, questions=tuple(n for n in proposal.notes if n.startswith("question:")))
    today = datetime.date.today()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        name = write_partition(data, options.file, proposal, form.dialect is not None)
        schema = {
            SCHEMA_FILE: schema_text(
                proposal.columns, form.zone_of(options.time) or options.timezone
            ),
            FEATURES_FILE: FEATURES_TEXT,
            METRICS_FILE: metrics_text(proposal.task),
        }
        settings, invalid, notes = fitted_params(proposal, schema, data, today)
        texts = schema | {PARAMS_FILE: settings}
        show(replace(proposal, notes=(*proposal.notes, *notes)), texts)
        if invalid:
            print(
                f"\nThe stage validate will fail until `validate:` or the data change:\n{invalid}"
            )
        _ask(options.yes)
        first_words = (readme(proposal), about_data(proposal, name, options.file.name, today))
        texts |= dict(zip(WORDS, first_words, strict=True)) | tests_of(proposal)
        kept = options.keep_engine_tests
        write(texts | pages(proposal, kept) | {SOURCE_FORM: form.text()}, data, kept)
    if (SOURCE / name).stat().st_size > _LARGE:
        print(f"- {SOURCE / name} is large: keep it out of git by `dvc add {SOURCE}`")
    print("Written. Describe what each column means in src/project/schema.py. Then: make run")


if __name__ == "__main__":
    run_command(main)
