"""What GitHub makes of a comment, judged by its own parser: cmark-gfm, then what it finds in text.

The parser is the real one. What GitHub does after it (mentions, references, hashes, emoji,
formulas) is not public, and stands here as its documentation and its former html-pipeline tell it;
a pattern takes more rather than less.
"""

import re
import unicodedata
from collections.abc import Collection
from html.parser import HTMLParser

from cmarkgfm import github_flavored_markdown_to_html
from cmarkgfm.cmark import Options

from mlops.review.github_markdown import CHART

_OPTIONS = Options.CMARK_OPT_UNSAFE | Options.CMARK_OPT_FOOTNOTES | Options.CMARK_OPT_HARDBREAKS

_BARE = "h1 h2 h3 h4 h5 h6 p br wbr ul li strong em code pre details summary table thead tbody tr"
ALLOWED: dict[str, set[str]] = {
    **{tag: set() for tag in _BARE.split()},
    "th": {"align"},
    "td": {"align"},
    "a": {"href"},
}
"""Elements that may come out, and their attributes; a link's address and a chart are looked at."""

_FOUND_IN_TEXT = {
    "mention": r"@[a-z0-9]",
    "reference": r"#\w|\bgh-\d",
    "commit": r"\b[0-9a-f]{7,40}\b",
    "address": r"(?:https?|ftps?|mailto|xmpp)://\S|(?:mailto|xmpp):\S|www\.\S",
    "email": r"[\w.+-]@[a-z0-9]",
    "emoji": r":[\w+-]+:",
    "formula": r"\$[^$]+\$",
}
_WATERMARK = re.compile(r"https?://cml\.dev/watermark\.png", re.IGNORECASE)
_SHOWN = "\n\t\u200b"


def html_of(text: str) -> str:
    return github_flavored_markdown_to_html(text, _OPTIONS)


class _Judge(HTMLParser):
    def __init__(self, links: Collection[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.links, self.powers = links, set()
        self.open: list[str] = []
        self.drawing: str | None = None

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            chart = tag == "pre" and name == "lang" and value == "mermaid"
            self.drawing = "" if chart else self.drawing
            if name not in ALLOWED.get(tag, set()) and not chart:
                self.powers.add(f"attribute {tag} {name}={value}")
            if name == "href" and value not in self.links:
                self.powers.add(f"link {value}")
        if tag not in ALLOWED:
            self.powers.add(f"element {tag}")
        if tag not in ("br", "wbr", "hr", "img", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.powers.add(f"unbalanced {tag}")
        if tag == "pre" and self.drawing is not None:
            if not CHART.fullmatch(f"```mermaid\n{self.drawing}```"):
                self.powers.add("a chart that is not ours")
            self.drawing = None

    def handle_comment(self, data: str) -> None:
        self.powers.add("comment")

    handle_decl = handle_pi = unknown_decl = handle_comment

    def handle_data(self, data: str) -> None:
        if self.drawing is not None:
            self.drawing += data
        if {"code", "pre", "a"} & set(self.open):
            return
        for name, pattern in _FOUND_IN_TEXT.items():
            if found := re.search(pattern, data, re.IGNORECASE):
                self.powers.add(f"{name} {found[0]!r}")


def powers(text: str, links: Collection[str] = ()) -> set[str]:
    """Tell what in a comment could do more than be read; `links` are those that we make."""
    judge = _Judge(links)
    judge.feed(html_of(text))
    judge.close()
    found = judge.powers | {f"not closed: {tag}" for tag in judge.open}
    if _WATERMARK.search(text):
        found.add("CML's mark")
    unseen = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")}
    return found | {f"unseen {ord(c):04x}" for c in unseen - set(_SHOWN)}
