"""Command line options of adoption."""

import argparse
from pathlib import Path

from mlops.adopt.parse_column import Asked


def parse_arguments(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mlops.adopt", description=description)
    add = parser.add_argument
    add("file", type=Path, help="CSV or Parquet, one row per line, also with gzip")
    add("--add", action="store_true", help="add the next file of an adopted system to data/source")
    add("--target", help="column to predict")
    add(
        "--key",
        help="column with a unique value per row; default: detected, or the rows are numbered",
    )
    add("--time", help="column with the day or time of each row, if there is one")
    add("--task", choices=("regression", "classification"))
    add(
        "--keep",
        nargs="*",
        default=[],
        help="columns to keep although they may give away the target",
    )
    add("--leave-out", nargs="*", default=[], help="columns to leave out of the schema")
    reading = parser.add_argument_group(
        "format of the file, where it can't be inferred from the values"
    )
    say = reading.add_argument
    say("--delimiter", help="character between fields: , ; | tab or another")
    say("--quote", help="character around fields: \" or '")
    say("--encoding", help="such as cp1252")
    say("--decimal", choices=(".", ","))
    say("--thousands", choices=(".", ",", " ", "'"))
    say("--time-format", help="such as %%d/%%m/%%Y; or unix, unix_ms, excel")
    say(
        "--timezone",
        help="convert times with an offset to this zone, such as Europe/Paris; or: written, which "
        "keeps the local times",
    )
    say(
        "--missing",
        nargs="*",
        default=[],
        help="texts that mark a missing value; COLUMN=TEXT for one column",
    )
    parser.add_argument(
        "--keep-engine-tests",
        action="store_true",
        help="keep the engine's tests, benchmarks, measurements and examples",
    )
    add("--replace", action="store_true", help="remove the rows of an earlier adoption")
    add("--yes", action="store_true", help="write without asking")
    options = parser.parse_args()
    if not options.add and not options.target:
        parser.error("the following arguments are required: --target (or --add)")
    return options


def asked(options: argparse.Namespace) -> Asked:
    """Return the options that describe the file's values."""
    return Asked(
        decimal=options.decimal,
        thousands=options.thousands,
        time_format=options.time_format,
        timezone=options.timezone,
        missing=tuple(options.missing),
        time=options.time,
    )


def named(options: argparse.Namespace) -> dict[str, str]:
    """Return the delimiter and the quote, if they are given."""
    return {
        name: getattr(options, name) for name in ("delimiter", "quote") if getattr(options, name)
    }
