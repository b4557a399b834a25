"""The door of the API: what is public, what wants the key, and no way round it by spelling."""

import itertools
import json
import socket
from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI, WebSocket, WebSocketDisconnect

from mlops.errors import UserError
from mlops.gateway.access import PUBLIC
from mlops.serving.settings import read_settings
from served import KEY, ROW, running
from test_api import start

SEEN_KEY = {"X-API-Key": KEY}
QUERY = "?size=1500&rooms=6"
CONTROL = ["%0A", "%0D", "%0D%0A", "%00", "%09", "%1B", "%7F", "%C2%85", "%E2%80%A8", "%0a%0a"]
SPELLINGS = [
    *(f"/predict{code}" for code in CONTROL),
    *(f"{code}/predict" for code in CONTROL),
    "//predict", "/./predict", "/x/../predict", "/predict/", "/predict//", "/predict/.",
    "/predict;x", "/predict%3Bx", "/%2Fpredict", "%2Fpredict", "/predict%2F", "/predict%3F",
    "/PREDICT", "/Predict", "/predict%20", "/%20predict", "/predict\\", "/%5Cpredict",
    "/%2570redict", "/pr%65dict%0A", "/feedback%0A", "/health/live/../../predict",
    "/health/live%0A", "/model/predict", "/docs/../predict", "/docs/%2e%2e/predict",
    "/docs/swagger-ui.css/../../predict", "/metrics;/predict", "/openapi.json%0A",
]  # fmt: skip
NAMED = ["/predict", "/%70redict", "/pr%65dict", "/%70%72%65%64%69%63%74"]


def ask(port: int, line: str, head: str = "", body: str = "") -> tuple[int, str, str]:
    """Send a request line as it stands; give status, head and body of the answer."""
    request = f"{line} HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n{head}\r\n{body}"
    found = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request.encode("latin-1"))
        while part := connection.recv(65_536):
            found += part
    top, _, content = found.decode("latin-1").partition("\r\n\r\n")
    return int(top[9:12]), top.lower(), content


def test_no_spelling_of_a_path_goes_past_the_key(bundle: Path) -> None:
    with running(bundle, SERVE_API_KEY=KEY, SERVE_ACCESS_LOG="0") as server:
        targets = [*SPELLINGS, *NAMED, *(f"http://x{path}" for path in [*SPELLINGS, *NAMED])]
        for method, target in itertools.product(("GET", "POST", "HEAD"), targets):
            status, _, content = ask(server.port, f"{method} {target}{QUERY}")
            assert status in (400, 401, 404), (method, target, status)
            assert "predict" not in content.replace("/predict", ""), (method, target)
        for target in NAMED:
            assert ask(server.port, f"GET {target}{QUERY}")[0] == 401
            assert ask(server.port, f"GET {target}{QUERY}", f"x-api-key: {KEY}\r\n")[0] == 200
        for target in SPELLINGS:  # nor is any of them a route for those who have the key
            status = ask(server.port, f"GET {target}{QUERY}", f"x-api-key: {KEY}\r\n")[0]
            assert status in (400, 404), target
        for method in ("OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"):
            assert ask(server.port, f"{method} /predict{QUERY}")[0] == 401
        text = ask(server.port, "GET /metrics")[2]
    assert 'method="GET",route="/predict",status="200"} 4.0' in text
    assert {line.split('route="')[1].split('"')[0] for line in text.splitlines() if "route=" in line
            } <= {"/predict", "/metrics", "/health/ready", "unmatched"}  # fmt: skip


def more(app: FastAPI) -> None:
    nested = APIRouter(prefix="/mine")

    @app.get("/plus")
    @app.post("/model")
    @nested.get("/predict")
    async def answer() -> str:
        return "open"

    @app.get("/thing/{name}")
    async def thing(name: str) -> str:
        return name

    @app.websocket("/socket")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("open")

    @app.get("/{path:path}")
    async def rest(path: str) -> str:
        return "open"

    app.include_router(nested)


