"""Answer for pull requests."""

from github_fake.issues import checked_body, find_issue, lagging, render_issue
from github_fake.origin import git, resolve
from github_fake.state import ACTIONS_BOT, Issue, Pull, State
from github_fake.web import Answer, ApiError, Json, Request, invalid, paged, route


def render_pull(state: State, issue: Issue) -> Json:
    """Render a pull request as the API does."""
    pull = issue.pull
    assert pull is not None
    owner = pull.head_repo.split("/")[0]
    base_sha = resolve(state.origin, f"refs/heads/{pull.base_ref}")
    base_owner = state.repository.split("/")[0]
    rendered = render_issue(state, issue)
    del rendered["pull_request"]
    return rendered | {
        "draft": pull.draft,
        "merged": pull.merged,
        "head": {
            "ref": pull.head_ref,
            "sha": state.pull_head(pull),
            "label": "unknown repository" if pull.fork_deleted else f"{owner}:{pull.head_ref}",
            "repo": None if pull.fork_deleted else _render_head_repo(state, pull),
        },
        "base": {
            "ref": pull.base_ref,
            "sha": base_sha,
            "label": f"{base_owner}:{pull.base_ref}",
            "repo": {"full_name": state.repository, "fork": False},
        },
    }


def _render_head_repo(state: State, pull: Pull) -> Json:
    """Render where a pull request comes from."""
    return {"full_name": pull.head_repo, "fork": pull.head_repo != state.repository}


def all_pulls(state: State) -> list[tuple[Issue, Pull]]:
    """Return every pull request, newest first."""
    found = [(issue, issue.pull) for issue in state.issues.values() if issue.pull]
    return sorted(found, key=lambda pair: -pair[0].number)


def list_pulls(state: State, request: Request) -> Answer:
    """List pull requests by state, head (owner:branch) and base."""
    wanted = request.query.get("state", "open")
    head, base = request.query.get("head"), request.query.get("base")
    found = []
    for issue, pull in all_pulls(state):
        label = f"{pull.head_repo.split('/')[0]}:{pull.head_ref}"
        # GitHub ignores a head filter that is not owner:branch; so many scripts find too much.
        by_head = not head or ":" not in head or (head == label and not pull.fork_deleted)
        by_head = by_head and not lagging(request, issue)
        if wanted in ("all", issue.state) and by_head and base in (None, pull.base_ref):
            found.append(render_pull(state, issue))
    return paged(request, found)


def get_pull(state: State, request: Request, number: str) -> Answer:
    """Show one pull request."""
    return Answer(200, render_pull(state, find_pull(state, number)))


def find_pull(state: State, number: str) -> Issue:
    """Return a pull request, or answer 404."""
    issue = find_issue(state, number)
    if issue.pull is None:
        raise ApiError(404, "Not Found")
    return issue


def create_pull(state: State, request: Request) -> Answer:
    """Open a pull request between two branches that exist and differ."""
    if request.token.login == ACTIONS_BOT and not state.actions_may_open_pulls:
        said = "GitHub Actions is not permitted to create or approve pull requests."
        raise ApiError(403, said)
    title, head, base = request.text("title"), request.text("head"), request.text("base")
    branch = head.split(":")[-1]
    sha = resolve(state.origin, f"refs/heads/{branch}")
    target = resolve(state.origin, f"refs/heads/{base}")
    for name, found in (("head", sha), ("base", target)):
        if found is None:
            problem = {"resource": "PullRequest", "field": name, "code": "invalid"}
            raise ApiError(422, "Validation Failed", errors=[problem])
    _refuse_second(state, branch, base)
    if not git(state.origin, "rev-list", "-n", "1", f"{target}..{sha}"):
        raise invalid(f"No commits between {base} and {branch}")
    text = checked_body(request.body.get("body") or "")
    pull = Pull(branch, state.repository, base, str(sha), draft=bool(request.body.get("draft")))
    issue = Issue(state.next_number(), title, text, request.token.login, pull=pull)
    issue.made_by = request.token.value
    state.issues[issue.number] = issue
    return Answer(201, render_pull(state, issue))


def _refuse_second(state: State, branch: str, base: str) -> None:
    """Refuse a second open pull request of the same branches."""
    for issue, pull in all_pulls(state):
        if issue.state == "open" and (pull.head_ref, pull.base_ref) == (branch, base):
            label = f"{state.repository.split('/')[0]}:{branch}"
            raise invalid(f"A pull request already exists for {label}.")


def update_pull(state: State, request: Request, number: str) -> Answer:
    """Change a pull request's title, body or state."""
    issue = find_pull(state, number)
    issue.title = request.body.get("title", issue.title)
    issue.body = checked_body(request.body.get("body") or issue.body)
    if request.body.get("state") == "closed":
        state.close(issue)
    return Answer(200, render_pull(state, issue))


def list_files(state: State, request: Request, number: str) -> Answer:
    """List the files that a pull request changes."""
    pull = find_pull(state, number).pull
    assert pull is not None
    span = f"{pull.base_ref}...{state.pull_head(pull)}"
    names = git(state.origin, "diff", "--name-only", span).splitlines()
    return paged(request, [{"filename": name} for name in names])


def commit_pulls(state: State, request: Request, sha: str) -> Answer:
    """List the pull requests whose head is a commit."""
    heads = [issue for issue, pull in all_pulls(state) if state.pull_head(pull) == sha]
    return paged(request, [render_pull(state, issue) for issue in heads])


ROUTES = [
    route("GET", r"/pulls", list_pulls, "pull-requests"),
    route("POST", r"/pulls", create_pull, "pull-requests"),
    route("GET", r"/pulls/(\d+)", get_pull, "pull-requests"),
    route("PATCH", r"/pulls/(\d+)", update_pull, "pull-requests"),
    route("GET", r"/pulls/(\d+)/files", list_files, "pull-requests"),
    route("GET", r"/commits/([0-9a-f]+)/pulls", commit_pulls, "pull-requests"),
]
