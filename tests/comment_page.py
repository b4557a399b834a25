"""A comment as GitHub shows it: Markdown, folds and Mermaid charts, in a page that chromium draws.

python tests/comment_page.py report.md docs/comment.png
"""

import hashlib
import html
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from markdown_it import MarkdownIt

MERMAID = "11.17.2"
SHA256 = "581ed7d74bd9048d0e3a91363927d72ef22942d7722546b27f7cc29e35390eb8"
KEPT = Path(sys.prefix) / f"mermaid-{MERMAID}.min.js"

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


def mermaid() -> Path:
    """Give the real Mermaid as one script, by npm where it isn't kept yet.

    Raises:
        OSError, subprocess.SubprocessError: there is no npm, or it can't reach its packages.
    """
    if not KEPT.exists():
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                ["npm", "pack", "--silent", f"mermaid@{MERMAID}"],
                cwd=folder, check=True, capture_output=True, timeout=120,
            )  # fmt: skip
            with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
                script = archive.extractfile("package/dist/mermaid.min.js")
                assert script is not None
                KEPT.write_bytes(script.read())
    if hashlib.sha256(KEPT.read_bytes()).hexdigest() != SHA256:
        KEPT.unlink()
        raise OSError(f"Mermaid {MERMAID} has other bytes than this test was written with")
    return KEPT


def page(text: str) -> str:
    """Render a comment's Markdown; charts are drawn when the page is opened."""
    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    body = re.sub(
        r'<pre><code class="language-mermaid">(.*?)</code></pre>',
        r'<div class="mermaid">\1</div>',
        body,
        flags=re.DOTALL,
    )
    return f"""<!doctype html><meta charset="utf-8"><title>…</title><style>{_STYLE}</style>
<div class="comment"><div class="by"><b>github-actions</b> <span>bot</span> commented</div>
<div class="body">{body}</div></div><script src="{mermaid().as_uri()}"></script>
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


def why_not() -> str:
    """Say what a machine lacks to draw a comment; nothing if it lacks nothing."""
    if not shutil.which("chromium"):
        return "chromium is not installed"
    try:
        mermaid()
    except (OSError, subprocess.SubprocessError) as error:
        return f"Mermaid can't be had: {html.escape(str(error))}"
    return ""


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        opened = Path(folder) / "comment.html"
        opened.write_text(page(Path(sys.argv[1]).read_text(encoding="utf-8")), encoding="utf-8")
        target = Path(sys.argv[2]).resolve()
        chromium(opened, f"--screenshot={target}", "--window-size=800,1500", "--hide-scrollbars")
