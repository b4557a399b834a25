"""Read a workflow file for what the harness must know before it runs: actions, labels, rights."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from github_fake.runs import triggers

STAND_INS = Path(__file__).parent / "actions"
PINNED = re.compile(r"(?P<name>[\w.-]+/[\w.-]+)(?P<folder>(/[\w.-]+)*)@(?P<ref>[0-9a-f]{40})")
# A repository's default token, as GitHub sets it up and as we tell people to leave it.
DEFAULT_RIGHTS = {"contents": "read"}


@dataclass(frozen=True)
class Workflow:
    """Hold one workflow file inside a checked-out repository."""

    root: Path
    path: Path
    document: dict[str, Any]

    @classmethod
    def read(cls, root: Path, name: str) -> "Workflow":
        """Read a workflow by its file name."""
        path = root / ".github" / "workflows" / name
        if not path.is_file():
            raise ValueError(f"no workflow {name!r} in the commit that runs")
        return cls(root, path, yaml.safe_load(path.read_text()))

    @property
    def name(self) -> str:
        """Return the name that GitHub shows."""
        return str(self.document.get("name") or self.path.relative_to(self.root))

    @property
    def triggers(self) -> dict[str, Any]:
        """Return what starts it."""
        return triggers(self.path.read_text())

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        """Return its jobs."""
        jobs: dict[str, dict[str, Any]] = self.document["jobs"]
        return jobs

    def shown_name(self, job: str) -> str:
        """Return the name of a job that people and rules see."""
        return str(self.jobs.get(job, {}).get("name", job))

    def scope(self, environments: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
        """Let each job see the secrets of its own environment; return all, under other names.

        act has one set of secrets for every job, so the file that it runs is rewritten.
        """
        found: dict[str, str] = {}
        for job in self.jobs.values():
            named = job.get("environment", "")
            own = named["name"] if isinstance(named, dict) else named
            for name, value in environments.get(own, {}).items():
                found[f"{own}__{name}".upper()] = value
                job["steps"] = _renamed(job["steps"], f"secrets.{name}", f"secrets.{own}__{name}")
        if found:
            document = {"on" if key is True else key: v for key, v in self.document.items()}
            self.path.write_text(yaml.safe_dump(document, sort_keys=False))
        return found

    def stand_ins(self) -> dict[str, Path]:
        """Map each `owner/repo@sha` that can be reached to the folder that stands for it."""
        return dict(_stand_in(use, where) for use, where in _uses(self.root, self.path, set()))

    def labels(self, variables: Mapping[str, str]) -> set[str]:
        """Return every runner label that any reachable job can ask for."""
        found: set[str] = set()
        for path in [self.path, *_called(self.root, self.path)]:
            for job in yaml.safe_load(path.read_text())["jobs"].values():
                found |= _labels(job, variables)
        return found

    def rights(self, *, trusted: bool) -> dict[str, str]:
        """Return what the token may do in any job; act gives one token to all of them."""
        found: dict[str, str] = {}
        for job in self.jobs.values():
            granted = job.get("permissions", self.document.get("permissions", DEFAULT_RIGHTS))
            for scope, level in _spelled(granted).items():
                if found.get(scope) != "write":
                    found[scope] = level
        # A run for a fork has a token that can only read.
        return found if trusted else {scope: "read" for scope, v in found.items() if v != "none"}


def _renamed(node: Any, old: str, new: str) -> Any:
    """Replace a word in every text of a document."""
    if isinstance(node, dict):
        return {key: _renamed(value, old, new) for key, value in node.items()}
    if isinstance(node, list):
        return [_renamed(item, old, new) for item in node]
    return (
        re.sub(rf"{re.escape(old)}\b", new.upper().replace("SECRETS.", "secrets."), node)
        if isinstance(node, str)
        else node
    )


def _spelled(granted: Any) -> dict[str, str]:
    """Spell out the short forms of `permissions`."""
    if isinstance(granted, str):
        level = granted.removesuffix("-all")
        scopes = ("actions", "checks", "contents", "issues", "pull-requests", "statuses")
        return dict.fromkeys(scopes, level)
    return dict(granted or {})


def _uses(root: Path, path: Path, seen: set[Path]) -> Iterator[tuple[str, Path]]:
    """Walk a file's `uses:`, into local actions and called workflows too."""
    if path in seen:
        return
    seen.add(path)
    for use in _all_uses(yaml.safe_load(path.read_text())):
        if use.startswith("./"):
            yield from _uses(root, _local(root, use), seen)
        else:
            yield use, path.relative_to(root)


def _all_uses(node: Any) -> Iterator[str]:
    """Walk a document for the values of `uses`."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "uses" and isinstance(value, str):
                yield value
            else:
                yield from _all_uses(value)
    elif isinstance(node, list):
        for item in node:
            yield from _all_uses(item)


def _local(root: Path, use: str) -> Path:
    """Return the file behind a local `uses:`."""
    target = root / use
    candidates = [target, target / "action.yml", target / "action.yaml"]
    found = next((one for one in candidates if one.is_file()), None)
    if found is None:
        raise ValueError(f"{use} does not exist in this commit")
    return found


def _stand_in(use: str, where: Path) -> tuple[str, Path]:
    """Return the key that act wants and the folder of ours, or say what is missing."""
    pinned = PINNED.fullmatch(use)
    if not pinned:
        raise ValueError(f"{where}: {use!r} is not pinned by a full commit SHA")
    name, folder = pinned["name"], pinned["folder"]
    known = yaml.safe_load((STAND_INS / "inputs.json").read_text())
    if f"{name}{folder}" not in known:
        raise ValueError(f"{where}: {use!r} has no stand-in; add it to {STAND_INS}")
    own = STAND_INS / name
    return f"{name}@{pinned['ref']}", own if own.is_dir() else STAND_INS / "recorder"


def _called(root: Path, path: Path) -> Iterator[Path]:
    """Return the local workflows that a workflow's jobs call."""
    for job in yaml.safe_load(path.read_text())["jobs"].values():
        if str(job.get("uses", "")).startswith("./"):
            yield _local(root, job["uses"])


def _labels(job: dict[str, Any], variables: Mapping[str, str]) -> set[str]:
    """Return the labels of one job; of an expression, everything that it could become."""
    wanted = job.get("runs-on", [])
    texts = [wanted] if isinstance(wanted, str) else list(wanted)
    found: set[str] = set()
    for text in texts:
        if "${{" not in text:
            found.add(text)
            continue
        found |= set(re.findall(r"'([^']+)'", text)) | set(variables.values())
        found |= set(_strings(job.get("strategy", {}).get("matrix", {})))
    return found


def _strings(node: Any) -> Iterator[str]:
    """Walk a matrix for its strings."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for item in node.values() if isinstance(node, dict) else node:
            yield from _strings(item)
