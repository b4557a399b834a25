"""The release note on GitHub, where a tag can be made and where GitHub lets no workflow make it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from github_fake.api import GitHub
from github_fake.origin import git, write_file
from mlops.errors import UserError
from mlops.github import model_release
from mlops.release.note import commands
from workflow_steps import github  # noqa: F401  a fixture

TAG = "model-0123abcd"
Publish = Callable[[], str]


@pytest.fixture
def publish(github: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Publish the note of main's commit as it was; give the run's summary."""
    commit = git(github.origin, "rev-parse", "main")
    (tmp_path / "release-note.md").write_text("# Model 0123abcd\n")
    monkeypatch.setattr(
        sys, "argv", ["model_release", TAG, commit, str(tmp_path / "release-note.md")]
    )
    monkeypatch.setenv("GH_ENTERPRISE_TOKEN", github.grant({"contents": "write"}))
    summary = tmp_path / "summary.md"

    def run() -> str:
        summary.unlink(missing_ok=True)
        model_release.main()
        return summary.read_text()

    return run


def test_a_release_is_made_once(github: GitHub, publish: Publish) -> None:
    assert publish() == f"{TAG} released\n"
    assert publish() == f"{TAG} is already released\n"

    (release,) = github.state.releases
    assert release["body"] == "# Model 0123abcd\n"
    assert [method for method, _, _ in github.writes()] == ["POST"], "asked for before it is made"


def test_where_main_has_other_workflows_by_now_the_line_to_type_is_said(
    github: GitHub, publish: Publish
) -> None:
    write_file(github.origin, "main", ".github/workflows/check.yml", b"on: push\n", "Newer")

    said = publish()

    assert github.state.releases == []
    assert f"gh run download 7 --name note && gh release create {TAG} --target" in said


@pytest.mark.parametrize("kind", ["bad gateway", "rate limited"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_else_github_refuses_fails_and_a_repeated_run_heals(
    kind: str, method: str, github: GitHub, publish: Publish
) -> None:
    with github.failing(kind, method=method), pytest.raises(UserError, match="can't be published"):
        publish()

    assert publish() == f"{TAG} released\n"


@pytest.mark.parametrize(("attested", "shown"), [("true", True), ("false", False)])
def test_a_private_repositorys_note_names_no_attestation(
    attested: str, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTESTED", attested)

    assert ("gh attestation verify" in commands("image@sha256:0")) is shown


def test_the_branch_that_signs_is_the_default_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COSIGN_PUBLIC_KEY", raising=False)
    monkeypatch.setenv("DEFAULT_BRANCH", "trunk")

    assert "/release.yml@refs/heads/trunk " in commands("image@sha256:0")
