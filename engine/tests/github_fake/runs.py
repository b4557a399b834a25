"""Answer for workflows, their dispatches, runs and artifacts."""

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import yaml

from github_fake.origin import git, resolve
from github_fake.state import State, WorkflowRun
from github_fake.web import Answer, ApiError, Json, Request, paged, route


def triggers(text: str) -> dict[str, Any]:
    """Return a workflow's triggers, whichever of the three forms they are written in."""
    document = yaml.safe_load(text)
    found = document.get("on", document.get(True))  # YAML 1.1 reads a bare `on` as true
    if isinstance(found, str):
        return {found: {}}
    if isinstance(found, list):
        return {name: {} for name in found}
    return {name: value or {} for name, value in (found or {}).items()}


def dispatch(state: State, request: Request, name: str) -> Answer:
    """Record a dispatch after the checks that GitHub makes."""
    ref = request.text("ref")
    branch = ref.removeprefix("refs/heads/")
    default = f"refs/heads/{state.default_branch}"
    if not _has(state, default, name):
        raise ApiError(404, "Not Found")
    if resolve(state.origin, f"refs/heads/{branch}") is None:
        raise ApiError(422, f"No ref found for: {ref}")
    text = git(state.origin, "show", f"refs/heads/{branch}:.github/workflows/{name}")
    found = triggers(text)
    if "workflow_dispatch" not in found:
        raise ApiError(422, "Workflow does not have 'workflow_dispatch' trigger")
    inputs = request.body.get("inputs") or {}
    _check_inputs(found["workflow_dispatch"].get("inputs") or {}, inputs)
    state.dispatches.append({"workflow": name, "ref": branch, "inputs": inputs})
    state.happen("dispatch", state.dispatches[-1], request.token.login)
    return Answer(204)


def _has(state: State, revision: str, name: str) -> bool:
    """Tell whether a workflow file exists in a revision."""
    path = f".github/workflows/{name}"
    return bool(git(state.origin, "ls-tree", revision, path))


def _check_inputs(declared: dict[str, Any], given: dict[str, Any]) -> None:
    """Refuse inputs that the workflow does not declare, lacks or does not allow."""
    unexpected = sorted(set(given) - set(declared))
    if unexpected:
        raise ApiError(422, f"Unexpected inputs provided: {unexpected}")
    for name, rules in declared.items():
        if rules.get("required") and "default" not in rules and name not in given:
            raise ApiError(422, f"Required input '{name}' not provided")
        if name in given and not isinstance(given[name], str | bool | int | float):
            raise ApiError(422, f"Input '{name}' is not a scalar")
        if rules.get("type") == "choice" and given.get(name, rules.get("default")) not in (
            None,
            *rules["options"],
        ):
            raise ApiError(422, f"Provided value '{given[name]}' for input '{name}' not in list")


def artifact_id(run: int | str, name: str) -> int:
    """Return the number of an artifact; the stand-in of upload-artifact counts the same way."""
    return int(hashlib.sha256(f"{run}/{name}".encode()).hexdigest()[:8], 16)


def render_run(state: State, run: WorkflowRun) -> Json:
    """Render a run as the API does."""
    page = f"{state.server_url}/{state.repository}/actions/runs/{run.id}"
    return vars(run) | {"html_url": page}


def list_runs(state: State, request: Request, *workflow: str) -> Answer:
    """List runs, newest first, by workflow file, event, commit, branch or status."""
    filters = {"event": "event", "head_sha": "head_sha", "branch": "head_branch"}
    wanted = {filters[key]: value for key, value in request.query.items() if key in filters}
    status = request.query.get("status")
    found = [
        render_run(state, run)
        for run in sorted(state.runs.values(), key=lambda run: -run.id)
        if all(getattr(run, key) == value for key, value in wanted.items())
        and status in (None, run.status, run.conclusion)
        and (not workflow or run.path.endswith(f"/{workflow[0]}"))
    ]
    page = paged(request, found)
    body = {"total_count": len(found), "workflow_runs": page.body}
    return Answer(200, body, page.headers)


def get_run(state: State, request: Request, number: str) -> Answer:
    """Show one run."""
    run = state.runs.get(int(number))
    if run is None:
        raise ApiError(404, "Not Found")
    return Answer(200, render_run(state, run))


def list_artifacts(state: State, request: Request, run: str) -> Answer:
    """List what a run uploaded."""
    folder = state.artifacts / run
    folders = sorted(folder.iterdir()) if folder.is_dir() else []
    name = request.query.get("name")
    found = [_render_artifact(state, request, one) for one in folders if name in (None, one.name)]
    page = paged(request, found)
    return Answer(200, {"total_count": len(found), "artifacts": page.body}, page.headers)


def _render_artifact(state: State, request: Request, folder: Path) -> Json:
    """Render an artifact as the API does."""
    number = artifact_id(folder.parent.name, folder.name)
    planted = state.planted_zips.get(number)
    size = len(planted) if planted is not None else sum(f.stat().st_size for f in _files(folder))
    url = f"{request.base_url}/repos/{state.repository}/actions/artifacts/{number}"
    return {
        "id": number,
        "name": folder.name,
        "size_in_bytes": size,
        "expired": False,
        "archive_download_url": f"{url}/zip",
        "workflow_run": {"id": int(folder.parent.name)},
    }


def _files(folder: Path) -> list[Path]:
    """Return every file below a folder."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def download(state: State, request: Request, number: str) -> Answer:
    """Answer with the zip of an artifact."""
    # GitHub redirects to a signed address; clients that follow redirects see no difference.
    for folder in state.artifacts.glob("*/*"):
        if artifact_id(folder.parent.name, folder.name) == int(number):
            content = state.planted_zips.get(int(number)) or _zipped(folder)
            return Answer(200, content, {"Content-Type": "application/zip"})
    raise ApiError(404, "Not Found")


def _zipped(folder: Path) -> bytes:
    """Return a folder as a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in _files(folder):
            archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


ROUTES = [
    route("POST", r"/actions/workflows/([\w.-]+)/dispatches", dispatch, "actions"),
    route("GET", r"/actions/workflows/([\w.-]+)/runs", list_runs, "actions"),
    route("GET", r"/actions/runs", list_runs, "actions"),
    route("GET", r"/actions/runs/(\d+)", get_run, "actions"),
    route("GET", r"/actions/runs/(\d+)/artifacts", list_artifacts, "actions"),
    route("GET", r"/actions/artifacts/(\d+)/zip", download, "actions"),
]
