"""The glossary: sorted, every entry leads somewhere, and no report uses a term that it lacks."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops import paths
from paths import DEMO, ROOT

PAGE = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| term")
]
PARAMS: dict[str, Any] = yaml.safe_load((DEMO / "params.yaml").read_text(encoding="utf-8"))
STAGES = yaml.safe_load((DEMO / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
SOURCES = [path for folder in ("src", "engine") for path in (ROOT / folder).rglob("*.py")]

FIELD = re.findall(
    r"\w+",
    """adoption base bundle canary candidate challenger champion confidence cooldown drift
experiment export feature feedback floor gate interval lock manifest monitor partition pipeline
quarantine reference regression release remote retraining review ruleset schema search skew slice
stage target verdict window bootstrap label segment baseline lineage embedding warehouse backfill
shadow ensemble holdout leakage""",
)
"""Terms of the field, used here or not: whichever a report or a document uses is explained."""


def uses(term: str, text: str) -> bool:
    return bool(re.search(rf"\b{term}s?\b", text, re.IGNORECASE))


def is_there(named: str) -> bool:
    """Tell whether a name in backticks is a command, parameter, stage, file, output or setting."""
    kind, _, rest = named.partition(" ")
    if kind == "make":
        return f"\n{rest.split()[0]}:" in (ROOT / "Makefile").read_text(encoding="utf-8")
    if kind == "python":
        module = rest.removeprefix("-m ").replace(".", "/")
        return any(f"{one}".endswith((f"{module}.py", f"{module}/__init__.py")) for one in SOURCES)
    if kind == "POST":
        return any(f'"{rest}"' in one.read_text(encoding="utf-8") for one in SOURCES)
    if named.isupper():
        return any(named.lower() in one.read_text(encoding="utf-8").lower() for one in SOURCES)
    outputs = {str(path) for path in vars(paths).values() if isinstance(path, Path)}
    if named in STAGES or named in outputs or any(ROOT.glob(named)):
        return True
    found = PARAMS
    for key in named.rstrip(":").split("."):
        if not isinstance(found, dict) or key not in found:
            return False
        found = found[key]
    return True


def test_terms_are_sorted_and_explained_in_a_sentence_or_two() -> None:
    terms = [row[0] for row in ROWS]

    assert terms == sorted(terms, key=str.casefold)
    assert len(set(terms)) == len(terms) > 30
    for term, meaning, also, where in ROWS:
        assert 1 <= len(re.findall(r"[.:;](?:\s|$)", meaning)) <= 4, term
        assert meaning.endswith("."), term
        assert also, term
        assert where, term


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_an_entry_names_only_what_is_there(row: list[str]) -> None:
    assert [named for named in re.findall(r"`([^`]+)`", row[3]) if not is_there(named)] == []


def test_every_term_of_the_field_that_a_report_or_a_document_uses_is_explained() -> None:
    pages = [page for page in (ROOT / "docs").glob("*.md") if page.name != "glossary.md"]
    code = [path for path in SOURCES if {"review", "monitoring"} & set(path.parts)]
    used = "\n".join(
        path.read_text(encoding="utf-8") for path in [*pages, *code, ROOT / "README.md"]
    )
    used = re.sub(r"sklearn\.\w+", "", used)  # a library names its modules so
    explained = "\n".join(f"{row[0]}, {row[2]}" for row in ROWS)

    assert [word for word in FIELD if uses(word, used) and not uses(word, explained)] == []


def test_the_readme_leads_to_it() -> None:
    assert "(docs/glossary.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
