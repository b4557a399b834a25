"""`python -m mlops.review` on a real clone. Whole pull requests are in test_pull_requests.py."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from clones import copy, edit_params, environment
from paths import SOURCES

SECONDS = 240


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(PYTHONPATH=SOURCES),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    done = run(folder, "git", *identity, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit(folder: Path, message: str) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(folder, "rev-parse", "HEAD")


def edit(folder: Path, **sections: dict[str, object]) -> None:
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    for section, changes in sections.items():
        params[section] |= changes
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


@pytest.fixture(scope="module")
def reviewed(quick: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy(quick, tmp_path_factory.mktemp("origin") / "repository")


@pytest.fixture
def repository(reviewed: Path) -> Iterator[Path]:
    yield reviewed
    git(reviewed, "checkout", "--quiet", "--force", "main")
    git(reviewed, "clean", "--quiet", "--force", "-d")


def review(  # type: ignore[type-arg]
    folder: Path, base: str = "main", *options: str
) -> tuple[int, str, dict]:
    done = run(folder, "python", "-m", "mlops.review", "--base", base, *options)
    assert done.returncode in (0, 1), done.stderr
    verdict = json.loads((folder / "artifacts/review/verdict.json").read_text(encoding="utf-8"))
    report = (folder / "artifacts/review/report.md").read_text(encoding="utf-8")
    assert done.stdout.strip() == report.strip()
    assert git(folder, "worktree", "list").count("\n") == 0
    return done.returncode, report, verdict


def test_a_change_of_nothing_passes_without_running_a_stage(repository: Path) -> None:
    code, report, verdict = review(repository)

    assert code == 0
    assert "nothing had to run" in report
    assert verdict["verdict"] == "pass"
    assert verdict["base"] == verdict["head"] == git(repository, "rev-parse", "main")
    rmse = verdict["metrics"]["rmse"]
    assert rmse["candidate"] == rmse["base_on_this_data"] == rmse["base_recorded"]
    assert rmse["delta"] == rmse["ci_low"] == rmse["ci_high"] == 0


def test_new_rows_are_shown_and_both_models_are_scored_on_them(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "-b", "new-rows")
    edit(repository, ingest={"until": "2010-03-31"})

    code, report, verdict = review(repository)

    assert code == 0, report
    assert "**Data:** 100 rows added (2010-01-" in report
    assert "to 2010-03-" in report
    assert "748 test rows (2009-01-01 to 2010-03-" in report
    rmse = verdict["metrics"]["rmse"]
    assert rmse["base_on_this_data"] != rmse["base_recorded"]
    assert rmse["candidate"] == rmse["base_on_this_data"]  # the training rows are the same


@pytest.mark.slow
def test_a_model_of_a_sample_says_so(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "-b", "sample")
    edit(repository, split={"max_train_rows": 1000})

    _, report, _ = review(repository)
    commit(repository, "a sample")
    _, alone, _ = review(repository, without_a_pipeline(repository))

    for text in (report, alone):
        assert "was trained on 1,000 of 1,941 rows, a sample by split.max" in text.replace("\\", "")


def test_a_partition_that_can_not_be_read_is_blocked_in_plain_words(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "-b", "broken-file")
    (repository / "data/source/2010-q4.csv").write_text("sale_id,sold\n1,2\n", encoding="utf-8")

    code, report, verdict = review(repository)

    assert code == 1
    assert verdict["verdict"] == "block"
    assert "2010-q4.csv: line 1: missing column(s) sold_on, size" in report
    assert "Traceback" not in report


@pytest.mark.parametrize("name", ["engine/mlops/own.py", ".github/workflows/own.yml"])
def test_an_engine_that_somebody_edits_is_named(name: str, repository: Path) -> None:
    git(repository, "checkout", "--quiet", "-b", f"edits-{Path(name).suffix[1:]}")
    (repository / name).parent.mkdir(parents=True, exist_ok=True)
    (repository / name).write_text("", encoding="utf-8")
    commit(repository, "An engine of our own")

    code, report, verdict = review(repository, "HEAD~1")

    assert (code, verdict["verdict"]) == (0, "warn")
    why = f"this change edits the engine or the workflows: {name}"
    assert why in [check["why"] for check in verdict["checks"]]
    assert "edits the engine or the workflows" in report


def without_a_pipeline(repository: Path) -> str:
    """Begin the history anew, by an empty commit; give that."""
    git(repository, "checkout", "--quiet", "--orphan", "of-" + git(repository, "rev-parse", "HEAD"))
    git(repository, "rm", "--quiet", "-r", "--cached", ".")
    empty = git(repository, "hash-object", "-t", "tree", os.devnull)
    root = git(repository, "commit-tree", empty, "-m", "empty")
    git(repository, "reset", "--quiet", "--soft", root)
    commit(repository, "the template")
    return root


def test_a_base_without_a_pipeline_leaves_the_floors(repository: Path) -> None:
    root = without_a_pipeline(repository)

    code, report, verdict = review(repository, root)

    assert code == 0
    assert "the base has no pipeline yet" in report
    assert verdict["metrics"] == {}
    assert {check["name"] for check in verdict["checks"]} == {
        "floor of r2",
        "floor of mape",
        "floor of mape in slices",
    }


def test_a_base_that_does_not_exist_can_not_be_judged(repository: Path) -> None:
    done = run(repository, "python", "-m", "mlops.review", "--base", "no-such-branch")

    assert done.returncode == 2
    assert "BASE no-such-branch: no such commit" in done.stderr
    assert "Traceback" not in done.stderr


def test_faulty_parameters_can_not_be_judged_and_are_named(repository: Path) -> None:
    edit(repository, models={"ridge": {"alhpa": 1.0}})

    done = run(repository, "python", "-m", "mlops.review")

    assert done.returncode == 2
    assert "models.ridge.alhpa: unknown key; did you mean alpha?" in done.stderr


@pytest.mark.slow
def test_a_lock_that_names_the_bases_model_and_bundle_is_behind_and_made_anew(
    repository: Path,
) -> None:
    git(repository, "checkout", "--quiet", "-b", "forged")
    model = "models.hist_gradient_boosting"
    edit_params(repository, {f"{model}.max_iter": 40, f"{model}.learning_rate": 0.9})
    review(repository)
    commit(repository, "honest")
    honest = (repository / "dvc.lock").read_text(encoding="utf-8")
    _, _, verdict = review(repository, "main", "--exact")
    assert verdict["lock"] == "current"

    base = yaml.safe_load(git(repository, "show", "main:dvc.lock"))["stages"]
    old = {out["path"]: out for stage in base.values() for out in stage["outs"]}
    forged = yaml.safe_load(honest)
    for stage in forged["stages"].values():
        for entry in [*stage.get("deps", []), *stage["outs"]]:
            if entry["path"] in ("artifacts/train/model.joblib", "artifacts/bundle"):
                entry.update(old[entry["path"]])
    (repository / "dvc.lock").write_text(yaml.safe_dump(forged), encoding="utf-8")
    commit(repository, "forged")

    code, report, verdict = review(repository, "main", "--exact")

    assert code == 1, "the model that was asked for is far worse"
    assert verdict["lock"] == "behind"
    assert "dvc.lock must be updated before merging" in report
    assert yaml.safe_load((repository / "dvc.lock").read_text()) == yaml.safe_load(honest)
