"""A comment as GitHub shows it: Markdown, folds and Mermaid charts, in a page that chromium draws.

python engine/tests/comment_page.py report.md engine/docs/measured/comment.png
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from markdown_it import MarkdownIt

from npm_files import MERMAID, MERMAID_FILES, npm_files

_STYLE = """
body { font: 14px/1.5 -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif;
       color: #1f2328; background: #fff; width: 760px; margin: 16px; }
.comment { border: 1px solid #d1d9e0; border-radius: 6px; }
.by { background: #f6f8fa; border-bottom: 1px solid #d1d9e0; padding: 8px 16px; color: #59636e; }
.by b { color: #1f2328; } .by span { border: 1px solid #d1d9e0; border-radius: 2em; padding: 0 7px;
       font-size: 12px; }
.body { padding: 16px; }
h2 { font-size: 1.5em; margin: 0 0 16px; border-bottom: 1px solid #d1d9e0b3; padding-bottom: .3em; }
p, ul, table, details, pre { margin: 0 0 16px; } ul { padding-left: 2em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border: 1px solid #d1d9e0; padding: 6px 13px; }
tr:nth-child(2n) td { background: #f6f8fa; }
code { background: #818b981f; border-radius: 6px; padding: .2em .4em; font-size: 85%; }
.mermaid svg { max-width: 100%; height: auto; }
"""


def page(text: str) -> str:
    """Render a comment's Markdown; charts are drawn when the page is opened.

    Raises:
        OSError, subprocess.SubprocessError: Mermaid can't be had.
    """
    mermaid = npm_files(MERMAID, MERMAID_FILES) / "dist/mermaid.min.js"
    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    body = re.sub(
        r'<pre><code class="language-mermaid">(.*?)</code></pre>',
        r'<div class="mermaid">\1</div>',
        body,
        flags=re.DOTALL,
    )
    return f"""<!doctype html><meta charset="utf-8"><title>…</title><style>{_STYLE}</style>
<div class="comment"><div class="by"><b>github-actions</b> <span>bot</span> commented</div>
<div class="body">{body}</div></div><script src="{mermaid.as_uri()}"></script>
<script>mermaid.initialize({{startOnLoad: false, securityLevel: "strict"}});
mermaid.run().then(() => document.title = "drawn", e => document.title = "failed: " + e.message);
</script>"""


def chromium(file: Path, *arguments: str) -> str:
    """Open a page and give what chromium prints."""
    done = subprocess.run(
        [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--allow-file-access-from-files", "--virtual-time-budget=10000",
            f"--user-data-dir={file.parent / 'profile'}", *arguments, file.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        opened = Path(folder) / "comment.html"
        opened.write_text(page(Path(sys.argv[1]).read_text(encoding="utf-8")), encoding="utf-8")
        target = Path(sys.argv[2]).resolve()
        chromium(opened, f"--screenshot={target}", "--window-size=800,1500", "--hide-scrollbars")