def test_all_that_is_not_named_as_public_wants_the_key(bundle: Path) -> None:
    with start(bundle, api_key=KEY, extend=more) as client:
        for path in PUBLIC:
            assert client.get(path).status_code == 200, path
            assert client.head(path).status_code == 200, path
        own = ("/predict", "/feedback", "/plus", "/thing/x", "/mine/predict", "/redoc")
        for path in (*own, "/nothing", "/health", "/docs/", "/docs/x", "/docs/oauth2-redirect"):
            assert client.get(path).status_code == 401, path
        assert client.post("/model").status_code == 401
        assert client.options("/model").status_code == 401
        assert client.get("/plus", headers=SEEN_KEY).json() == "open"
        assert client.get("/predict", params=ROW, headers=SEEN_KEY).status_code == 200
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/socket"):
            pass
        with client.websocket_connect("/socket", headers=SEEN_KEY) as socket:
            assert socket.receive_text() == "open"


def test_requests_are_counted_by_the_route_that_answered(bundle: Path) -> None:
    with start(bundle, extend=more) as client:
        for path in ("/thing/a", "/thing/b", "/mine/predict", "/predict%0A", "/predict"):
            client.get(path)
        text = client.get("/metrics").text
    counted = [line for line in text.splitlines() if line.startswith("http_requests_total{")]
    assert 'http_requests_total{method="GET",route="/thing/{name}",status="200"} 2.0' in counted
    assert 'http_requests_total{method="GET",route="/predict",status="422"} 1.0' in counted
    assert not any('"/predict",status="200"' in line for line in counted)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/predict/", "/predict"),
        ("//predict", "/predict"),
        ("/Predict", "/predict"),
        ("/health/live/", "/health/live"),
        ("/docs/", "/docs"),
        ("/feedback//", "/feedback"),
    ],
)
def test_a_path_that_is_nearly_one_is_not_found_with_a_hint_and_never_redirected(
    bundle: Path, path: str, wanted: str
) -> None:
    with start(bundle) as client:
        for method in ("GET", "POST", "HEAD"):
            answer = client.request(method, f"http://evil.example{path}", follow_redirects=False)
            assert answer.status_code == 404
            assert "location" not in answer.headers
        answer = client.get(f"http://evil.example{path}", follow_redirects=False)
        assert answer.json()["detail"][0]["msg"] == f"Not Found: wanted {wanted}"
        nothing = client.get("/elsewhere").json()["detail"][0]["msg"]
    assert nothing == "Not Found"


def test_an_application_that_a_project_mounts_redirects_to_no_host_of_the_clients(
    bundle: Path,
) -> None:
    inner = FastAPI()

    @inner.get("/{path:path}there")
    async def there(path: str) -> str:
        return "there"

    with start(bundle, extend=lambda app: app.mount("/", inner)) as client:
        for path in ("/there/", "/sub/there/", "//other.example/there/", "/there/?next=//x"):
            answer = client.get(f"http://evil.example{path}", follow_redirects=False)
            place = answer.headers["location"]
            assert place.startswith("/"), place
            assert not place.startswith(("//", "/\\")), place


def test_head_answers_wherever_get_does_with_the_same_headers(bundle: Path) -> None:
    with running(bundle) as server:
        for path in [*sorted(PUBLIC), f"/predict{QUERY}", "/predict", "/nothing"]:
            got, _, content = ask(server.port, f"GET {path}")
            status, same, nothing = ask(server.port, f"HEAD {path}")
            assert (status, nothing) == (got, ""), path
            if path.startswith("/predict"):
                assert "content-length" in same
                assert ("predicted_price" in content) == (status == 200)
        allowed = ask(server.port, "DELETE /predict")
    assert allowed[0] == 405
    assert "allow: get, head, post\r\n" in allowed[1]


