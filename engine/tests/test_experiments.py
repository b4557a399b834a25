"""Experiments with DVC: docs/experiments.md, played in a fresh clone, and the traps it names."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from clones import copy, edit_params, outcomes, run, stages_run
from mlops.params import load_params
from paths import ROOT
from project.schema import SCHEMA

PAGE = ROOT / "docs/experiments.md"
ALL_BUT_TRAINING = dict.fromkeys(("ingest", "validate", "prepare", "split"), "skipped")
OMITTED = "…"


@dataclass(frozen=True)
class Command:
    """A command of the page and the lines that the page shows below it."""

    text: str
    shown: list[str]


def commands(page: str) -> list[Command]:
    """Take the commands out of a page's console blocks."""
    found: list[Command] = []
    for block in re.findall(r"^```console\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Command(line.removeprefix("$ "), []))
            elif line.strip(" ─"):
                found[-1].shown.append(plain(line))
    return found


def plain(line: str) -> str:
    """Put a sign for numbers and hashes, which a change of parameters may change, and no rules."""
    line = re.sub(r"\b[0-9a-f]{7,}\b", "#", line)
    return " ".join(re.sub(r"-?\b\d+(\.\d+)?(e-?\d+)?\b", "#", line).split())


def agrees(shown: list[str], printed: str) -> bool:
    """Tell whether a page shows what was printed.

    '…' stands for any lines, and at a line's end for the rest of it; no other line may be missing.
    Without a '…' the lines may come in another order: DVC prints the files of a diff in any.
    """
    pattern = ""
    for line in shown:
        start = line.removesuffix(OMITTED)
        if start == "":
            pattern += r"(.*\n)*"
        else:
            pattern += re.escape(start) + (".*" if start != line else "") + r"\n"
    lines = [plain(line) + "\n" for line in printed.splitlines() if line.strip(" ─")]
    in_any_order = sorted(line + "\n" for line in shown) == sorted(lines)
    return in_any_order or re.fullmatch(pattern, "".join(lines)) is not None


@dataclass(frozen=True)
class Played:
    """The page's commands after they ran in `folder`.

    Attributes:
        printed: what each command printed, in order.
        table: what `dvc exp show --json` told before the page removed its experiments.
    """

    folder: Path
    printed: list[tuple[Command, str]]
    table: list[dict[str, Any]]

    def of(self, start: str) -> str:
        """Give what the one command with this beginning printed."""
        (found,) = [text for command, text in self.printed if command.text.startswith(start)]
        return found


@pytest.fixture(scope="module")
def played(reproduced: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder = copy(reproduced, tmp_path_factory.mktemp("experiments") / "repository")
    printed, table = [], []
    for command in commands(PAGE.read_text(encoding="utf-8")):
        if command.text.startswith("dvc exp remove"):
            table = json.loads(run(folder, "dvc exp show --json"))
        printed.append((command, run(folder, command.text)))
    yield Played(folder, printed, table)
    run(folder, "dvc queue stop")


@pytest.fixture
def repository(reproduced: Path, tmp_path: Path) -> Path:
    return copy(reproduced, tmp_path / "repository")


@pytest.mark.slow
def test_every_command_of_the_page_prints_what_the_page_shows(played: Played) -> None:
    assert len(played.printed) > 10
    wrong = {
        command.text: printed
        for command, printed in played.printed
        if not agrees(command.shown, printed)
    }
    assert not wrong


def test_a_page_that_shows_what_is_not_printed_is_found_out() -> None:
    printed = "Stage 'a' ran\n\nfit 1 of 2\nfit 2 of 2\nrmse 12.5\nthe end\n"
    assert agrees(["Stage 'a' ran", OMITTED, "fit # of #", "rmse " + OMITTED, "the end"], printed)
    assert agrees([OMITTED], printed)
    assert agrees(["Path Change", "b.json #", "a.json #"], "Path Change\na.json 1\nb.json 2\n")
    assert not agrees(["Path Change", "b.json #"], "Path Change\na.json 1\nb.json 2\n")
    assert not agrees(["Stage 'b' ran", OMITTED], printed)
    assert not agrees(["Stage 'a' ran", "rmse #", "the end"], printed)
    assert not agrees([OMITTED, "rmse #"], printed)


@pytest.mark.slow
def test_an_experiment_runs_only_the_stages_that_its_parameter_reaches(played: Played) -> None:
    found = outcomes(played.of("dvc exp run --name lower-rate"))
    assert found == ALL_BUT_TRAINING | {"train": "run", "evaluate": "run", "export": "run"}


@pytest.mark.slow
def test_a_search_that_chooses_the_same_parameters_does_not_evaluate_again(
    played: Played,
) -> None:
    printed = played.of("dvc exp run --name search")
    assert stages_run(printed)[0] == "train"
    training = json.loads((played.folder / "artifacts/train/training.json").read_text("utf-8"))
    written = yaml.safe_load((played.folder / "params.yaml").read_text("utf-8"))
    given = written["models"][written["train"]["kind"]]
    chose_given = all(training["params"][name] == value for name, value in given.items())
    assert outcomes(printed)["evaluate"] == ("skipped" if chose_given else "run")
    assert len(training["search"]) == 5


@pytest.mark.slow
def test_the_table_holds_the_parameters_and_metrics_of_every_experiment(played: Played) -> None:
    (commit,) = [row for row in played.table if row["rev"] != "workspace"]
    rows = {row["name"]: row["revs"][0]["data"] for row in commit["experiments"]}
    read = {
        name: tuple(
            data["params"]["params.yaml"]["data"]["models"]["hist_gradient_boosting"][key]
            for key in ("learning_rate", "max_leaf_nodes")
        )
        for name, data in rows.items()
    }
    assert read == {"lower-rate": (0.03, 12), "small-trees": (0.05, 8), "small-and-slow": (0.03, 8)}
    metrics = [data["metrics"]["artifacts/evaluate/metrics.json"]["data"] for data in rows.values()]
    assert all(set(found) >= {"rmse", "mape", "r2", "baseline"} for found in metrics)
    assert len({found["rmse"] for found in metrics}) == 3


@pytest.mark.slow
def test_a_branch_keeps_one_experiment_as_a_change_of_parameters_and_lock(played: Played) -> None:
    changed = run(played.folder, "git diff --name-only main try-small-trees").split()
    assert changed == ["dvc.lock", "params.yaml"]
    kept = yaml.safe_load(run(played.folder, "git show try-small-trees:params.yaml"))
    main = yaml.safe_load(run(played.folder, "git show main:params.yaml"))
    main["models"]["hist_gradient_boosting"]["max_leaf_nodes"] = 8
    assert kept == main
    assert run(played.folder, "git rev-list --count main..try-small-trees").strip() == "1"


@pytest.mark.slow
def test_removed_experiments_are_gone_and_the_branch_stays(played: Played) -> None:
    assert re.findall(r"\[(.+)\]", run(played.folder, "dvc exp list")) == ["search"]
    assert "try-small-trees" in run(played.folder, "git branch --list")


@pytest.mark.parametrize("name", ["train.learning_rat", "trian.learning_rate", "learning_rate"])
def test_a_parameter_that_does_not_exist_is_refused_and_changes_nothing(
    name: str, reproduced: Path
) -> None:
    printed = run(reproduced, f"dvc exp run -S {name}=0.03", wanted=255)
    assert f"Could not override '{name}'" in printed
    assert not stages_run(printed)
    assert run(reproduced, "git status --porcelain") == ""


def test_an_added_parameter_is_refused_by_the_stage_that_reads_it(repository: Path) -> None:
    printed = run(repository, "dvc exp run -S +train.new=1", wanted=255)
    assert "train.new: unknown key" in printed


def test_a_day_is_written_in_quotes_and_taken(repository: Path) -> None:
    run(repository, "dvc exp run --queue --name later -S ingest.until=2010-03-31")
    written = run(repository, "git show refs/exps/celery/stash:params.yaml")
    (repository / "queued.yaml").write_text(written, encoding="utf-8")
    assert "until: '2010-03-31'" in written
    assert str(load_params(repository / "queued.yaml", SCHEMA).ingest.until) == "2010-03-31"


def test_a_failed_experiment_is_undone_by_restore_and_checkout(repository: Path) -> None:
    printed = run(
        repository, "dvc exp run -S models.hist_gradient_boosting.learning_rate=2", wanted=255
    )
    assert (
        "models.hist_gradient_boosting.learning_rate: found 2, wanted less than or equal to 1"
        in printed
    )
    assert run(repository, "git status --porcelain").split() == ["M", "params.yaml"]
    assert not (repository / "artifacts/train/model.joblib").exists()

    run(repository, "git restore params.yaml dvc.lock && dvc checkout --quiet")
    assert not stages_run(run(repository, "dvc repro"))


def test_an_experiment_starts_from_the_parameters_that_the_last_one_left(repository: Path) -> None:
    run(
        repository,
        "dvc exp run ingest --name first -S models.hist_gradient_boosting.learning_rate=0.03",
    )
    run(
        repository,
        "dvc exp run ingest --name second -S models.hist_gradient_boosting.max_leaf_nodes=8",
    )
    models = yaml.safe_load((repository / "params.yaml").read_text("utf-8"))["models"]
    boosting = models["hist_gradient_boosting"]
    assert (boosting["learning_rate"], boosting["max_leaf_nodes"]) == (0.03, 8)


@pytest.mark.slow
def test_a_queued_experiment_runs_the_edited_code_as_it_was_when_queued(repository: Path) -> None:
    module = repository / "engine/mlops/pipeline/train.py"
    source = module.read_text(encoding="utf-8")
    module.write_text(source.replace('f"train: {', 'f"EDITED train: {'), encoding="utf-8")
    assert module.read_text(encoding="utf-8") != source
    run(repository, "dvc exp run --queue train -S models.hist_gradient_boosting.max_iter=5")
    module.write_text(source, encoding="utf-8")

    printed = run(repository, "dvc exp run --run-all")
    assert "EDITED train: " in printed
    assert run(repository, "git status --porcelain") == ""
    run(repository, "dvc queue stop")


def test_an_experiment_in_a_copy_sees_a_new_file_only_when_git_knows_it(repository: Path) -> None:
    source = repository / "data/source"
    old = sorted(source.glob("*.csv"))[-1].read_text(encoding="utf-8").splitlines()
    key, rest = old[1].split(",", 1)
    (source / "new.csv").write_text(f"{old[0]}\n{key}99,{rest}\n", encoding="utf-8")
    n_partitions = len(list(source.glob("*.csv")))

    printed = run(repository, "dvc exp run --temp ingest")
    assert outcomes(printed) == {"ingest": "skipped"}

    run(repository, "git add data/source")
    printed = run(repository, "dvc exp run --temp ingest")
    assert f"from {n_partitions} partitions" in printed


def test_a_dry_experiment_fails_where_a_dry_repro_tells_what_would_run(repository: Path) -> None:
    edit_params(repository, {"validate.min_rows": 501})
    assert "ERROR" in run(repository, "dvc exp run --dry", wanted=255)
    assert "validate" in stages_run(run(repository, "dvc repro --dry"))
