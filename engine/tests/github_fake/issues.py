"""Answer for issues, their comments and labels."""

from github_fake.state import Comment, Issue, State, now
from github_fake.web import Answer, ApiError, Json, Request, invalid, paged, route

BODY_LIMIT = 65_536  # characters; long documented, and what our own reports must stay under


def checked_body(text: str) -> str:
    """Refuse a body that GitHub would refuse."""
    if len(text) > BODY_LIMIT:
        raise invalid(f"body is too long (maximum is {BODY_LIMIT} characters)")
    return text


def find_issue(state: State, number: str) -> Issue:
    """Return an issue or pull request, or answer 404."""
    issue = state.issues.get(int(number))
    if issue is None:
        raise ApiError(404, "Not Found")
    return issue


def user(login: str) -> Json:
    """Render an account."""
    return {"login": login, "type": "Bot" if login.endswith("[bot]") else "User"}


def render_issue(state: State, issue: Issue) -> Json:
    """Render an issue as the API does."""
    kind = "pull" if issue.pull else "issues"
    url = f"{state.server_url}/{state.repository}/{kind}/{issue.number}"
    rendered = {
        "number": issue.number,
        "title": issue.title,
        "body": issue.body,
        "state": issue.state,
        "labels": [{"name": label} for label in issue.labels],
        "user": user(issue.author),
        "html_url": url,
    }
    # The issues list holds pull requests too; this key is how a client tells them apart.
    return rendered | ({"pull_request": {"html_url": url}} if issue.pull else {})


def lagging(request: Request, issue: Issue) -> bool:
    """Tell whether a list does not show yet what the caller has just made, as GitHub's may."""
    return request.token.lags and issue.made_by == request.token.value


def render_comment(state: State, comment: Comment) -> Json:
    """Render a comment as the API does."""
    kind = "pull" if state.issues[comment.issue].pull else "issues"
    page = f"{state.server_url}/{state.repository}/{kind}/{comment.issue}"
    return {
        "id": comment.id,
        "body": comment.body,
        "user": user(comment.author),
        "updated_at": comment.updated_at,
        "html_url": f"{page}#issuecomment-{comment.id}",
    }


def list_issues(state: State, request: Request) -> Answer:
    """List issues by state and labels, newest first."""
    wanted = request.query.get("state", "open")
    labels = {label for label in request.query.get("labels", "").split(",") if label}
    creator = request.query.get("creator")
    found = [
        issue
        for issue in state.issues.values()
        if wanted in ("all", issue.state)
        and not lagging(request, issue)
        and labels <= set(issue.labels)
        and creator in (None, issue.author)
    ]
    found.sort(key=lambda issue: -issue.number)
    return paged(request, [render_issue(state, issue) for issue in found])


def create_issue(state: State, request: Request) -> Answer:
    """Open an issue."""
    body = checked_body(request.body.get("body") or "")
    labels = list(request.body.get("labels", []))
    title, author = request.text("title"), request.token.login
    made_by = request.token.value
    issue = Issue(state.next_number(), title, body, author, labels=labels, made_by=made_by)
    state.issues[issue.number] = issue
    return Answer(201, render_issue(state, issue))


def get_issue(state: State, request: Request, number: str) -> Answer:
    """Show one issue."""
    return Answer(200, render_issue(state, find_issue(state, number)))


def update_issue(state: State, request: Request, number: str) -> Answer:
    """Change an issue's title, body, state or labels."""
    issue = find_issue(state, number)
    body = request.body
    if body.get("state", "open") not in ("open", "closed"):
        raise invalid("state is not included in the list")
    issue.body = checked_body(body.get("body") or issue.body)
    issue.title = body.get("title", issue.title)
    issue.state = body.get("state", issue.state)
    issue.labels = list(body.get("labels", issue.labels))
    return Answer(200, render_issue(state, issue))


def add_labels(state: State, request: Request, number: str) -> Answer:
    """Add labels to an issue."""
    issue = find_issue(state, number)
    added = request.body.get("labels", [])
    issue.labels += [label for label in added if label not in issue.labels]
    return Answer(200, [{"name": label} for label in issue.labels])


def list_comments(state: State, request: Request, number: str) -> Answer:
    """List an issue's comments, oldest first."""
    issue = find_issue(state, number)
    found = [one for one in state.comments.values() if one.issue == issue.number]
    return paged(request, [render_comment(state, comment) for comment in found])


def create_comment(state: State, request: Request, number: str) -> Answer:
    """Add a comment in the name of the caller."""
    issue = find_issue(state, number)
    body = checked_body(request.text("body"))
    comment = Comment(next(state.ids), issue.number, body, request.token.login)
    state.comments[comment.id] = comment
    return Answer(201, render_comment(state, comment))


def find_comment(state: State, number: str) -> Comment:
    """Return a comment, or answer 404."""
    comment = state.comments.get(int(number))
    if comment is None:
        raise ApiError(404, "Not Found")
    return comment


def get_comment(state: State, request: Request, number: str) -> Answer:
    """Show one comment."""
    return Answer(200, render_comment(state, find_comment(state, number)))


def update_comment(state: State, request: Request, number: str) -> Answer:
    """Replace a comment's text; its author stays."""
    comment = find_comment(state, number)
    comment.body = checked_body(request.text("body"))
    comment.updated_at = now()
    return Answer(200, render_comment(state, comment))


def delete_comment(state: State, request: Request, number: str) -> Answer:
    """Remove a comment."""
    del state.comments[find_comment(state, number).id]
    return Answer(204)


SCOPES = ("issues", "pull-requests")
ROUTES = [
    route("GET", r"/issues", list_issues, *SCOPES),
    route("POST", r"/issues", create_issue, "issues"),
    route("GET", r"/issues/(\d+)", get_issue, *SCOPES),
    route("PATCH", r"/issues/(\d+)", update_issue, *SCOPES),
    route("POST", r"/issues/(\d+)/labels", add_labels, *SCOPES),
    route("GET", r"/issues/(\d+)/comments", list_comments, *SCOPES),
    route("POST", r"/issues/(\d+)/comments", create_comment, *SCOPES),
    route("GET", r"/issues/comments/(\d+)", get_comment, *SCOPES),
    route("PATCH", r"/issues/comments/(\d+)", update_comment, *SCOPES),
    route("DELETE", r"/issues/comments/(\d+)", delete_comment, *SCOPES),
]
