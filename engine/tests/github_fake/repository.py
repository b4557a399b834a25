"""Answer for the repository itself: refs, contents, checks, statuses, releases."""

import base64

from github_fake.administration import facts
from github_fake.origin import git, git_bytes, resolve, write_file
from github_fake.state import State
from github_fake.web import Answer, ApiError, Json, Request, invalid, paged, route


def get_repository(state: State, request: Request) -> Answer:
    """Show the repository."""
    owner, name = state.repository.split("/")
    return Answer(
        200,
        {
            "name": name,
            "full_name": state.repository,
            "owner": {"login": owner},
            "default_branch": state.default_branch,
            "html_url": f"{state.server_url}/{state.repository}",
            **facts(state, request),
        },
    )


def _commit(state: State, revision: str) -> str:
    """Return the commit of a revision, or answer 404."""
    found = resolve(state.origin, revision)
    if found is None:
        raise ApiError(404, "Not Found")
    return found


def _render_ref(ref: str, sha: str) -> Json:
    """Render a git reference as the API does."""
    return {"ref": ref, "object": {"type": "commit", "sha": sha}}


def get_ref(state: State, request: Request, name: str) -> Answer:
    """Show a reference."""
    return Answer(200, _render_ref(f"refs/{name}", _commit(state, f"refs/{name}")))


def create_ref(state: State, request: Request) -> Answer:
    """Make a reference to a commit that exists."""
    ref, sha = request.text("ref"), request.text("sha")
    if resolve(state.origin, ref):
        raise ApiError(422, "Reference already exists")
    if not ref.startswith("refs/") or resolve(state.origin, sha) is None:
        raise ApiError(422, "Object does not exist")
    git(state.origin, "update-ref", ref, sha)
    return Answer(201, _render_ref(ref, sha))


def update_ref(state: State, request: Request, name: str) -> Answer:
    """Move a reference, forward only unless forced."""
    old, sha = _commit(state, f"refs/{name}"), request.text("sha")
    forward = git(state.origin, "rev-list", "-n", "1", old, f"^{_commit(state, sha)}") == ""
    if not forward and not request.body.get("force"):
        raise ApiError(422, "Update is not a fast forward")
    git(state.origin, "update-ref", f"refs/{name}", sha, old)
    return Answer(200, _render_ref(f"refs/{name}", sha))


def delete_ref(state: State, request: Request, name: str) -> Answer:
    """Remove a reference."""
    git(state.origin, "update-ref", "-d", f"refs/{name}", _commit(state, f"refs/{name}"))
    return Answer(204)


def get_branch(state: State, request: Request, name: str) -> Answer:
    """Show a branch."""
    sha = _commit(state, f"refs/heads/{name}")
    return Answer(200, {"name": name, "commit": {"sha": sha}, "protected": False})


def get_commit(state: State, request: Request, revision: str) -> Answer:
    """Show a commit; stand-ins of people have their login as their name."""
    sha = _commit(state, revision)
    parents, author = git(state.origin, "log", "-1", "--format=%P%n%an", sha).split("\n")
    shown = {"sha": sha, "parents": [{"sha": parent} for parent in parents.split()]}
    return Answer(200, shown | {"author": {"login": author}})


def get_contents(state: State, request: Request, path: str) -> Answer:
    """Show one file of a revision."""
    commit = _commit(state, request.query.get("ref") or state.default_branch)
    listed = git(state.origin, "ls-tree", commit, path)
    if not listed:
        raise ApiError(404, "Not Found")
    blob = listed.split()[2]
    content = git_bytes(state.origin, "cat-file", "blob", blob)
    text = base64.encodebytes(content).decode()
    return Answer(200, {"path": path, "sha": blob, "encoding": "base64", "content": text})


def put_contents(state: State, request: Request, path: str) -> Answer:
    """Commit one file to a branch, given the blob that it replaces."""
    branch = request.body.get("branch") or state.default_branch
    commit = _commit(state, f"refs/heads/{branch}")
    listed = git(state.origin, "ls-tree", commit, path)
    known = listed.split()[2] if listed else None
    if known != request.body.get("sha"):
        raise ApiError(409, f"{path} does not match {request.body.get('sha')}")
    content = base64.b64decode(request.text("content"))
    author = request.token.login
    sha = write_file(state.origin, branch, path, content, request.text("message"), author)
    return Answer(200 if known else 201, {"commit": {"sha": sha}})


def create_check(state: State, request: Request) -> Answer:
    """Record a check run for a commit that exists."""
    name, sha = request.text("name"), request.text("head_sha")
    if resolve(state.origin, sha) is None:
        raise invalid(f"No commit found for SHA: {sha}")
    number = next(state.ids)
    url = f"{state.server_url}/{state.repository}/runs/{number}"
    check = request.body | {"id": number, "name": name, "html_url": url}
    state.check_runs.append(check)
    return Answer(201, check)


def list_checks(state: State, request: Request, revision: str) -> Answer:
    """List the check runs of a commit."""
    sha = _commit(state, revision)
    found = [check for check in state.check_runs if check["head_sha"] == sha]
    return Answer(200, {"total_count": len(found), "check_runs": paged(request, found).body})


def create_status(state: State, request: Request, sha: str) -> Answer:
    """Record a commit status."""
    if request.body.get("state") not in ("error", "failure", "pending", "success"):
        raise invalid("state is not included in the list")
    state.statuses.append(request.body | {"sha": _commit(state, sha)})
    return Answer(201, state.statuses[-1])


def create_release(state: State, request: Request) -> Answer:
    """Record a release, and make its tag if there is none yet."""
    tag, ref = request.text("tag_name"), f"refs/tags/{request.text('tag_name')}"
    if any(release["tag_name"] == tag for release in state.releases):
        fault = {"resource": "Release", "code": "already_exists", "field": "tag_name"}
        raise ApiError(422, "Validation Failed", errors=[fault])
    if resolve(state.origin, ref) is None:
        git(state.origin, "update-ref", ref, _commit(state, request.text("target_commitish")))
    release = request.body | {"id": next(state.ids)}
    release["html_url"] = f"{state.server_url}/{state.repository}/releases/tag/{tag}"
    state.releases.insert(0, release)
    return Answer(201, release)


def list_releases(state: State, request: Request) -> Answer:
    """List releases, newest first."""
    return paged(request, state.releases)


ROUTES = [
    route("GET", r"", get_repository),
    route("GET", r"/git/ref/(.+)", get_ref, "contents"),
    route("POST", r"/git/refs", create_ref, "contents"),
    route("PATCH", r"/git/refs/(.+)", update_ref, "contents"),
    route("DELETE", r"/git/refs/(.+)", delete_ref, "contents"),
    route("GET", r"/branches/(.+)", get_branch, "contents"),
    route("GET", r"/contents/(.+)", get_contents, "contents"),
    route("PUT", r"/contents/(.+)", put_contents, "contents"),
    route("POST", r"/check-runs", create_check, "checks"),
    route("GET", r"/commits/([^/]+)/check-runs", list_checks, "checks"),
    route("POST", r"/statuses/([0-9a-f]{40})", create_status, "statuses"),
    route("GET", r"/commits/([^/]+)", get_commit, "contents"),
    route("GET", r"/releases", list_releases, "contents"),
    route("POST", r"/releases", create_release, "contents"),
]
