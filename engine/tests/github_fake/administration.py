"""Answer for a repository's settings: Actions, rulesets, environments, variables, secret scanning.

Shapes and statuses are those of GitHub's REST reference (API version 2022-11-28) and, for what a
plan lacks, of answers that people have published.
"""

from typing import Any

from github_fake.state import State
from github_fake.web import Answer, ApiError, Json, Request, invalid, paged, route

NO_RULES = "Upgrade to GitHub Pro or make this repository public to enable this feature."
NO_GATE = "Fail to create protected rule, please ensure billing plan include protected branch gate."
NO_SCANNING = "Secret scanning is not available for this repository."


def facts(state: State, request: Request) -> Json:
    """Return what a repository shows of itself, to its administrators more than to others."""
    own, admin = state.administration, request.token.may("administration", "write")
    shown: Json = {"private": own.private, "permissions": {"admin": admin, "pull": True}}
    if admin and (own.scanning or not own.private):
        features = ("secret_scanning", "secret_scanning_push_protection")
        shown["security_and_analysis"] = {
            name: {"status": "enabled" if name in own.scanning else "disabled"} for name in features
        }
    return shown


def update_repository(state: State, request: Request) -> Answer:
    """Switch secret scanning on or off."""
    own = state.administration
    if own.private:
        raise ApiError(422, NO_SCANNING)
    for name, wanted in request.body.get("security_and_analysis", {}).items():
        (own.scanning.add if wanted["status"] == "enabled" else own.scanning.discard)(name)
    return Answer(200, facts(state, request))


def get_actions(state: State, request: Request) -> Answer:
    """Show whether Actions may run."""
    return Answer(200, state.administration.actions)


def put_actions(state: State, request: Request) -> Answer:
    """Change whether Actions may run."""
    if not isinstance(request.body.get("enabled"), bool):
        raise invalid("enabled must be a boolean")
    return _change(state, state.administration.actions, request.body)


def get_token(state: State, request: Request) -> Answer:
    """Show what a workflow's token may do."""
    return Answer(200, state.administration.token)


def put_token(state: State, request: Request) -> Answer:
    """Change what a workflow's token may do."""
    return _change(state, state.administration.token, request.body)


def _change(state: State, own: Json, wanted: Json) -> Answer:
    """Change settings, unless the owning organization forbids one of them."""
    if state.administration.organization_forbids & set(wanted):
        raise ApiError(409, "Conflict")
    own |= wanted
    return Answer(204)


def _may_have_rules(state: State) -> None:
    if state.administration.private:
        raise ApiError(403, NO_RULES)


def list_rulesets(state: State, request: Request) -> Answer:
    """List rulesets, without their rules."""
    _may_have_rules(state)
    short = ("id", "name", "target", "enforcement", "source_type", "source")
    found = state.administration.rulesets.values()
    return paged(request, [{key: one[key] for key in short} for one in found])


def get_ruleset(state: State, request: Request, number: str) -> Answer:
    """Show one ruleset."""
    return Answer(200, _ruleset(state, number))


def _ruleset(state: State, number: str) -> Json:
    if int(number) not in state.administration.rulesets:
        raise ApiError(404, "Not Found")
    return state.administration.rulesets[int(number)]


def create_ruleset(state: State, request: Request) -> Answer:
    """Make a ruleset; names are unique."""
    _may_have_rules(state)
    body, known = request.body, state.administration.rulesets
    if body.get("enforcement") not in ("disabled", "active", "evaluate"):
        raise invalid("enforcement is not included in the list")
    if any(one["name"] == request.text("name") for one in known.values()):
        raise invalid("Name must be unique")
    number = next(state.ids)
    source = {"source_type": "Repository", "source": state.repository}
    known[number] = {"target": "branch", "rules": [], **body, **source, "id": number}
    return Answer(201, known[number])


def update_ruleset(state: State, request: Request, number: str) -> Answer:
    """Replace the named parts of a ruleset."""
    found = _ruleset(state, number)
    found |= request.body
    return Answer(200, found)


def branch_rules(state: State, request: Request, branch: str) -> Answer:
    """List every active rule of a branch, each with the ruleset that it comes from."""
    _may_have_rules(state)
    names = {branch, "~ALL"} | ({"~DEFAULT_BRANCH"} if branch == state.default_branch else set())
    found = []
    for one in state.administration.rulesets.values():
        included = names & set(one["conditions"]["ref_name"]["include"])
        if one["enforcement"] == "active" and included:
            found += [rule | {"ruleset_id": one["id"]} for rule in one["rules"]]
    return paged(request, found)


