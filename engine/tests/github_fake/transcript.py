"""Play every command form of our CML contract and write down what GitHub saw.

The stand-in and the real CML must give the same transcript: that is what the golden files hold.
"""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from github_fake.api import GitHub
from github_fake.origin import checkout, git, resolve, write_file

UPDATE = ("comment", "update", "--publish=false", "--watermark-title=model-report")
TO_PULL = (*UPDATE, "--target=pr/1", "report.md")
CHECK = ("check", "create", "--title=Model review", "--conclusion=failure")
PULL = ("pr", "create", "--branch=retrain/7", "--target-branch=main", "--title=T", "--body=B")
MARK = '![](https://cml.dev/watermark.png#0123abc "CML watermark model-report")'


@dataclass(frozen=True)
class Scene:
    """Hold one scenario: what stands before, what is called, what fails meanwhile."""

    commands: tuple[tuple[str, ...], ...]
    prepare: Callable[[GitHub, Path], None] = lambda github, clone: None
    failing: Callable[[GitHub], AbstractContextManager[None]] = lambda github: nullcontext()
    variables: dict[str, str] = field(default_factory=dict)


def _comments(count: int, body: str = "hello") -> Callable[[GitHub, Path], None]:
    """Plant comments of a person."""

    def prepare(github: GitHub, clone: Path) -> None:
        for _ in range(count):
            github.plant_comment(1, body, "octocat")

    return prepare


def _long_report(github: GitHub, clone: Path) -> None:
    """Make the report longer than a comment may be."""
    (clone / "report.md").write_text("x" * 65_537)


def _edit(github: GitHub, clone: Path) -> None:
    """Change two files, one of them new."""
    (clone / "params.yaml").write_text("a: 2\n")
    (clone / "new.txt").write_text("new\n")


def _commit(github: GitHub, clone: Path) -> None:
    """Commit a change, as our own scripts do before they call CML."""
    _edit(github, clone)
    git(clone, "add", "params.yaml")
    git(clone, "commit", "--quiet", "-m", "Retrain")


def _branch_with_pull(github: GitHub, clone: Path) -> None:
    """Plant the branch and its pull request."""
    main = resolve(github.origin, "refs/heads/main")
    git(github.origin, "update-ref", "refs/heads/retrain/7", str(main))
    write_file(github.origin, "retrain/7", "params.yaml", b"a: 3\n", "Retrain")
    github.open_pull("retrain/7")
    _commit(github, clone)


SCENES = {
    "version": Scene((("--version",),)),
    "comment_first": Scene((TO_PULL,)),
    "comment_twice": Scene((TO_PULL, TO_PULL)),
    "comment_after_30_others": Scene((TO_PULL, TO_PULL), _comments(30)),
    "comment_with_planted_mark": Scene((TO_PULL,), _comments(1, MARK)),
    "comment_with_two_marks": Scene((TO_PULL,), _comments(2, MARK)),
    "comment_in_a_pull_request_run": Scene(
        (TO_PULL,), variables={"GITHUB_EVENT_NAME": "pull_request"}
    ),
    "comment_forbidden": Scene(
        (TO_PULL,), failing=lambda github: github.failing("forbidden", method="POST")
    ),
    "comment_bad_gateway": Scene((TO_PULL,), failing=lambda github: github.failing("bad gateway")),
    "comment_refused": Scene((TO_PULL,), failing=lambda github: github.refusing()),
    "comment_too_long": Scene((TO_PULL,), _long_report),
    "comment_without_file": Scene(((*TO_PULL[:-1], "absent.md"),)),
    "comment_without_token": Scene((TO_PULL,), variables={"REPO_TOKEN": ""}),
    "comment_unknown_flag": Scene(((*TO_PULL, "--colour=red"),)),
    "check": Scene(((*CHECK, "--head-sha=HEAD_SHA", "report.md"),)),
    "pull_from_head": Scene((PULL,), _commit),
    "pull_from_paths": Scene(((*PULL, "--message=Retrain", "params.yaml"),), _edit),
    "pull_of_existing_branch": Scene((PULL,), _branch_with_pull),
    "pull_of_nothing": Scene(((*PULL, "params.yaml"),)),
    "pull_of_untouched_path": Scene(((*PULL, "README.md"),), _edit),
    "pull_into_missing_branch": Scene(
        (tuple(part.replace("=main", "=absent") for part in PULL),), _commit
    ),
}


