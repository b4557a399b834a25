"""The comment: what a hostile report can't do to those who read it."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from github_markdown import powers
from mlops.github.review_comment import comment_text
from mlops.review import sanitize as command
from mlops.review.sanitize import LONGER, MOST_BYTES, sanitize

RUN: dict[str, Any] = {"html_url": "https://github.example/acme/demo/actions/runs/7"}
LINK = f"[the run]({RUN['html_url']})"


def comment(folder: Path, report: str | bytes) -> str:
    """Do what comment.yml does with a report: rewrite it, then make the comment."""
    content = report.encode() if isinstance(report, str) else report
    (folder / "report.md").write_bytes(content)
    return of_folder(folder)


def of_folder(folder: Path) -> str:
    command.sanitize_file(folder / "report.md", folder / "sanitized.md")
    return comment_text(folder / "sanitized.md", RUN)


def test_what_our_own_report_uses_survives(tmp_path: Path) -> None:
    report = (
        "## ✅ Pass\n\n| metric | base |\n|---|---:|\n| median\\_ape | 0.05 |\n\n"
        "**bold** `code`\n\n"
        "<details><summary>rmse by slice</summary>\n\nsize: &gt; 1\n\n</details>\n"
    )

    assert comment(tmp_path, report).startswith(report)


@pytest.mark.parametrize(
    ("hostile", "powerless"),
    [
        ("@team look", r"@(?=\w)"),
        ("@org/everyone", r"@(?=\w)"),
        ("fixes #1", r"#(?=\w)"),
        ("acme/other#12", r"#(?=\w)"),
        ("<script>alert(1)</script>", r"<(?!/?(details|summary)>)"),
        ("<img src=x onerror=alert(1)>", r"<(?!/?(details|summary)>)"),
        ("<details open>", r"<(?!/?(details|summary)>)"),
        ("<!-- hidden -->", r"<!--"),
        ("<a href='x'>y</a>", r"<(?!/?(details|summary)>)"),
        ("[click](https://evil.example)", r"\]\("),
        ("[click][1]\n\n[1]: //evil.example", r"\]:"),
        ('![](https://cml.dev/watermark.png#0 "CML watermark model-review")', r"!\["),
        ("see https://evil.example", r"https?:"),
        ("HTTP://evil.example", r"(?i)https?:"),
        ("www.evil.example", r"www\."),
        ("mailto:a@b.example", r"mailto:|@(?=\w)"),
        ("<https://evil.example>", r"<(?!/?(details|summary)>)|https?:"),
        ("```mermaid\ngraph\n```", r"```\w"),
        ("~~~math\nx\n~~~", r"~~~\w"),
        ("a\u202eb", "\u202e"),
        ("a\x1b[31mb\x00", "[\x00\x1b]"),
        ("@\u200bteam", r"@(?=\w)"),
        ("ht\u2060tps://evil.example", r"https?:"),
    ],
)
def test_hostile_text_loses_its_power(hostile: str, powerless: str) -> None:
    assert not re.search(powerless, sanitize(hostile))


def test_making_harmless_twice_changes_nothing_more() -> None:
    text = sanitize("@a #1 [x](https://y) <b> ![z](w)\n\n[q]: r")

    assert sanitize(text) == text


def test_bytes_that_are_no_text_do_not_stop_the_comment(tmp_path: Path) -> None:
    assert "�" in comment(tmp_path, b"## \xff\xfe head\n")


@pytest.mark.parametrize(("n", "cut"), [(MOST_BYTES - 2, False), (MOST_BYTES + 1, True)])
def test_a_long_report_is_cut_between_paragraphs(n: int, cut: bool) -> None:
    text = ("ü" * 49 + "\n\n") * (n // 100 + 1)
    text = text.encode()[:n].decode(errors="ignore") if not cut else text

    short = sanitize(text)

    assert short.endswith(LONGER) == cut
    assert len(short.encode()) < MOST_BYTES + 200
    if cut:
        assert all(part in ("", "ü" * 49) for part in short.split("\n\n")[:-1])


def test_a_cut_leaves_no_fold_open() -> None:
    text = "head\n\n<details><summary>s</summary>\n\n" + "row\n\n" * 20_000 + "</details>\n"

    assert sanitize(text).count("<details>") == sanitize(text).count("</details>") == 1


def test_a_report_of_a_hundred_megabytes_is_read_in_part(tmp_path: Path) -> None:
    with (tmp_path / "report.md").open("wb") as file:
        file.write(b"head ")
        file.truncate(100_000_000)

    assert len(of_folder(tmp_path)) < 1000


MARK = '![](https://cml.dev/watermark.png#{} "CML watermark model-review")'
ARTIFACTS: dict[str, str | bytes] = {
    "another pull request's number": "pr/1 #1 acme/demo#1 GH-1",
    "a team": "@team @acme/everyone\n@\u200bteam",
    "a team in entities": "&commat;team &#64;team &#x40;team @&fjlig;ord &num;1 a&commat;b.example",
    "a team behind a backslash": "\\@team \\#1",
    "a thousand mentions": "@mallory " * 1000,
    "a script": "<script>alert(1)</script><ScRiPt src=//evil.example></sCrIpT >",
    "an image that calls home": "![](https://evil.example/x.png) ![a][b]\n\n[b]: //evil.example",
    "a link in HTML": "<a href='javascript:alert(1)'>✅ Pass</a><img src=x onerror=y>",
    "a link by reference": "[✅][1]\n\n[1]: https://evil.example 'x'",
    "a bare address": "https://evil.example HTTP://evil.example www.evil.example mailto:a@b.c",
    "our own mark": MARK.format("0" * 40),
    "our own mark in a fence": f"```\n{MARK.format('a' * 40)}\n```",
    "a comment that hides": "<!-- hidden\n" + "x\n" * 50,
    "a fold that never closes": "<details><summary>✅ Pass</summary>\n\n" * 30,
    "a fold with a handler": "<details open ontoggle=alert(1)><summary onclick=x>y</summary>",
    "a fence that never closes": "``````mermaid\ngraph TD; A-->B; click A href 'https://evil.example'",
    "a chart with a handler": "~~~mermaid\n%%{init: {'securityLevel': 'loose'}}%%\ngraph LR\n~~~",
    "a chart of ours bent": "```mermaid\nxychart-beta\n    line [1]\n    click A call x()\n```",
    "text that runs backwards": "\u202e\u2066ssaP ✅\u2069 \u200f@team",
    "commands for a terminal": "\x1b]0;owned\x07\x1b[2J\x00\x9b31m",
    "commands for the runner": "::set-output name=lock::current\n::add-mask::✅\n##[error]x",
    "no text": bytes(range(256)) * 100,
    "one line of a megabyte": "|" * 1_000_000,
    "a million paragraphs": "a\n\n" * 1_000_000,
}


@pytest.mark.parametrize("name", ARTIFACTS)
def test_a_hostile_artifact_has_no_power_and_no_length(name: str, tmp_path: Path) -> None:
    text = comment(tmp_path, ARTIFACTS[name])

    assert LINK in text
    assert powers(text, {RUN["html_url"]}) == set()
    assert len(text) < 65_536


@pytest.mark.parametrize("kind", ["absent", "folder", "link", "pipe"])
def test_a_run_without_a_report_is_said_to_have_broken_off(tmp_path: Path, kind: str) -> None:
    if kind == "folder":
        (tmp_path / "report.md").mkdir()
    if kind == "link":
        (tmp_path / "report.md").symlink_to("/etc/passwd")
    if kind == "pipe":
        os.mkfifo(tmp_path / "report.md")  # who opens it waits for ever

    text = of_folder(tmp_path)

    assert text.startswith("## ❌ The review did not finish")
    assert LINK in text
    assert "root:" not in text
