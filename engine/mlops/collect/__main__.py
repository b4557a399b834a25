"""Collect new rows of a database into the next partition: `python -m mlops.collect`.

The query in data/query.sql runs at SOURCE_DATABASE_URL for the days after the newest one in
`ingest.source`, up to yesterday. A day is collected once it is over; late rows of a collected
day are listed, and collected with --late. A second run adds nothing.
"""

import argparse
import datetime

from mlops.collect.collect_rows import collect
from mlops.errors import run_command
from mlops.project import load_project_params, load_schema
from mlops.timestamps import present


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m mlops.collect", description=__doc__)
    parser.add_argument("--late", action="store_true", help="also collect late rows")
    parser.add_argument("--dry-run", action="store_true", help="print what is new, write nothing")
    parser.add_argument(
        "--today", type=datetime.date.fromisoformat, help="date to use instead of the clock's"
    )
    options = parser.parse_args()
    params, schema = load_project_params(), load_schema()
    today = options.today or present(datetime.date, schema.timezone)
    collect(params.ingest.source, schema, today, options.late, options.dry_run)


if __name__ == "__main__":
    run_command(main)