def list_environments(state: State, request: Request) -> Answer:
    """List environments with their rules."""
    found = list(state.administration.environments.values())
    return Answer(200, {"total_count": len(found), "environments": paged(request, found).body})


def put_environment(state: State, request: Request, name: str) -> Answer:
    """Make or replace an environment: rules that are not sent are gone."""
    body, own = request.body, state.administration
    policy = body.get("deployment_branch_policy")
    if policy and policy["protected_branches"] == policy["custom_branch_policies"]:
        raise invalid("protected_branches and custom_branch_policies must not be the same")
    if own.private and policy:
        raise ApiError(422, NO_GATE)
    rules: list[Json] = []
    if body.get("wait_timer"):
        rules.append({"type": "wait_timer", "wait_timer": body["wait_timer"]})
    if body.get("reviewers"):
        people = [{"type": p["type"], "reviewer": {"id": p["id"]}} for p in body["reviewers"]]
        self_review = {"prevent_self_review": body.get("prevent_self_review", False)}
        rules.append({"type": "required_reviewers", "reviewers": people} | self_review)
    if policy:
        rules.append({"type": "branch_policy"})
    fresh = {"name": name, "protection_rules": rules, "deployment_branch_policy": policy}
    own.environments[name] = fresh
    if policy is None or policy["protected_branches"]:
        own.branch_policies.pop(name, None)
    return Answer(200, fresh)


def _policies(state: State, name: str) -> list[str]:
    policy = state.administration.environments.get(name, {}).get("deployment_branch_policy")
    if not policy or not policy["custom_branch_policies"]:
        raise ApiError(404, "Not Found")
    return state.administration.branch_policies.setdefault(name, [])


def list_policies(state: State, request: Request, name: str) -> Answer:
    """List the branches that may use an environment."""
    found = [{"id": n, "name": one} for n, one in enumerate(_policies(state, name), start=1)]
    return Answer(200, {"total_count": len(found), "branch_policies": found})


def create_policy(state: State, request: Request, name: str) -> Answer:
    """Let a branch use an environment."""
    branch, known = request.text("name"), _policies(state, name)
    if branch in known:
        return Answer(303)
    known.append(branch)
    return Answer(200, {"id": len(known), "name": branch})


def list_variables(state: State, request: Request) -> Answer:
    """List variables, 10 to a page or at most 30."""
    found: list[Any] = [{"name": n, "value": v} for n, v in state.administration.variables.items()]
    size = min(int(request.query.get("per_page", 10)), 30)
    start = (int(request.query.get("page", 1)) - 1) * size
    return Answer(200, {"total_count": len(found), "variables": found[start : start + size]})


def create_variable(state: State, request: Request) -> Answer:
    """Make a variable that is not there yet."""
    name, known = request.text("name"), state.administration.variables
    if name in known:
        raise ApiError(409, "Already exists - Variable already exists")
    known[name] = request.text("value")
    return Answer(201, {})


def update_variable(state: State, request: Request, name: str) -> Answer:
    """Change a variable."""
    if name not in state.administration.variables:
        raise ApiError(404, "Not Found")
    state.administration.variables[name] = request.text("value")
    return Answer(204)


ADMIN = "administration"
POLICIES = r"/environments/([^/]+)/deployment-branch-policies"
ROUTES = [
    route("PATCH", r"", update_repository, ADMIN),
    route("GET", r"/actions/permissions", get_actions, ADMIN),
    route("PUT", r"/actions/permissions", put_actions, ADMIN),
    route("GET", r"/actions/permissions/workflow", get_token, ADMIN),
    route("PUT", r"/actions/permissions/workflow", put_token, ADMIN),
    route("GET", r"/rulesets", list_rulesets),
    route("POST", r"/rulesets", create_ruleset, ADMIN),
    route("GET", r"/rulesets/(\d+)", get_ruleset),
    route("PUT", r"/rulesets/(\d+)", update_ruleset, ADMIN),
    route("GET", r"/rules/branches/(.+)", branch_rules),
    route("GET", r"/environments", list_environments, "actions"),
    route("PUT", r"/environments/([^/]+)", put_environment, ADMIN),
    route("GET", POLICIES, list_policies, "actions"),
    route("POST", POLICIES, create_policy, ADMIN),
    route("GET", r"/actions/variables", list_variables, "variables"),
    route("POST", r"/actions/variables", create_variable, "variables"),
    route("PATCH", r"/actions/variables/(\w+)", update_variable, "variables"),
]
