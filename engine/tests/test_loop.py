"""`make loop` tells the whole story: ok, a shock, act, retrained, reviewed, released, ok."""

import shutil
from pathlib import Path

import pytest

from clones import clone, run
from paths import ROOT


@pytest.mark.slow
def test_the_loop_ends_where_it_began(reproduced: Path, tmp_path: Path) -> None:
    folder = clone(reproduced, tmp_path / "repository")
    shutil.copytree(reproduced / ".dvc/cache", folder / ".dvc/cache")

    told = run(
        folder,
        "python engine/examples/loop.py",
        seconds=900,
        PYTHONPATH=f"{folder}/engine:{folder}/src",
    )

    verdicts = [line.split()[1] for line in told.splitlines() if line.startswith("2010-")]
    changes = [v for v, before in zip(verdicts, ["", *verdicts], strict=False) if v != before]
    assert changes == ["watch", "ok", "act", "ok"], told
    shock = verdicts.index("act") - 1
    assert verdicts[shock] == "ok"
    assert verdicts[shock + 1 : shock + 4] == ["act"] * 3, "within three runs, accuracy too"
    assert "reviewed, merged, released" in told
    assert (folder / "artifacts/loop/loop.png").stat().st_size > 10_000
    assert run(folder, "git status --porcelain") == ""
    assert (ROOT / "engine/docs/measured/loop.png").exists()
