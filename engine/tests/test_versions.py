"""The released models, newest first, with what changed and which one answers."""

from pathlib import Path

from clones import copy, edit_params, run
from paths import SOURCES
from served import running

VERSIONS = "python -m mlops.versions"


def versions(folder: Path, options: str = "", wanted: int = 0) -> str:
    return run(folder, f"{VERSIONS} {options}", wanted, PYTHONPATH=SOURCES)


def released(quick: Path, tmp_path: Path) -> Path:
    """A repository with two releases: the one that is reproduced, and one without outputs."""
    folder = copy(quick, tmp_path / "repository")
    run(folder, "git tag model-aaaa")
    edit_params(folder, {"models.hist_gradient_boosting.max_iter": 90})
    run(
        folder,
        "git commit -qam 'More trees' --date=2030-01-01T00:00:00",
        GIT_COMMITTER_DATE="2030-01-01T00:00:00Z",
    )
    run(
        folder,
        "git rm -q --cached dvc.lock && git commit -qm 'Outputs that nobody has'",
        GIT_COMMITTER_DATE="2030-01-02T00:00:00Z",
    )
    run(folder, "git tag -a -m 'Model bbbb' model-bbbb", GIT_COMMITTER_DATE="2030-01-02T00:00:00Z")
    return folder


def test_releases_are_listed_newest_first_with_what_changed(quick: Path, tmp_path: Path) -> None:
    folder = released(quick, tmp_path)

    newest, older = versions(folder).split("model-")[1:]

    head = run(folder, "git rev-parse --short=10 HEAD").strip()
    assert newest.splitlines() == [
        f"bbbb  2030-01-02  {head}",
        "  metrics: not available locally",
        "  models.hist_gradient_boosting.max_iter: 60 -> 90",
    ]
    assert older.startswith("aaaa  ")
    assert "  rmse " in older
    assert ", r2 0." in older


def test_what_answers_is_marked(quick: Path, tmp_path: Path) -> None:
    folder = released(quick, tmp_path)
    with running(quick / "artifacts/bundle") as server:
        url = f"http://127.0.0.1:{server.port}"
        version = server.ask("GET", "/model")[1]["model_version"]
        run(folder, f"git tag model-{version} HEAD~2")
        told = versions(folder, f"--url {url}")

    marked = [line for line in told.splitlines() if "<-" in line]
    assert [line.split()[0] for line in marked] == [f"model-{version}"]
    assert marked[0].endswith(f"<- {url}")


def test_where_nothing_was_released_or_nothing_answers_it_is_said(
    quick: Path, tmp_path: Path
) -> None:
    folder = copy(quick, tmp_path / "repository")

    assert "No model has been released: no tag model-" in versions(folder, wanted=1)
    assert "reports no model version" in versions(folder, "--url http://127.0.0.1:9", wanted=1)
