"""Sections of report.html that the comment lacks: all columns and slices, with distributions."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from mlops.review.github_markdown import number
from mlops.review.report import Review

_WIDTH, _HEIGHT = 160, 40


def page_sections(review: Review) -> str:
    """Write all columns of the data and all slices as sortable tables."""
    parts = []
    if review.data and review.data["columns"]:
        parts += ["<h2>Columns of the data</h2>", _columns(review.data["columns"])]
    if review.slices:
        parts += [f"<h2>{escape(review.slice_metric)} by slice</h2>", _slices(review)]
    return "\n".join(parts)


def _columns(columns: list[dict[str, Any]]) -> str:
    head = ("column", "base", "candidate", "missing before", "missing now", "differs", "")
    rows = [
        (
            escape(one["column"]),
            escape(one["base"]["text"]),
            escape(one["candidate"]["text"]),
            *(_percent(one[side]["missing"]) for side in ("base", "candidate")),
            _percent(one["distance"]),
            _bars(one["bins"]),
        )
        for one in columns
    ]
    legend = "<p>Grey: base, blue: candidate, in the same bins.</p>"
    return legend + _table(head, rows)


def _slices(review: Review) -> str:
    metric = review.slice_metric
    head = ("slice", "rows", "base", "candidate")
    rows = [
        (
            escape(f"{one['column']}: {one['slice']}"),
            f"{one['rows']:,}",
            number(one["base"][metric]),
            number(one["candidate"][metric]),
        )
        for one in review.slices
    ]
    return _table(head, rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    titles = "".join(f"<th>{name}</th>" for name in head)
    body = "\n".join(f"<tr>{''.join(f'<td>{one}</td>' for one in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{titles}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _bars(bins: dict[str, Any]) -> str:
    """Draw both distributions as bars side by side; a bar's label appears on hover."""
    most = max([*bins["base"], *bins["candidate"]], default=0.0)
    if not most:
        return ""
    step = _WIDTH / len(bins["labels"])
    drawn = []
    for n, label in enumerate(bins["labels"]):
        for side, name in enumerate(("base", "candidate")):
            share = bins[name][n]
            height = _HEIGHT * share / most
            drawn.append(
                f'<rect class="{name}" x="{n * step + side * step * 0.4:.1f}" '
                f'y="{_HEIGHT - height:.1f}" width="{step * 0.4:.1f}" height="{height:.1f}">'
                f"<title>{escape(label)}: {name} {share:.1%}</title></rect>"
            )
    return f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img">{"".join(drawn)}</svg>'
