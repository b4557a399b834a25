"""Read what act printed into one result that tests can ask."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Run:
    """Hold one finished run; jobs of a matrix are called like `test (3.11, ubuntu)`.

    `jobs` holds exactly the jobs that ran: act says nothing of a skipped one.
    """

    id: int
    workflow: str
    path: str
    event: Any
    rc: int
    folder: Path
    artifacts: Path
    stderr: str
    waits: bool = False  # for a maintainer's approval: nothing ran
    jobs: dict[str, str] = field(default_factory=dict)
    steps: dict[tuple[str, str], str] = field(default_factory=dict)
    outputs: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    summaries: dict[str, str] = field(default_factory=dict)
    annotations: list[tuple[str, str, str]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)

    @property
    def conclusion(self) -> str:
        """Return the run's conclusion as GitHub words it."""
        if self.waits:
            return "action_required"
        return "success" if self.rc == 0 else "failure"

    @property
    def log(self) -> str:
        """Return everything that was printed, for messages of failed tests."""
        return "\n".join(f"== {job}\n{text}" for job, text in self.logs.items()) + self.stderr

    def calls_of(self, action: str) -> list[dict[str, str]]:
        """Return the inputs of each call of an action's stand-in."""
        return [call["with"] for call in self.calls if call["action"] == action]


def planted_run(github: Any, event: Any, workflow: str, path: str, rc: int = 0) -> Run:
    """Return a run that a test only imagines, so that another workflow can follow it."""
    number = next(github.state.ids)
    artifacts = github.state.artifacts / str(number)
    return Run(number, workflow, path, event, rc, github.folder, artifacts, stderr="")


def parse_events(stdout: str) -> dict[str, Any]:
    """Sort act's JSON lines into the fields of a run."""
    jobs: dict[str, str] = {}
    steps: dict[tuple[str, str], str] = {}
    outputs: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    logs: dict[str, list[str]] = defaultdict(list)
    summaries: dict[str, str] = defaultdict(str)
    annotations = []
    for line in filter(lambda text: text.startswith("{"), stdout.splitlines()):
        entry = json.loads(line)
        if "jobID" not in entry:
            continue
        job = _job_name(entry)
        step = (entry.get("stepID") or [""])[0]
        logs[job].append(entry["msg"].rstrip("\n"))
        if "jobResult" in entry:
            jobs[job] = entry["jobResult"]
        if "stepResult" in entry and entry.get("stage") == "Main":
            steps[job, step] = steps[job, entry["step"]] = entry["stepResult"]
        match entry.get("command"):
            case "set-output":
                outputs[job, step][entry["name"]] = entry["arg"]
            case "summary":
                summaries[job] += entry["content"]
            case "warning" | "error" | "notice" as level:
                annotations.append((job, level, entry["arg"]))
    texts = {job: "\n".join(lines) for job, lines in logs.items()}
    return {
        "jobs": jobs,
        "steps": steps,
        "outputs": dict(outputs),
        "logs": texts,
        "summaries": dict(summaries),
        "annotations": annotations,
    }


def parse_calls(log: Path) -> list[dict[str, Any]]:
    """Read what the stand-ins recorded."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def _job_name(entry: dict[str, Any]) -> str:
    """Name a job as GitHub lists it."""
    values = ", ".join(str(value) for value in (entry.get("matrix") or {}).values())
    return f"{entry['jobID']} ({values})" if values else str(entry["jobID"])