@pytest.mark.parametrize("prefix", ["/prices", "/a/b-c", "/health", "/predict"])
def test_under_a_prefix_every_path_works_whether_or_not_the_proxy_takes_it_away(
    bundle: Path, prefix: str
) -> None:
    with start(bundle, root_path=prefix, api_key=KEY) as client:
        for below in ("", prefix):
            if below or prefix == "/prices":
                assert client.get(f"{below}/health/live").status_code == 200
                assert client.get(f"{below}/docs").status_code == 200
                assert client.get(f"{below}/predict", params=ROW).status_code == 401
                found = client.get(f"{below}/predict", params=ROW, headers=SEEN_KEY)
                assert "predicted_price" in found.json()
                document = client.get(f"{below}/openapi.json").json()
                assert document["servers"] == [{"url": prefix}]
        hint = client.get(f"{prefix}/predict/", headers=SEEN_KEY).json()["detail"][0]["msg"]
        bare = client.get(f"{prefix}", headers=SEEN_KEY, follow_redirects=False)
    assert hint == f"Not Found: wanted {prefix}/predict"
    if prefix == "/prices":
        assert bare.status_code == 404
        assert bare.json()["detail"][0]["msg"] == "Not Found: wanted /prices/"


def test_pages_of_another_origin_may_ask_only_where_that_is_set(bundle: Path) -> None:
    ours, other = "https://ours.example", "https://other.example"
    wanted = {"access-control-request-method": "POST"}
    wanted["access-control-request-headers"] = "x-api-key, content-type"
    with start(bundle, api_key=KEY) as client:
        answer = client.options("/predict", headers={"origin": ours, **wanted})
        assert "access-control-allow-origin" not in answer.headers
        seen = client.get("/model", headers={"origin": ours})
        assert "access-control-allow-origin" not in seen.headers
    with start(bundle, api_key=KEY, cors_origins=f"{ours}, https://b.example:8443") as client:
        answer = client.options("/predict", headers={"origin": ours, **wanted})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == ours
        assert "x-api-key" in answer.headers["access-control-allow-headers"].lower()
        refused = client.get("/predict", params=ROW, headers={"origin": ours})
        assert refused.status_code == 401  # and a script may read why
        assert refused.headers["access-control-allow-origin"] == ours
        answer = client.options("/predict", headers={"origin": other, **wanted})
        assert "access-control-allow-origin" not in answer.headers


def test_a_line_of_the_access_log_names_request_and_logger_but_no_value(
    bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with start(bundle, access_log=True) as client:
        client.get("/predict", params=ROW, headers={"x-request-id": "mine"})
        client.get("/nowhere", headers={"x-request-id": "none"})
    lines = [json.loads(line) for line in "".join(capfd.readouterr()).splitlines() if line]
    told = [one for one in lines if one["logger"] == "mlops.serving.access"]
    assert all(one.pop("time") > 0 and one.pop("ms") > 0 for one in told)
    shared = {"level": "info", "logger": "mlops.serving.access", "message": "request"}
    assert told == [
        {**shared, "request_id": "mine", "method": "GET", "path": "/predict", "status": 200},
        {**shared, "request_id": "none", "method": "GET", "path": "/nowhere", "status": 404},
    ]


def test_preflights_are_counted_and_logged_and_other_options_are_so_once(
    bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    origin = {"origin": "https://ours.example"}
    preflight = {**origin, "access-control-request-method": "POST"}
    settings = {"cors_origins": "https://ours.example", "access_log": True}
    with start(bundle, **settings) as client:
        for path in ("/predict", "/nowhere"):
            assert client.options(path, headers=preflight).status_code == 200
        refused = {**preflight, "origin": "https://other.example"}
        assert client.options("/predict", headers=refused).status_code == 400
        client.options("/predict", headers=origin)  # none
        text = client.get("/metrics").text
    lines = [json.loads(line) for line in "".join(capfd.readouterr()).splitlines() if line]
    told = [(one["path"], one["status"]) for one in lines if one.get("method") == "OPTIONS"]
    assert told == [("/predict", 200), ("/nowhere", 200), ("/predict", 400), ("/predict", 405)]
    for route, status, times in (
        ("preflight", 200, 2),
        ("preflight", 400, 1),
        ("/predict", 405, 1),
    ):
        line = f'http_requests_total{{method="OPTIONS",route="{route}",status="{status}"}}'
        assert f"{line} {times}.0" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ROOT_PATH", "prices"),
        ("ROOT_PATH", "/prices/"),
        ("ROOT_PATH", "/"),
        ("ROOT_PATH", "/a b"),
        ("ROOT_PATH", "/a\n"),
        ("CORS_ORIGINS", "ours.example"),
        ("CORS_ORIGINS", "https://ours.example/"),
        ("CORS_ORIGINS", "https://a.example,ftp://b.example"),
        ("KEEP_ALIVE_SECONDS", "0"),
    ],
)
def test_a_setting_of_the_door_that_makes_no_sense_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"SERVE_{name}", value)
    with pytest.raises(UserError, match=f"SERVE_{name}"):
        read_settings()


