"""The pages in docs/: their examples ask for a row of the schema, and the demo's figures move."""

import json
import re
from pathlib import Path
from urllib.parse import urlencode

from mlops.adopt.proposal import Proposal
from mlops.columns import Schema
from mlops.serving.answers import example_row

DOCS = Path("docs")
MEASURED = DOCS / "measured"
"""Figures and pictures of the demo."""


def rewritten(text: str, proposal: Proposal, moved: Path) -> str:
    """Write a page of docs/ for other data; `moved` is where MEASURED is then, seen from docs/."""
    row = example_row(Schema(proposal.columns))
    body = json.dumps(row).replace("'", "\\u0027")  # within a shell's quotes
    text = re.sub(r"(/predict\?)[^'`\s]+", lambda found: found[1] + urlencode(row), text)
    text = re.sub(r'("rows": \[)\{[^}]*\}', lambda found: found[1] + body, text)
    return text.replace(f"]({MEASURED.name}/", f"]({moved.as_posix()}/")
