"""Hold what a test sets around a run, and build the environment that its steps see."""

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from github_fake.api import GitHub
from github_fake.workflow import STAND_INS

TOOLS = Path(__file__).parent / "bin"
# What package installs need from the outside; everything else stays out.
PASSED = ("PIP_", "UV_", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


@dataclass(frozen=True)
class Settings:
    """Hold what a repository's owner sets, and what a test bends.

    `environments` hold secrets that only jobs of that environment see, none of a called workflow;
    `tools` are the stand-ins on PATH: gh, as on any runner; cml comes by its action alone. `path`
    comes before everything else on it; `outputs` are what recorders answer, by action; `failing`
    names actions that must fail.
    """

    secrets: Mapping[str, str] = field(default_factory=dict)
    environments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    tools: Sequence[str] = ("gh",)
    path: Sequence[Path] = ()
    outputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    failing: Sequence[str] = ()


def step_environment(github: GitHub, folder: Path, settings: Settings) -> dict[str, str]:
    """Return act's whole environment; in host mode every step inherits it."""
    home, temporary = folder / "home", folder / "tmp"
    home.mkdir()
    temporary.mkdir()
    passed = {name: value for name, value in os.environ.items() if name.startswith(PASSED)}
    return passed | {
        "PATH": os.pathsep.join([*map(str, settings.path), _tools(folder, settings), _path()]),
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "XDG_CACHE_HOME": str(folder / "xdg"),
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
        "PAGER": "cat",
        "NO_PROXY": "localhost,127.0.0.1",
        "no_proxy": "localhost,127.0.0.1",
        # Parallel jobs write to one map of act's without a lock, which ends act where two of its
        # threads do so at once (nektos/act#6055). Jobs stay parallel: their steps are processes.
        "GOMAXPROCS": "1",
        # No step may change the machine's own Python.
        "PIP_REQUIRE_VIRTUALENV": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        "STUB_ACTIONS": str(STAND_INS),
        "STUB_ARTIFACTS": str(github.state.artifacts),
        "STUB_CACHE": str(github.folder / "cache"),
        "STUB_DEFAULT_BRANCH": github.state.default_branch,
        "STUB_FAIL": ",".join(settings.failing),
        "STUB_LOG": str(folder / "calls.jsonl"),
        "STUB_ORIGINS": json.dumps({github.state.repository: str(github.origin)}),
        "STUB_OUTPUTS": json.dumps({name: dict(v) for name, v in settings.outputs.items()}),
        "STUB_TOOLS": str(TOOLS),
        "STUB_PYTHON": getattr(sys, "_base_executable", sys.executable),
    } | dict(settings.env)  # fmt: skip


def _tools(folder: Path, settings: Settings) -> str:
    """Make a folder with our stand-ins of command-line tools and what they run on."""
    tools = folder / "tools"
    tools.mkdir()
    for name in settings.tools:
        (tools / name).symlink_to(TOOLS / name)
    (tools / "python3").symlink_to(getattr(sys, "_base_executable", sys.executable))
    node = shutil.which("node")
    if node is None:
        raise RuntimeError("node is not on PATH: the stand-ins of actions need it")
    (tools / "node").symlink_to(Path(node).resolve())
    return str(tools)


def _path() -> str:
    """Return PATH without this virtual environment, which no runner has."""
    own = Path(sys.prefix) / "bin"
    parts = os.environ["PATH"].split(os.pathsep)
    return os.pathsep.join(part for part in parts if Path(part) != own)
