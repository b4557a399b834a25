"""What src/project/service.py adds, as FastAPI documents it, holds on /predict as anywhere."""

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException

from mlops import project
from mlops.errors import UserError
from mlops.request_parsing.requests import Unprocessable
from mlops.serving.app import Application
from paths import DEMO, ROOT
from served import ROW, running
from test_api import start

BEARER = {"Authorization": "Bearer open sesame"}


def bearer(given: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> None:
    if given.credentials != "open sesame":
        raise HTTPException(403, "wrong token")


def with_bearer(app: FastAPI) -> None:
    app.router.dependencies.append(Depends(bearer))

    @app.get("/mine")
    async def mine() -> str:
        return "mine"


def with_limit(app: FastAPI) -> None:
    seen: list[float] = []

    @app.middleware("http")
    async def limit(request: Request, call: Callable[[Request], Any]) -> Response:
        seen.append(time.monotonic())
        if len(seen) > 2:
            return JSONResponse({"detail": "slower"}, 429, {"retry-after": "1"})
        found: Response = await call(request)
        found.headers["x-seen"] = str(len(seen))
        return found


def with_handlers(app: FastAPI) -> None:
    @app.exception_handler(Unprocessable)
    def short(request: Request, error: Unprocessable) -> Response:  # not async: FastAPI takes both
        return JSONResponse({"wrong": len(error.problems)}, 400)

    @app.exception_handler(StarletteHTTPException)
    async def other(request: Request, error: StarletteHTTPException) -> Response:
        return JSONResponse({"own": error.status_code}, error.status_code)


def application(client: Any) -> Application:
    found = client.app._app
    assert isinstance(found, Application)
    return found


def each_way(client: Any, **options: Any) -> list[Any]:
    return [
        client.get("/predict", params=ROW, **options),
        client.post("/predict", json={"rows": [ROW]}, **options),
        client.head("/predict", params=ROW, **options),
    ]


def test_a_bearer_token_guards_predictions_feedback_and_own_routes_but_not_what_is_public(
    bundle: Path,
) -> None:
    with start(bundle, extend=with_bearer) as client:
        assert {a.status_code for a in each_way(client)} == {401}
        wrong = {"Authorization": "Bearer x"}
        assert {a.status_code for a in each_way(client, headers=wrong)} == {403}
        assert {a.status_code for a in each_way(client, headers=BEARER)} == {200}
        assert client.post("/feedback", json={}).status_code == 401
        assert client.post("/feedback", json={}, headers=BEARER).status_code == 422
        assert client.get("/mine").status_code == 401
        assert client.get("/mine", headers=BEARER).json() == "mine"
        assert client.get("/health/ready").status_code == 200
        document = client.get("/openapi.json").json()
    assert document["paths"]["/predict"]["post"]["security"] == [{"HTTPBearer": []}]


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_a_bearer_token_guards_predictions_also_below_a_root_path(
    bundle: Path, prefix: str
) -> None:
    v2 = {
        "inputs": [
            {"name": n, "datatype": "FP64", "shape": [1], "data": [v]} for n, v in ROW.items()
        ]
    }
    with start(bundle, extend=with_bearer, root_path="/api") as client:
        for headers, wanted in (({}, 401), ({"Authorization": "Bearer x"}, 403), (BEARER, 200)):
            found = [
                client.get(f"{prefix}/predict", params=ROW, headers=headers),
                client.head(f"{prefix}/predict", params=ROW, headers=headers),
                client.post(f"{prefix}/predict", json={"rows": [ROW]}, headers=headers),
                client.post(f"{prefix}/v2/models/price/infer", json=v2, headers=headers),
            ]
            assert [answer.status_code for answer in found] == [wanted] * 4


def test_answers_are_the_same_with_an_extension_as_without(bundle: Path) -> None:
    given = [{"rows": [ROW, {**ROW, "size": 900}]}, {"rows": [{}]}, {"rows": 1}, {}]
    with start(bundle) as plain, start(bundle, extend=with_bearer) as longer:
        for content in given:
            one = plain.post("/predict", json=content)
            two = longer.post("/predict", json=content, headers=BEARER)
            assert one.status_code == two.status_code
            assert one.json().get("predictions") == two.json().get("predictions")
            assert one.json().get("detail") == two.json().get("detail")
        for path in ("/metrics", "/health/live", "/health/ready", "/v2/health/ready"):
            one, two = plain.get(path), longer.get(path)
            assert one.status_code == two.status_code == 200
            for answer in (one, two):
                del answer.headers["x-request-id"], answer.headers["content-length"]
            assert one.headers == two.headers
            assert path == "/metrics" or one.content == two.content


def test_a_middleware_limits_the_rate_of_predictions(bundle: Path) -> None:
    with start(bundle, extend=with_limit) as client:
        found = each_way(client)
        text = client.get("/metrics")
    assert [a.status_code for a in found] == [200, 200, 429]
    assert [a.headers.get("x-seen") for a in found] == ["1", "2", None]
    assert found[0].headers["x-request-id"]
    assert text.status_code == 429  # middleware is for every path, as FastAPI has it


def test_exception_handlers_answer_what_predictions_raise(bundle: Path) -> None:
    with start(bundle, extend=with_handlers) as client:
        assert client.get("/predict").json() == {"wrong": 2}
        assert client.post("/predict", json={"rows": [{}]}).status_code == 400
        assert client.delete("/predict").json() == {"own": 405}
        assert client.get("/nothing").json() == {"own": 404}
        assert client.get("/predict", params=ROW).status_code == 200


def test_an_own_route_reads_its_body_as_fastapi_documents(bundle: Path) -> None:
    class Given(BaseModel):
        number: int

    async def count(request: Request) -> None:
        request.state.length = len(await request.body())

    def extend(app: FastAPI) -> None:
        app.router.dependencies.append(Depends(count))
        router = APIRouter(prefix="/v1")

        @router.post("/twice")
        async def twice(given: Given, request: Request) -> dict[str, int]:
            return {"twice": given.number * 2, "length": request.state.length}

        @app.head("/only")
        async def only() -> Response:
            return Response(headers={"x-own": "1"})

        app.include_router(router)

    with start(bundle, extend=extend) as client:
        answer = client.post("/v1/twice", json={"number": 4})
        assert answer.json() == {"twice": 8, "length": 12}
        assert client.post("/v1/twice", json={}).status_code == 422
        assert client.head("/only").headers["x-own"] == "1"
        assert {a.status_code for a in each_way(client)} == {200}


def test_routes_of_an_included_router_or_application_are_not_counted_as_the_engines(
    bundle: Path,
) -> None:
    def extend(app: FastAPI) -> None:
        inner, outer, other = APIRouter(), APIRouter(prefix="/{tenant}"), FastAPI()
        for router in (inner, other):
            router.add_api_route("/predict", lambda: "own")
            router.add_api_route("/thing/{name}", lambda name: name)
        app.mount("/mounted", other)
        app.include_router(inner, prefix="/v1")
        outer.include_router(inner)
        app.include_router(outer)

    with start(bundle, extend=extend) as client:
        for place in ("v1", "a", "b", "mounted"):
            assert client.get(f"/{place}/predict").json() == "own"
            assert client.get(f"/{place}/thing/x").json() == "x"
        assert client.get("/mounted/nothing").status_code == 404
        text = client.get("/metrics").text
    counted = {
        line.split('route="')[1].split('"')[0]: float(line.split()[-1])
        for line in text.splitlines()
        if line.startswith("http_requests_total{")
    }
    assert counted.pop("mounted") in (1, 2)  # by status
    assert counted == {
        "/v1/predict": 1,
        "/v1/thing/{name}": 1,
        "/{tenant}/predict": 2,
        "/{tenant}/thing/{name}": 2,
    }


def test_a_route_of_the_project_takes_no_path_of_the_engines(bundle: Path) -> None:
    def extend(app: FastAPI) -> None:
        app.router.dependencies.append(Depends(lambda: None))  # so that FastAPI finds the route

        @app.get("/{path:path}")
        async def rest(path: str) -> str:
            return "rest"

    with start(bundle, extend=extend) as client:
        assert "predicted_price" in client.get("/predict", params=ROW).json()
        assert client.get("/health/live").json() == {"status": "alive"}
        assert client.get("/else/where").json() == "rest"


def test_the_quick_way_is_taken_where_nothing_was_added_and_only_there(bundle: Path) -> None:
    def route(app: FastAPI) -> None:
        @app.get("/mine")
        async def mine() -> str:
            return "mine"

    for extend in (None, route):
        with start(bundle, extend=extend) as client:
            assert {method for method, _ in application(client)._usual} == {"GET", "POST"}
    for extend in (with_bearer, with_limit, with_handlers):
        with start(bundle, extend=extend) as client:
            assert not application(client)._usual


def test_metrics_name_the_same_paths_before_fastapi_is_loaded_as_after(bundle: Path) -> None:
    paths = []
    for extend in (None, lambda app: None):
        with start(bundle, extend=extend) as client:
            paths.append(client.app._names)
    assert paths[0] == paths[1]


def test_a_project_may_answer_head_by_itself(bundle: Path) -> None:
    def head(app: FastAPI) -> None:
        @app.head("/predict")
        async def own() -> Response:
            return Response(headers={"x-own": "1"})

    with start(bundle, extend=head) as client:
        assert client.head("/predict").headers["x-own"] == "1"
        assert client.get("/predict", params=ROW).status_code == 200


def test_a_server_takes_the_projects_extension_by_itself(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(DEMO / "src/project", tmp_path / "project")
    (tmp_path / "project/service.py").write_text(
        "from fastapi import FastAPI\n\n\ndef extend(app: FastAPI) -> None:\n"
        '    @app.get("/mine")\n    async def mine() -> str:\n        return "mine"\n'
    )
    path = f"{ROOT / 'engine'}:{tmp_path}"
    with running(bundle, PYTHONPATH=path) as server:
        assert server.ask("GET", "/mine") == (200, "mine")
        assert server.ask("GET", "/predict?size=1500&rooms=6")[0] == 200


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("", "wanted a function extend"),
        ("extend = 1", "wanted a function extend"),
        ("import no_such_library", "no_such_library"),
    ],
)
def test_an_extension_that_can_not_be_taken_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, told: str
) -> None:
    import project as package

    (tmp_path / "service.py").write_text(code)
    monkeypatch.setattr(package, "__path__", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "project.service", raising=False)
    with pytest.raises(UserError, match=told):
        project.load_extension()
