"""The report as one HTML file that needs nothing else: text, tables and plots in it."""

import base64
from pathlib import Path

from markdown_it import MarkdownIt

from mlops.review.github_markdown import CHART

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1f2328; max-width: 60rem;
       margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { border: 1px solid #d1d9e0; padding: .35rem .8rem; }
tr:nth-child(2n) td { background: #f6f8fa; }
code, pre { background: #f6f8fa; border-radius: 6px; padding: .15rem .35rem; }
pre { padding: 1rem; overflow-x: auto; }
summary { cursor: pointer; font-weight: 600; }
img { max-width: 100%; }
h2 { border-bottom: 1px solid #d1d9e0; padding-bottom: .3rem; }
"""


def html_page(text: str, plots: list[Path], title: str = "Model review") -> str:
    """Render the report's Markdown, with `plots` (PNG files) below it."""
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
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}{images}\n</main>\n</body>\n</html>\n"
    )
