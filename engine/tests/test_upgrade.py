"""`make upgrade` over three versions of a template, in a repository that has no history with it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from clones import copy, run
from mlops.integrity import edited, write
from mlops.upgrade.__main__ import changes_since
from paths import SOURCES

FILES = {
    "engine/VERSION": "1.0.0\n",
    "engine/CHANGELOG.md": "# Changes\n\n## 1.0.0\n\n- First\n",
    "engine/mlops/a.py": "A = 1\n\n\nB = 1\n\n\nC = 1\n",
    "engine/mlops/old.py": "OLD = 1\n",
    "engine/mlops/gone.py": "GONE = 1\n",
    "engine/tests/test_a.py": "",
    ".github/workflows/check.yml": "name: Check\n\n\non: push\n\n\njobs: {}\n",
    "Makefile": "run:\n\ttrue\n\n\nmine:\n",
    "requirements.txt": "one==1\n",
    "pyproject.toml": 'dependencies = [\n  "one",\n]\n\n\n[tool.x]\n',
}
SECOND = {
    "engine/VERSION": "1.1.0\n",
    "engine/CHANGELOG.md": "# Changes\n\n## 1.1.0\n\n- Second\n\n## 1.0.0\n\n- First\n",
    "engine/mlops/a.py": "A = 2\n\n\nB = 1\n\n\nC = 1\n",
    "engine/mlops/new.py": "NEW = 1\n",
    "engine/mlops/old.py": None,
    "engine/mlops/gone.py": None,
    "engine/tests/test_b.py": "",
    ".github/workflows/check.yml": "name: Check all\n\n\non: push\n\n\njobs: {}\n",
    "requirements.txt": "one==2\n",
}
THIRD = {
    "engine/VERSION": "1.2.0\n",
    "engine/CHANGELOG.md": "# Changes\n\n## 1.2.0\n\n- Third\n\n## 1.1.0\n\n- Second\n\n## 1.0.0\n",
    "engine/mlops/a.py": "A = 2\n\n\nB = 3\n\n\nC = 1\n",
    "Makefile": "run:\n\tfalse\n\n\nmine:\n",
    "pyproject.toml": 'dependencies = [\n  "one",\n]\n\n\n[tool.y]\n',
}
UPGRADE = "python -m mlops.upgrade"


def lay_out(folder: Path, files: Mapping[str, str | None]) -> None:
    for name, content in files.items():
        path = folder / name
        if content is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def release(folder: Path, files: Mapping[str, str | None], tag: str) -> None:
    lay_out(folder, files)
    run(folder, "git add -A")
    write(folder)
    run(folder, f"git add -A && git commit -q -m {tag} && git tag {tag}")


@pytest.fixture
def template(tmp_path: Path) -> Path:
    folder = tmp_path / "template"
    folder.mkdir()
    run(folder, "git init -q -b main")
    release(folder, FILES, "v1.0.0")
    release(folder, SECOND, "v1.1.0")
    release(folder, THIRD, "v1.2.0")
    return folder


@pytest.fixture
def repository(template: Path, tmp_path: Path) -> Path:
    """What "Use this template" and adoption leave, and edits of a year."""
    folder = tmp_path / "theirs"
    run(tmp_path, f"git clone -q --branch v1.0.0 {template} theirs && rm -rf theirs/.git")
    (folder / "engine/tests/test_a.py").unlink()
    lay_out(folder, {"params.yaml": "mine: 1\n", "src/project/schema.py": "MINE = 1\n"})
    lay_out(folder, {"engine/mlops/gone.py": "GONE = 2\n"})
    lay_out(folder, {"Makefile": "run:\n\ttrue\n\n\nmine:\n\techo mine\n"})
    lay_out(folder, {"pyproject.toml": FILES["pyproject.toml"].replace('"one"', '"one",\n  "own"')})
    run(folder, "git init -q -b main && git add -A && git commit -q -m ours")
    return folder


def upgrade(folder: Path, options: str = "", wanted: int = 0) -> str:
    engine = Path(__file__).parents[1]
    return run(folder, f"{UPGRADE} {options}", wanted, PYTHONPATH=str(engine))


def test_what_nobody_edited_is_replaced_and_what_is_theirs_stays(
    template: Path, repository: Path
) -> None:
    told = upgrade(repository, f"--from {template} --to v1.1.0")

    assert told.startswith("## 1.1.0\n\n- Second\n\nEngine 1.0.0 -> 1.1.0: ")
    assert (repository / "engine/mlops/a.py").read_text() == SECOND["engine/mlops/a.py"]
    assert (repository / "engine/mlops/new.py").exists()
    assert not (repository / "engine/mlops/old.py").exists()
    assert not list(repository.glob("engine/tests/*")), "what adoption removed stays away"
    assert (repository / "requirements.txt").read_text() == "one==2\n"
    assert (repository / "params.yaml").read_text() == "mine: 1\n"
    assert (repository / "src/project/schema.py").read_text() == "MINE = 1\n"
    assert (repository / "Makefile").read_text().endswith("echo mine\n")
    assert (repository / "engine/mlops/gone.py").read_text() == "GONE = 2\n"
    assert "edited here: engine/mlops/gone.py: removed in the template" in told
    run(repository, "git add -A")
    assert edited(repository) == ["engine/mlops/gone.py"]


@pytest.mark.parametrize("steps", [["v1.1.0", "v1.2.0"], ["v1.2.0"], [None]], ids=str)
def test_one_step_or_two_lead_to_the_same(
    steps: list[str | None], template: Path, repository: Path
) -> None:
    for number, step in enumerate(steps):
        source = f"--from {template}" if number == 0 else ""  # it is remembered
        told = upgrade(repository, f"{source} --to {step}" if step else source)
        run(repository, "git add -A && git commit -q -m upgraded")

    assert (repository / "engine/VERSION").read_text() == "1.2.0\n"
    assert (repository / "Makefile").read_text() == "run:\n\tfalse\n\n\nmine:\n\techo mine\n"
    assert "merged, check it: Makefile" in told
    assert "run `make lock`" in told
    assert '"own"' in (repository / "pyproject.toml").read_text()
    assert "[tool.y]" in (repository / "pyproject.toml").read_text()


def test_the_same_lines_edited_on_both_sides_are_left_to_a_person(
    template: Path, repository: Path
) -> None:
    lay_out(repository, {"engine/mlops/a.py": "A = 7\n\n\nB = 1\n\n\nC = 1\n"})
    run(repository, "git commit -q -a -m mine")

    told = upgrade(repository, f"--from {template} --to v1.1.0")

    assert (repository / "engine/mlops/a.py").read_text().startswith("A = 7")
    assert (repository / "engine/mlops/a.py.new").read_text() == SECOND["engine/mlops/a.py"]
    assert "edited here: engine/mlops/a.py: merge engine/mlops/a.py.new by hand" in told


def test_without_the_version_it_began_with_nothing_is_merged_by_guessing(
    template: Path, repository: Path
) -> None:
    run(template, "git tag -d v1.0.0")

    told = upgrade(repository, f"--from {template} --to v1.2.0")

    assert "edited here: Makefile: merge Makefile.new by hand" in told
    assert (repository / "engine/mlops/new.py").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("", "address is not known"),
        ("--from {} --to v9.0.0", "found tags v1.0.0, v1.1.0, v1.2.0; wanted v9.0.0"),
        ("--from {} --to v1.0.0", "v1.0.0 is not later\nLater tags: v1.1.0, v1.2.0"),
        ("--from /nowhere/at/all", "git ls-remote: "),
    ],
)
def test_what_can_not_be_taken_is_refused_in_words(
    options: str, told: str, template: Path, repository: Path
) -> None:
    found = upgrade(repository, options.format(template), wanted=1)

    assert told in found
    assert "Traceback" not in found
    assert run(repository, "git status --porcelain") == ""


def test_uncommitted_edits_are_not_written_over(template: Path, repository: Path) -> None:
    lay_out(repository, {"params.yaml": "mine: 2\n"})

    assert "Not committed:\n   M params.yaml" in upgrade(repository, f"--from {template}", wanted=1)


def test_what_can_not_be_written_leaves_all_as_it_was(template: Path, repository: Path) -> None:
    lay_out(repository, {"engine/block": "mine, where the template has a folder"})
    run(repository, "git add -A && git commit -q -m block")
    release(template, {"engine/VERSION": "1.3.0\n", "engine/block/new.py": ""}, "v1.3.0")

    told = upgrade(repository, f"--from {template}", wanted=1)

    assert "nothing was changed" in told
    assert "Traceback" not in told
    assert run(repository, "git status --porcelain") == ""


def test_the_changelog_is_shown_from_the_newest_to_the_one_that_is_here() -> None:
    text = str(THIRD["engine/CHANGELOG.md"])

    assert changes_since(text, "1.0.0") == "## 1.2.0\n\n- Third\n\n## 1.1.0\n\n- Second"
    assert changes_since(text, "1.2.0") == ""


@pytest.mark.slow
def test_the_review_judges_a_later_engine_like_any_other_change(
    quick: Path, tmp_path: Path
) -> None:
    template, folder = copy(quick, tmp_path / "template"), copy(quick, tmp_path / "theirs")
    for place in (template, folder):
        write(place)
        run(place, "git add -A && git commit -q -m recorded")
    run(template, "git tag v1.0.0")
    release(template, {"engine/VERSION": "1.0.1\n", "engine/mlops/slices.py": None}, "v1.0.1")
    run(template, "git checkout -q v1.0.0 engine/mlops/slices.py")
    lay_out(template, {"engine/VERSION": "1.0.2\n"})
    release(template, {}, "v1.0.2")
    run(folder, f"git remote add later {template}")

    told = run(
        folder,
        f"make -o .venv/run upgrade FROM={template} TO=v1.0.2",
        PYTHONPATH=SOURCES,
    )

    assert "Engine 1.0.0 -> 1.0.2: 1 files replaced" in told
    assert "✅ Pass: may be merged" in told
