"""Text and charts for a comment on GitHub, from values that anybody may have written."""

import html
import math
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

# One theme and one kind of chart: what a comment may hold, `post.harmless` lets no other through.
_THEME = (
    '%%{init: {"xyChart": {"height": 280}, '
    '"themeVariables": {"xyChart": {"plotColorPalette": "#0969da, #bf3989"}}}}%%'
)
_LABEL = re.compile(r"[^\w .,≤\u2013-]+")


def cell(value: Any) -> str:
    """Make any text safe in a table: no markup, no mention, no line break."""
    text = html.escape(re.sub(r"\s+", " ", str(value)), quote=False)
    text = re.sub(r"([\\`*_{}\[\]()#!|~$])", r"\\\1", text)
    return text.replace("@", "@\u200b")  # neither a backslash nor an entity stops a mention


def number(value: float | None, digits: int = 5) -> str:
    """Write a metric with so many significant digits, and never as a power of ten."""
    return "missing" if value is None else f"{Decimal(f'{value:.{digits}g}'):,f}"


def fenced(text: str) -> str:
    """Show text as it is; no run of backticks in it can end the block."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text.strip()}\n{fence}"


def folded(title: str, body: str) -> str:
    """Hide `body` under a line that opens it."""
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def table(head: Sequence[str], marks: str, rows: Iterable[Sequence[str]]) -> str:
    """Write a table of cells that are safe already; `marks` has l or r for each column."""
    rule = "|".join({"l": "---", "r": "---:"}[mark] for mark in marks)
    first, *rest = [f"| {' | '.join(line)} |" for line in [head, *rows]]
    return "\n".join([first, f"|{rule}|", *rest])


def chart(title: str, labels: Sequence[str], series: Sequence[Sequence[float]]) -> str:
    """Draw lines over labels, the first one blue, the second magenta; empty if there is no number.

    Mermaid reads plain decimals only, and GitHub draws it without a third party's host.
    """
    values = [value for line in series for value in line]
    if not values or not all(map(math.isfinite, values)):
        return ""
    short = [_LABEL.sub(" ", label.replace(">", "above"))[:24].strip() or "-" for label in labels]
    names = ", ".join(f'"{label}"' for label in short)
    low, high = min(0.0, *values), 1.05 * max(0.0, *values) or 1.0
    lines = [f"line [{', '.join(_decimal(value) for value in line)}]" for line in series]
    body = [
        f'title "{_LABEL.sub(" ", title)}"',
        f"x-axis [{names}]",
        f"y-axis {_decimal(low)} --> {_decimal(high)}",
        *lines,
    ]
    inner = "\n".join(f"    {line}" for line in body)
    return f"```mermaid\n{_THEME}\nxychart-beta\n{inner}\n```"


def _decimal(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


_TEXT = r"[\w .,≤\u2013-]*"
CHART = re.compile(
    rf"```mermaid\n{re.escape(_THEME)}\nxychart-beta\n"
    rf'(?:    (?:title "{_TEXT}"|x-axis \["{_TEXT}"(?:, "{_TEXT}")*\]'
    r"|y-axis [-\d.]+ --> [-\d.]+|line \[[-\d., ]*\])\n)+```"
)
"""All that `chart` can write, and nothing that could do more than be drawn."""
