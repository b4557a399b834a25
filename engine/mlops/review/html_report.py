"""The report as one self-contained HTML file with text, tables and plots."""

import base64
import hashlib
from pathlib import Path

from markdown_it import MarkdownIt

from mlops.review.github_markdown import CHART

_STYLE = """
:root { color-scheme: light dark; --line: #d1d9e0; --soft: #f6f8fa; --text: #1f2328;
        --back: #fff; --candidate: #0969da; --base: #8c959f; }
@media (prefers-color-scheme: dark) {
  :root { --line: #3d444d; --soft: #151b23; --text: #f0f6fc; --back: #0d1117;
          --candidate: #4493f8; --base: #9198a1; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back);
       max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto;
        font-variant-numeric: tabular-nums; }
th, td { border: 1px solid var(--line); padding: .35rem .8rem; }
th { cursor: pointer; } th[data-order="1"]::after { content: " ▲"; }
th[data-order="-1"]::after { content: " ▼"; }
tr:nth-child(2n) td { background: var(--soft); }
code, pre { background: var(--soft); border-radius: 6px; padding: .15rem .35rem; }
pre { padding: 1rem; overflow-x: auto; }
summary { cursor: pointer; font-weight: 600; }
img { max-width: 100%; background: #fff; border-radius: 6px; }
h2 { border-bottom: 1px solid var(--line); padding-bottom: .3rem; }
rect.base { fill: var(--base); } rect.candidate { fill: var(--candidate); }
"""

# A click on a column's head sorts by it: as numbers where cells begin with one.
_SCRIPT = """
for (const head of document.querySelectorAll("th")) head.onclick = () => {
  const table = head.closest("table"), place = [...head.parentNode.children].indexOf(head);
  const order = head.dataset.order === "1" ? -1 : 1;
  const value = row => row.children[place].textContent.replace(/,/g, "");
  const rows = [...table.tBodies[0].rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)], [n, m] = [parseFloat(x), parseFloat(y)];
    return order * (isNaN(n) || isNaN(m) ? x.localeCompare(y) : n - m);
  });
  for (const other of head.parentNode.children) delete other.dataset.order;
  head.dataset.order = order;
  table.tBodies[0].append(...rows);
};
"""
_HASH = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    f"script-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"
)
"""The page contacts no host, and runs only the script above."""


def html_page(text: str, plots: list[Path], title: str = "Model review", more: str = "") -> str:
    """Render the report's Markdown, with `more` HTML and `plots` (PNG files) below it."""
    # HTML stays on for the folds; all other angle brackets were escaped when the text was written.
    drawn = CHART.sub("", text)  # as pictures below
    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(drawn)
    images = "\n".join(
        f'<img alt="{plot.stem.replace("_", " ")}" src="data:image/png;base64,'
        f'{base64.b64encode(plot.read_bytes()).decode()}">'
        for plot in plots
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}{more}\n{images}\n</main>\n<script>{_SCRIPT}</script>\n"
        "</body>\n</html>\n"
    )
