"""What a review leaves: report, page, plot and verdict."""

from dataclasses import asdict

from mlops import paths
from mlops.files import write_json, write_text
from mlops.params import Params
from mlops.review.comparison_plot import draw_changes
from mlops.review.html_report import html_page
from mlops.review.report import Review, markdown

REPORT = paths.REVIEW / "report.md"
PAGE = paths.REVIEW / "report.html"
CHANGES = paths.REVIEW / "changes.png"
VERDICT = paths.REVIEW / "verdict.json"


def write(found: Review, params: Params) -> None:
    """Write report, page, plots and verdict, and print the report."""
    text = markdown(found)
    write_text(REPORT, text)
    plots = []
    if found.comparisons:
        draw_changes(CHANGES, found.comparisons, params)
        plots = [CHANGES, *sorted(paths.PLOTS.glob("*.png"))]
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
                    "reason": c.reason or c.base_reason or None,
                }
                for c in found.comparisons
            },
            "base": found.base,
            "head": found.head,
            "feedback": found.feedback.as_json() if found.feedback else None,
            "prepare": found.prepared.as_json() if found.prepared else None,
            "lock": None if found.failure else "behind" if found.lock_behind else "current",
        },
    )
    print(text)