def test_an_idle_connection_is_kept_longer_than_proxies_keep_theirs() -> None:
    assert read_settings().keep_alive_seconds > 60


def test_a_connection_is_kept_as_long_as_set_and_no_longer(bundle: Path) -> None:
    with (
        running(bundle, SERVE_KEEP_ALIVE_SECONDS="1") as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection,
    ):
        connection.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b" 200 " in connection.recv(4096)
        while connection.recv(4096):
            pass  # or the timeout of the socket


BODY = json.dumps({"rows": [ROW]}).encode()


def test_a_byte_order_mark_is_taken_off(bundle: Path) -> None:
    with start(bundle) as client:
        wanted = client.post("/predict", content=BODY).json()["predictions"]
        found = client.post("/predict", content=b"\xef\xbb\xbf" + BODY)
        told = client.post("/feedback", content=b"\xef\xbb\xbf" + BODY)
    assert found.json()["predictions"] == wanted
    assert "JSON" not in told.text


@pytest.mark.parametrize(
    ("coded", "told"),
    [
        (BODY.decode().encode("utf-16"), "found UTF-16, wanted UTF-8"),
        (BODY.decode().encode("utf-16-le"), "found UTF-16, wanted UTF-8"),
        (BODY.decode().encode("utf-16-be"), "found UTF-16, wanted UTF-8"),
        (BODY.decode().encode("utf-32"), "found UTF-32, wanted UTF-8"),
        (b"\x1f\x8b\x08\x00\x00\xff", "found gzip, wanted JSON, uncompressed"),
        (BODY.replace(b"}]", b', "neighborhood": "\xe9"}]'), "not UTF-8"),
    ],
)
def test_a_body_in_another_code_is_refused_by_its_name(
    bundle: Path, coded: bytes, told: str
) -> None:
    with start(bundle) as client:
        for path in ("/predict", "/feedback"):
            answer = client.post(path, content=coded)
            assert (answer.status_code, answer.json()["detail"][0]["msg"]) == (422, told)


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "deflate", "br", "zstd", "x", "gzip, identity"])
def test_a_compressed_body_is_refused_by_415(bundle: Path, coding: str) -> None:
    with start(bundle) as client:
        for path in ("/predict", "/feedback"):
            answer = client.post(path, content=BODY, headers={"content-encoding": coding})
            assert answer.status_code == 415
            assert "uncompressed" in answer.json()["detail"][0]["msg"]
            assert answer.headers["accept-encoding"] == "identity"
        plain = client.post("/predict", content=BODY, headers={"content-encoding": "identity"})
        assert plain.status_code == 200


def test_the_documentation_loads_nothing_from_elsewhere(bundle: Path) -> None:
    with start(bundle) as client:
        page = client.get("/docs")
        for name in ("swagger-ui-bundle.js", "swagger-ui.css"):
            assert f'"docs/{name}"' in page.text
            assert len(client.get(f"/docs/{name}").content) > 100_000
    policy = page.headers["content-security-policy"]
    assert "http" not in page.text
    assert "http" not in policy
    assert "script-src 'self' 'sha256-" in policy
    assert "unsafe" not in policy.partition("style-src")[0]
