"""Command review: reproduce the work tree and its base, compare them, and apply the gate.

Exit code: 0 pass or warn, 1 block, 2 could not judge.
"""

import argparse
import sys

from mlops.errors import UserError, run_command
from mlops.files import write_text
from mlops.project import load_metrics, load_project_params, load_tabled_schema
from mlops.review.checkouts import PipelineFailed
from mlops.review.report import no_verdict
from mlops.review.review_files import REPORT, VERDICT, write
from mlops.review.run_review import review


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mlops.review", description=__doc__)
    parser.add_argument("--base", default="HEAD", help="revision to compare with")
    parser.add_argument(
        "--exact",
        action="store_true",
        help="take no dvc.lock that names other bytes of a model than are made here",
    )
    parser.add_argument("--json", action="store_true", help="print verdict.json, not the report")
    asked = parser.parse_args()
    VERDICT.unlink(missing_ok=True)  # an earlier one is not this commit's
    try:
        params, schema = load_project_params(with_models=True), load_tabled_schema()
        found = review(asked.base, params, schema, load_metrics(schema), exact=asked.exact)
    except (UserError, PipelineFailed) as error:
        print(f"The review could not judge:\n{error}", file=sys.stderr)
        write_text(REPORT, no_verdict(str(error)))
        return 2
    write(found, params, as_json=asked.json)
    return 1 if found.outcome == "block" else 0


if __name__ == "__main__":
    run_command(main)
