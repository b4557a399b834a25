"""Rewrite an untrusted report as a harmless comment.

A parser reads the Markdown, and its result is rewritten in a narrow form: headings, paragraphs,
flat lists, tables, emphasis, code, folds and the charts of `github_markdown.chart`. Everything else
is written as plain text, so safety doesn't depend on GitHub's parser reading the report as ours
does. Command: python -m mlops.review.sanitize REPORT COMMENT
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from mlops.errors import run_command
from mlops.files import write_text
from mlops.review.github_markdown import (
    CHART,
    FOLD_END,
    fenced,
    fold_start,
    no_block,
    table,
    visible,
)
from mlops.review.inline import inline, text_of, unmarked

MOST_READ = 200_000
"""Bytes of a report that are read; GitHub takes 65,536 characters."""

MOST_BYTES = 60_000

LONGER = "\n\nThe report is longer than a comment may be.\n"

_DEEPEST_FOLD = 4
_FOLD = re.compile(r"<details><summary>([^<>\n]*)</summary>\n*")

# Links, images, quotes and indented code are disabled: their marks stay text.
_PARSER = MarkdownIt("commonmark").enable("table")
_PARSER.disable(["reference", "lheading", "blockquote", "code", "hr"])
_PARSER.disable(["link", "image", "autolink", "html_inline"])


def sanitize(text: str, most_bytes: int = MOST_BYTES) -> str:
    """Rewrite a report; one of more than `most_bytes` is cut between two blocks."""
    kept: list[str] = []
    size, depth, whole = 0, 0, True
    for block in _blocks(visible(text).replace("<wbr>", "")):
        size += len(block.encode()) + 2
        if size > most_bytes:
            whole = False
            break
        depth += (block.startswith("<details>")) - (block == FOLD_END)
        kept.append(block)
    kept += [FOLD_END] * depth
    return "\n\n".join(kept) + ("\n" if whole else LONGER)


def _blocks(text: str) -> Iterator[str]:
    """Yield the blocks of the sanitized text, each without an empty line around it."""
    tokens = iter(_PARSER.parse(text))
    depth = 0
    for token in tokens:
        if token.type == "table_open":
            yield _table(tokens)
        elif token.type in ("bullet_list_open", "ordered_list_open"):
            yield from _list(tokens)
        elif token.type == "heading_open":
            yield from _prefixed(next(tokens), f"{token.markup} ", one_line=True)
        elif token.type == "inline":
            yield from _prefixed(token)
        elif token.type == "fence":
            yield _fence(token)
        elif token.type == "html_block":
            title = _FOLD.fullmatch(token.content)
            if title and depth < _DEEPEST_FOLD:
                depth += 1
                yield fold_start(text_of(_PARSER.parseInline(title[1])[0]))
            elif token.content.strip() == FOLD_END:
                if depth:
                    yield FOLD_END
                depth = max(depth - 1, 0)
            else:
                yield from _prefixed(_PARSER.parseInline(token.content)[0])


def _prefixed(token: Token, prefix: str = "", one_line: bool = False) -> Iterator[str]:
    """Yield inline content after a prefix, unless it is empty; no line of it starts a block."""
    lines = [line.strip(" \t") for line in inline(token).split("\n")]
    text = (" " if one_line else "\n").join(line for line in lines if line)
    if text:
        yield prefix + no_block(text).replace("\n", "\n" + " " * len(prefix))


def _list(tokens: Iterator[Token]) -> Iterator[str]:
    """Yield one list; lists and other blocks inside its items are flattened to its level."""
    items: list[str] = []
    depth = 1
    while depth:
        token = next(tokens)
        depth += token.type.endswith("_list_open") - token.type.endswith("_list_close")
        if token.type == "inline":
            items += _prefixed(token, "- ")
        elif token.type == "fence":
            yield from ["\n".join(items)] * bool(items)
            items = []
            yield _fence(token)
        elif token.type == "html_block":
            items += _prefixed(_PARSER.parseInline(token.content)[0], "- ")
        elif token.type == "table_open":
            yield from ["\n".join(items)] * bool(items)
            items = []
            yield _table(tokens)
    if items:
        yield "\n".join(items)


def _fence(token: Token) -> str:
    chart = f"```mermaid\n{token.content}```"
    if token.info == "mermaid" and CHART.fullmatch(chart):
        return chart
    return fenced(unmarked(token.content), "")


def _table(tokens: Iterator[Token]) -> str:
    rows: list[list[str]] = []
    marks = ""
    while (token := next(tokens)).type != "table_close":
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "th_open":
            marks += "r" if token.attrs.get("style") == "text-align:right" else "l"
        elif token.type == "inline":
            rows[-1].append(inline(token, in_table=True))
    return table(rows[0], marks, rows[1:])


def sanitize_file(report: Path, comment: Path) -> None:
    """Rewrite a report into another file; without a report, nothing is written."""
    if report.is_symlink() or not report.is_file():
        return
    with report.open("rb") as file:
        text = file.read(MOST_READ).decode("utf-8", errors="replace")
    write_text(comment, sanitize(text))


if __name__ == "__main__":
    run_command(lambda: sanitize_file(*map(Path, sys.argv[1:])))
