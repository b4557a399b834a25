"""Text and charts for a comment on GitHub, from untrusted values."""

import html
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from mlops.undefined import UNDEFINED

# The only theme and kind of chart that a comment may have: `sanitize` accepts no other.
_THEME = (
    '%%{init: {"xyChart": {"height": 280}, '
    '"themeVariables": {"xyChart": {"plotColorPalette": "#0969da, #bf3989"}}}}%%'
)
_LABEL = re.compile(r"[^\w .,≤\u2013-]+")


_SPACE = "\u200b"  # stops GitHub's matches in rendered text, which no longer has escapes
_GAP = "\ue000"  # becomes <wbr>, which splits hashes and formulas, and isn't copied with them

# Categories of invisible characters: control, format (some reverse text), private use, separators.
_UNSEEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}

_SPECIAL = re.compile(r"[\\`*_{}\[\]()#!|~$]|(?<=\]):")
_LINE_START = re.compile(r"(?m)^(\d{0,9})((?<=\d)[.)](?=\s|$)|(?<!\d)(?:[-+](?=[-:\s]|$)|[=:/]))")
_LIVE = re.compile(
    r"@|\#(?=\w)|(?:https?|ftps?|mailto|xmpp)(?=:)|www(?=\.)|gh(?=-\d|sa-)|:(?=[\w+-]+:)"
    r"|(?P<before>:(?=/))|(?P<gap>\$)|(?P<hash>(?<![^\W_])[0-9a-f]{7,}+(?![^\W_]))",
    re.IGNORECASE,
)


def visible(text: str) -> str:
    """Remove every invisible character except tabs and line feeds."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in _UNSEEN)


def plain(text: str) -> str:
    """Escape text for Markdown and GitHub: no markup, link, mention or reference.

    GitHub finds mentions, references (#1, GH-1, a commit's hash), addresses and emoji names in the
    rendered text, where only an invisible character stops them, not a backslash or an entity.
    """
    return _SPECIAL.sub(r"\\\g<0>", _inert(text)).replace(_GAP, "<wbr>")


def _inert(text: str) -> str:
    return html.escape(_LIVE.sub(_interrupted, visible(text)), quote=False)


def _interrupted(live: re.Match[str]) -> str:
    if live["before"]:
        return _SPACE + live[0]
    if live["hash"]:
        return _GAP.join(re.findall(".{1,6}", live[0]))
    return live[0] + (_GAP if live["gap"] else _SPACE)


def cell(value: Any) -> str:
    """Write any value as plain text on one line, for a table or a list."""
    return no_block(plain(" ".join(str(value).split())))


def no_block(text: str) -> str:
    """Keep lines of text from starting a list, a rule, a heading, a table or a bot's command."""
    return _LINE_START.sub(lambda start: start[1] + "\\" + start[2], text)


def number(value: float | None, digits: int = 5) -> str:
    """Format a metric with this many significant digits, never in scientific notation."""
    return UNDEFINED if value is None else f"{Decimal(f'{value:.{digits}g}'):,f}"


def fenced(text: str, kind: str = "text") -> str:
    """Write text as a code block that no run of backticks in it can end."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{kind}\n{text.strip()}\n{fence}"


def folded(title: str, body: str) -> str:
    """Fold `body` under `title`; `title` is any text, `body` is Markdown."""
    return f"{fold_start(title)}\n\n{body}\n\n{FOLD_END}"


FOLD_END = "</details>"


def fold_start(title: str) -> str:
    """Open a fold; its title is HTML, in which a backslash would be shown."""
    shown = _inert(" ".join(title.split())).replace(_GAP, "<wbr>")
    return f"<details><summary>{shown}</summary>"


def table(head: Sequence[str], marks: str, rows: Iterable[Sequence[str]]) -> str:
    """Write a table of cells that are already escaped; `marks` has l or r for each column."""
    rule = "|".join({"l": "---", "r": "---:"}[mark] for mark in marks)
    first, *rest = [f"| {' | '.join(line)} |" for line in [head, *rows]]
    return "\n".join([first, f"|{rule}|", *rest])


def chart(title: str, labels: Sequence[str], series: Sequence[Sequence[float]]) -> str:
    """Draw lines over labels, the first one blue, the second magenta.

    Empty if there is no value or one is not finite. Mermaid reads plain decimals only, and GitHub
    draws it without a third party's host.
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
"""Matches all that `chart` can write, and nothing else than a drawing."""
