"""Command review: reproduce the work tree and its base, compare them, and hold the gate.

Exit code: 0 pass or warn, 1 block, 2 could not judge.
"""

import argparse
import sys
from dataclasses import asdict

from mlops import artifacts
from mlops.errors import BadInput
from mlops.files import write_json, write_text
from mlops.params import load_params
from mlops.review.judge import review
from mlops.review.page import html_page
from mlops.review.plots import draw_changes
from mlops.review.report import Review, markdown, no_verdict
from mlops.review.sides import PipelineFailed

REPORT = artifacts.REVIEW / "report.md"
PAGE = artifacts.REVIEW / "report.html"
CHANGES = artifacts.REVIEW / "changes.png"
VERDICT = artifacts.REVIEW / "verdict.json"


def write(found: Review) -> None:
    """Write report, page, plots and verdict, and print the report."""
    text = markdown(found)
    write_text(REPORT, text)
    plots = []
    if found.comparisons:
        draw_changes(CHANGES, found.comparisons, load_params())
        plots = [CHANGES, *sorted(artifacts.PLOTS.glob("*.png"))]
    write_text(PAGE, html_page(text, plots))
    write_json(
        VERDICT,
        {
            "verdict": found.outcome,
            "checks": [check.as_json() for check in found.checks],
            "metrics": {
                c.metric: {
                    "base_recorded": c.base_recorded,
                    "base_on_this_data": c.base,
                    **{k: asdict(c)[k] for k in ("candidate", "delta", "ci_low", "ci_high")},
                }
                for c in found.comparisons
            },
            "base": found.base,
            "head": found.head,
            "lock": None if found.failure else "behind" if found.lock_behind else "current",
        },
    )
    print(text)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mlops.review", description=__doc__)
    parser.add_argument("--base", default="HEAD", help="revision to compare with")
    try:
        found = review(parser.parse_args().base)
    except (BadInput, PipelineFailed) as error:
        print(f"The review could not judge:\n{error}", file=sys.stderr)
        write_text(REPORT, no_verdict(str(error)))
        return 2
    write(found)
    return 1 if found.outcome == "block" else 0


if __name__ == "__main__":
    sys.exit(main())
