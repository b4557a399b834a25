"""Long work shows a bar on a terminal and plain lines elsewhere."""

import fcntl
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path

from paths import DEMO, PYTHONPATH

INGEST = [sys.executable, "-m", "mlops.pipeline.ingest"]


def scratch(folder: Path) -> Path:
    """Lay out what ingest reads, so that its output goes elsewhere than into the repository."""
    (folder / "data").mkdir()
    shutil.copytree(DEMO / "data/source", folder / "data/source")
    shutil.copy(DEMO / "params.yaml", folder)
    return folder


def test_ingest_shows_a_bar_on_a_terminal(tmp_path: Path) -> None:
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))  # rows, columns
    try:
        run = subprocess.run(
            INGEST,
            cwd=scratch(tmp_path),
            env=os.environ | {"PYTHONPATH": PYTHONPATH, "TERM": "xterm"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=its,
            timeout=60,
        )
        shown = os.read(ours, 100_000).decode()
    finally:
        os.close(ours)
        os.close(its)

    assert run.returncode == 0
    assert "ingest: 100%" in shown
    assert "19/19" in shown


def test_ingest_prints_plain_lines_where_there_is_no_terminal(tmp_path: Path) -> None:
    run = subprocess.run(
        INGEST,
        cwd=scratch(tmp_path),
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert run.stderr == ""
    assert run.stdout == (
        "ingest: 2589 rows up to 2009-12-31 from 19 partitions "
        "(0 duplicates dropped, 341 later rows ignored)\n"
    )
