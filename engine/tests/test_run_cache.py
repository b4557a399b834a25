"""Wherever the project itself starts a pipeline, nobody's word of what a stage gives is taken."""

import re
import subprocess

import pytest

from paths import ROOT

STARTS = re.compile(
    r"""dvc["',\s]+(?:repro|exp["',\s]+run|experiments["',\s]+run)\b(?P<rest>[^\n&|;)\]]*)"""
)
TAKES = re.compile(
    r"""dvc["',\s]+(?:repro|pull|fetch|push)\b[^\n&|;)\]]*(?:--run-cache|--pull)\b"""
)


def started_by_us() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = filter(None, listed.stdout.split("\0"))
    ours = ("Makefile", "Dockerfile", ".github/", ".ci/", ".devcontainer/", "engine/", "deploy/")
    return [
        name
        for name in names
        if name.startswith(ours)
        and not name.startswith(("engine/tests/", "engine/docs/"))
        and name.endswith(("Makefile", "Dockerfile", ".py", ".yml", ".yaml", ".sh", ".json"))
    ]


def believing(text: str) -> list[str]:
    """List what starts a pipeline and may take an entry of a run cache."""
    lines = "\n".join(re.split(r"(?<!:)#", line)[0] for line in text.splitlines())
    found = [one[0] for one in STARTS.finditer(lines) if "--no-run-cache" not in one["rest"]]
    return [one for one in found if not _is_told(one)] + [one[0] for one in TAKES.finditer(lines)]


def _is_told(command: str) -> bool:
    """Tell whether it is only named in a message to a person, or in a docstring."""
    return re.match(r"dvc repro(?: export)?[\"'`,]|dvc repro(?:` | ended| ?$)", command) is not None


@pytest.mark.parametrize("name", started_by_us())
def test_what_we_start_takes_nothing_from_a_run_cache(name: str) -> None:
    path = ROOT / name
    if path.is_file():
        assert believing(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "\tdvc repro --quiet\n",
        "run: dvc repro -q && make",
        'subprocess.run(["dvc", "repro", "--quiet"])',
        'ask("dvc", "repro")',
        'run("dvc", "exp", "run")',
        "dvc exp run -S a=1",
        "dvc repro --no-run-cache --pull",
        "dvc pull --run-cache",
    ],
)
def test_a_start_that_would_is_found(text: str) -> None:
    assert believing(text)
