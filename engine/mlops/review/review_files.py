"""A review's files: report, page, plots and verdict."""

import json

from mlops import paths
from mlops.files import write_json, write_text
from mlops.params import Params
from mlops.review.comparison_plot import draw_changes
from mlops.review.html_report import html_page
from mlops.review.page_sections import page_sections
from mlops.review.report import Review, markdown
from mlops.review.verdict import as_verdict

REPORT = paths.REVIEW / "report.md"
PAGE = paths.REVIEW / "report.html"
CHANGES = paths.REVIEW / "changes.png"
VERDICT = paths.REVIEW / "verdict.json"


def write(found: Review, params: Params, *, as_json: bool = False) -> None:
    """Write report, page, plots and verdict; print the report, or the verdict."""
    text, verdict = markdown(found), as_verdict(found)
    write_text(REPORT, text)
    plots = []
    if found.comparisons:
        draw_changes(CHANGES, found.comparisons, params)
        plots = [CHANGES, *sorted(paths.PLOTS.glob("*.png"))]
    write_text(PAGE, html_page(text, plots, more=page_sections(found)))
    write_json(VERDICT, verdict)
    print(json.dumps(verdict, indent=2, ensure_ascii=False) if as_json else text)
