"""OpenSSF Scorecard's checks that files decide, by its own criteria (v5, docs/checks.md).

Dangerous-Workflow, Token-Permissions and the pins of actions are in test_workflows.py. What files
don't decide alone: SAST and CI-Tests look at commits, the rest at the repository's settings.
"""

import re

import pytest
import yaml

from paths import ROOT
from test_repository import tracked


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_an_image_is_built_on_digests() -> None:
    stages = re.findall(r"^FROM (\S+)(?: AS (\w+))?", read("Dockerfile"), re.MULTILINE)
    own = {name for _, name in stages if name}

    assert stages
    for image, _ in stages:
        assert image in own or re.search(r"@sha256:[0-9a-f]{64}$", image), image


INSTALLING = [
    name
    for name in tracked()
    if name in ("Dockerfile", "Makefile") or (name.startswith(".github/") and name.endswith(".yml"))
]


@pytest.mark.parametrize("name", INSTALLING)
def test_what_is_installed_is_known_by_its_hash(name: str) -> None:
    text = read(name).replace("\\\n", " ")
    commands = re.findall(r"\bpip[\w. /-]* install\b.*|\b(?:npm|go|gem|cargo) install\b.*", text)

    for command in commands:
        assert "--require-hashes" in command or "--no-deps --no-build-isolation -e ." in command
    assert not re.search(r"(?:curl|wget)\b.*\|\s*(?:ba|da|z)?sh\b", text)
    assert commands or name not in ("Dockerfile", "Makefile")


def test_no_program_stands_here_that_nobody_can_read() -> None:
    # Scorecard's list of what can be run; pictures are none.
    kinds = "bin class com dex dll dylib elf exe jar o pyc pyd pyo rlib so war wasm whl deb rpm apk"
    for name in tracked():
        assert name.rpartition(".")[2] not in kinds.split(), name
        assert not (ROOT / name).read_bytes().startswith((b"\x7fELF", b"MZ", b"\xca\xfe\xba\xbe"))


def test_updates_are_proposed_by_a_tool_after_a_week() -> None:
    updates = yaml.safe_load(read(".github/dependabot.yml"))["updates"]

    assert {entry["package-ecosystem"] for entry in updates} >= {"github-actions"}
    assert all(entry["cooldown"]["default-days"] >= 7 for entry in updates)


def test_the_security_policy_says_where_how_and_within_how_many_days() -> None:
    policy = read("SECURITY.md")

    assert re.search(r"https?://\S+", policy)
    assert re.search(r"(?i)vuln", policy)
    assert re.search(r"\b\d+ days\b", policy)
    assert len(re.sub(r"https?://\S+", "", policy)) > 100, "more than links"


def test_the_licence_is_one_that_is_known() -> None:
    assert read("LICENSE").startswith("MIT License\n")
    assert "WITHOUT WARRANTY OF ANY KIND" in read("LICENSE")
