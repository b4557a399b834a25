"""Command line options of adoption."""

import argparse
from pathlib import Path

from mlops.adopt.parse_column import Asked


def parse_arguments(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mlops.adopt", description=description)
    add = parser.add_argument
    add("file", type=Path, help="CSV or Parquet, a row a line; gzip too")
    add("--add", action="store_true", help="add the next file of an adopted system to data/source")
    add("--target", help="column to predict")
    add("--key", help="column that tells rows apart; else found, or made")
    add("--time", help="column with the day or time of each row, if there is one")
    add("--task", choices=("regression", "classification"))
    add("--keep", nargs="*", default=[], help="columns to keep although they may tell the target")
    add("--leave-out", nargs="*", default=[], help="columns that are no features")
    reading = parser.add_argument_group("how the file is written, where its values don't prove it")
    say = reading.add_argument
    say("--delimiter", help="between fields: , ; | tab or another character")
    say("--quote", help="around fields: \" or '")
    say("--encoding", help="as cp1252")
    say("--decimal", choices=(".", ","))
    say("--thousands", choices=(".", ",", " ", "'"))
    say("--time-format", help="as %%d/%%m/%%Y; or unix, unix_ms, excel")
    say("--timezone", help="tell times with an offset there, as Europe/Paris; or: written")
    say("--missing", nargs="*", default=[], help="texts for an unknown value; COLUMN=TEXT for one")
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
