"""Adapt the pages in docs/: examples request a row of the schema, the demo's figures go."""

import json
import re
from pathlib import Path
from urllib.parse import urlencode

from mlops.adopt.proposal import Proposal
from mlops.columns import Schema
from mlops.serving.response_models import example_row

DOCS = Path("docs")
MEASURED = Path("engine/docs/measured")
"""Figures and pictures of the demo."""

_IMAGE = re.compile(rf"^!\[[^\]]*\]\(\.\./{MEASURED.as_posix()}/[^)]*\)\n+", re.MULTILINE)
_LINK = re.compile(rf"\[([^\]]*)\]\(\.\./{MEASURED.as_posix()}/[^)]*\)")


def rewritten(text: str, proposal: Proposal, keep_measured: bool = False) -> str:
    """Return a page of docs/ for other data, without links to removed figures."""
    row = example_row(Schema(proposal.columns))
    body, columns = map(_in_quotes, (row, {name: [value] for name, value in row.items()}))
    text = re.sub(r"(/predict\?)[^'`\s]+", lambda found: found[1] + urlencode(row), text)
    text = re.sub(r'("rows": \[)\{[^}]*\}', lambda found: found[1] + body, text)
    text = re.sub(r'("columns": )\{"[^}]*\}', lambda found: found[1] + columns, text)
    return text if keep_measured else _LINK.sub(r"\1", _IMAGE.sub("", text))


def _in_quotes(content: object) -> str:
    """Return JSON for use within a shell's single quotes."""
    return json.dumps(content).replace("'", "\\u0027")
