"""The page at GET /docs: Swagger UI, with all files served from here."""

import base64
import hashlib
import re
from html import escape
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

_FILES = ("swagger-ui-bundle.js", "swagger-ui.css")


def script_hash(script: str) -> str:
    """Return a script's hash for a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def add_docs(app: FastAPI) -> None:
    """Add the page and its files; all addresses are relative, so that it works under any prefix.

    FastAPI's own page loads a script from a third-party host, without a hash.
    """
    made = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=escape(app.title),
        swagger_js_url=f"docs/{_FILES[0]}",
        swagger_css_url=f"docs/{_FILES[1]}",
        swagger_favicon_url="data:,",
        swagger_ui_parameters={"validatorUrl": None},  # else it contacts a third-party host
    )
    html = bytes(made.body).decode()
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    policy = (
        f"default-src 'none'; script-src 'self' {' '.join(map(script_hash, scripts))}; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )

    async def page(request: Request) -> Response:
        return HTMLResponse(html, headers={"content-security-policy": policy})

    app.add_route("/docs", page, include_in_schema=False)
    for name in _FILES:
        _add_file(app, name)


def _add_file(app: FastAPI, name: str) -> None:
    path = Path(str(files("fastapi_swagger") / "resources" / name))

    async def file(request: Request) -> Response:
        return FileResponse(path)

    app.add_route(f"/docs/{name}", file, include_in_schema=False)