def play(name: str, cml: str, github: GitHub, folder: Path) -> dict[str, Any]:
    """Play one scene and return its transcript, free of ports, dates and hashes."""
    scene = SCENES[name]
    git(github.origin, "branch", "change", "main")
    head = write_file(github.origin, "change", "params.yaml", b"a: 9\n", "Change")
    github.open_pull("change")
    clone = checkout(github.origin, "refs/heads/main", folder / "clone")
    (clone / "report.md").write_text("## A *b_c* report\n\n| a | b_c |\n|---|---|\n| 1 | 2 |\n")
    sha = git(clone, "rev-parse", "HEAD")
    scene.prepare(github, clone)
    variables = _environment(github, folder, sha, head) | scene.variables
    results = []
    with scene.failing(github):
        for command in scene.commands:
            filled = [part.replace("HEAD_SHA", head) for part in command]
            done = subprocess.run(
                [cml, *filled],
                cwd=clone, env=variables, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            results.append({"exit": done.returncode, "stdout": done.stdout, **_said(done.stderr)})
    ours = resolve(github.origin, "refs/heads/retrain/7")
    transcript = {
        "results": results,
        "calls": list(_calls(github)),
        "pushed": git(github.origin, "diff", "--name-only", sha, ours) if ours else None,
        "message": git(github.origin, "log", "-1", "--format=%s", ours) if ours else None,
    }
    return _normal(transcript, {github.url: "HOST", sha: "SHA", head: "HEAD_SHA"})


def _environment(github: GitHub, folder: Path, sha: str, head: str) -> dict[str, str]:
    """Return what a step has."""
    event = folder / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 1, "head": {"sha": head}}}))
    return github.environment() | {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "CI": "true",
        "ITERATIVE_DO_NOT_TRACK": "1",
        "CML_REPO": f"{github.url}/{github.state.repository}",
        "REPO_TOKEN": github.token,
        "GITHUB_ACTOR": "octocat",
        "GITHUB_EVENT_NAME": "workflow_run",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_SHA": sha,
    }


def _said(stderr: str) -> dict[str, Any]:
    """Return level and message of the JSON lines of stderr; usage text is each tool's own.

    The real CML's line holds the whole request and is now and then cut off by its own exit, so
    it is searched, not parsed.
    """
    said = []
    for line in stderr.splitlines():
        level = re.search(r'"level":\s*"(\w+)"', line)
        message = re.search(r'"message":\s*("(?:[^"\\]|\\.)*")', line)
        if line.startswith("{") and level and message:
            text = re.sub(r"reason: .*", "reason: …", json.loads(message[1]), flags=re.S)
            said.append(f"{level[1]}: {text}")
    return {"said": said}


def _calls(github: GitHub) -> Iterator[list[Any]]:
    """Return the calls in order; of git only which service, for its rounds vary by version."""
    last = None
    for call in github.calls:
        service = re.search(r"git-(upload|receive)-pack", call.raw_path)
        entry = [service[0]] if service else [call.method, call.raw_path, call.body, call.status]
        if call.path.startswith("/users/") or (service and entry == last):
            continue
        last = entry
        yield entry


def _normal(transcript: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Replace what differs from run to run."""
    text = json.dumps(transcript, indent=1)
    for value, name in names.items():
        text = text.replace(value, name)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "DATE", text)
    text = re.sub(r"[A-Z]?x{1000,}", "LONG", text)
    result: dict[str, Any] = json.loads(text)
    return result
