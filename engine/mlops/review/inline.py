"""The inline part of a sanitized comment: only text, code, emphasis and line breaks."""

import re
import string
from dataclasses import dataclass

from markdown_it.token import Token

from mlops.review.github_markdown import plain

_MARKS = {"strong_open": "**", "strong_close": "**", "em_open": "*", "em_close": "*"}
_DEEPEST = 4  # nested marks: browsers' HTML parsers limit the depth
_BAR = r"\|"
_APART = {*string.whitespace, *string.punctuation} - {"@", "#"}  # `plain` may add a character


@dataclass
class _Piece:
    kind: str  # text, code, open or close
    text: str


def text_of(token: Token) -> str:
    """Return inline content as text, without its marks."""
    return "".join(piece.text for piece in _pieces(token) if piece.kind in ("text", "code"))


def inline(token: Token, in_table: bool = False) -> str:
    """Rewrite inline content."""
    written = []
    for piece in _merged(_kept_marks(_pieces(token)), in_table):
        if piece.kind == "text":
            written.append(plain(piece.text))
        elif piece.kind == "code":
            written.append(_code(piece.text, in_table))
        else:
            written.append(piece.text)
    return "".join(written)


def _pieces(token: Token) -> list[_Piece]:
    pieces = []
    for child in token.children or []:
        if child.type in _MARKS:
            pieces.append(_Piece(child.type.rpartition("_")[2], _MARKS[child.type]))
        elif child.type == "code_inline":
            pieces.append(_Piece("code", child.content))
        else:
            found = "\n" if child.type in ("softbreak", "hardbreak") else child.content
            pieces.append(_Piece("text", found))
    return [piece for piece in pieces if piece.text]


def _kept_marks(pieces: list[_Piece]) -> list[_Piece]:
    """Drop the pairs of marks that another parser might not read as a pair.

    A pair that is kept is not next to letters or other marks, and its content has no space at
    either end.
    """
    opened: list[int] = []
    dropped = set()
    for place, piece in enumerate(pieces):
        if piece.kind == "open":
            opened.append(place)
        elif piece.kind == "close":
            first = opened.pop()
            before, after = pieces[max(first - 1, 0) : first], pieces[place + 1 : place + 2]
            inside = pieces[first + 1 : place]
            near = [*before, *inside[:1], *inside[-1:], *after]
            edges = [inside[0].text[0], inside[-1].text[-1]] if inside else [" "]
            sides = [p.text[-1] for p in before] + [p.text[0] for p in after]
            if (
                len(opened) >= _DEEPEST
                or any(one.kind in ("open", "close") for one in near)
                or any(edge.isspace() for edge in edges)
                or not _APART.issuperset(sides)
            ):
                dropped |= {first, place}
    return [piece for place, piece in enumerate(pieces) if place not in dropped]


def _merged(pieces: list[_Piece], in_table: bool) -> list[_Piece]:
    """Join adjacent texts, so that escaping also covers syntax across their boundary."""
    merged: list[_Piece] = []
    for piece in pieces:
        # A cell ends at a bar, which only a backslash escapes: one before it would undo that.
        kind = "text" if in_table and piece.kind == "code" and "\\" in piece.text else piece.kind
        if merged and merged[-1].kind == kind == "text":
            merged[-1].text += piece.text
        else:
            merged.append(_Piece(kind, piece.text))
    return merged


def unmarked(code: str) -> str:
    """Break the mark that CML searches for in a comment's source: `plain` doesn't escape code."""
    return code.replace("watermark.png", "watermark\u200b.png")


def _code(text: str, in_table: bool) -> str:
    text = unmarked(text)
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    mark = "`" * (longest + 1)
    edge = " " if {text[0], text[-1]} & {"`", " "} else ""
    return f"{mark}{edge}{text.replace('|', _BAR) if in_table else text}{edge}{mark}"
