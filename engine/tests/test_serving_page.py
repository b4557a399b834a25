"""The page in a real browser without a screen: filled in, sent, answered; and its errors."""

import contextlib
import html.parser
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from mlops.serving.home_page import Page
from mlops.serving.loaded_model import Served
from project.schema import SCHEMA
from served import make_bundle, running, small_model

KEY = "a key of twenty four char"
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


class Elements(html.parser.HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, Any]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, *tags: str) -> list[dict[str, Any]]:
        return [attributes for tag, attributes in self.found if tag in tags]


def test_every_field_has_a_label_a_hint_and_the_schemas_limits(bundle: Path) -> None:
    page = Elements(Page(Served.read(bundle, SCHEMA), SCHEMA).html)
    fields = {field["name"]: field for field in page.all("input", "select")}

    assert list(fields) == [column.name for column in SCHEMA.features]
    assert {label["for"] for label in page.all("label")} == set(fields)
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert all(field["aria-describedby"] in ids for field in fields.values())
    assert {n for n, f in fields.items() if "required" in f} == {"size", "rooms"}
    assert (fields["size"]["min"], fields["size"]["max"]) == ("200", "6000")
    assert page.all("html")[0]["lang"] == "en"


def test_the_page_loads_nothing_from_elsewhere(bundle: Path) -> None:
    page = Page(Served.read(bundle, SCHEMA), SCHEMA)

    assert "http" not in page.html.replace("http-equiv", "")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]


def test_markup_in_a_manifest_is_shown_as_text(tmp_path: Path) -> None:
    params = {"kind": "<script>alert(1)</script>"}
    make_bundle(tmp_path / "bundle", small_model(), params=params)
    page = Page(Served.read(tmp_path / "bundle", SCHEMA), SCHEMA)

    assert "<script>alert" not in page.html


class Browser:
    """Chromium, told what to do through a pipe: DevTools messages, each with a NUL after it."""

    def __init__(self, folder: Path) -> None:
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        options = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage"
        self._process = subprocess.Popen(
            [
                "bash", "-c", f"exec {BROWSER} {options} --user-data-dir={folder} "
                f"--remote-debugging-pipe 3<&{commands} 4>&{answers}",
            ],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(commands)
        os.close(answers)
        self._buffer, self._number = b"", 0
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        found = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": found["sessionId"]}

    def _call(self, method: str, session: dict[str, str] | None = None, **params: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params, **(session or {})}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        for _ in range(10_000):
            while b"\0" not in self._buffer:
                ready, _, _ = select.select([self._answers], [], [], 20)
                assert ready, f"no answer to {method}"
                self._buffer += os.read(self._answers, 65_536)
            line, self._buffer = self._buffer.split(b"\0", 1)
            answer = json.loads(line)
            if answer.get("id") == self._number:
                return answer["result"]
        raise AssertionError(method)

    def open(self, url: str) -> None:
        self._call("Page.navigate", self._session, url=url)
        self.wait(f"document.readyState == 'complete' && location.href == {json.dumps(url)}")

    def run(self, script: str) -> Any:
        found = self._call("Runtime.evaluate", self._session, expression=script, returnByValue=True)
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        end = time.monotonic() + 15
        while not self.run(condition):
            assert time.monotonic() < end, condition
            time.sleep(0.05)

    def fill(self, **values: str) -> None:
        """Type into the form's fields."""
        for name, value in values.items():
            self.run(f"document.getElementById('{name}').value = '{value}'")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_a_person_fills_the_form_in_and_gets_a_prediction_or_the_faults(
    bundle: Path, tmp_path: Path
) -> None:
    send = "form.noValidate = true; document.querySelector('button').click()"
    with running(bundle) as server, contextlib.closing(Browser(tmp_path / "b")) as browser:
        url = f"http://127.0.0.1:{server.port}/"
        browser.open(url)
        browser.fill(size="1500", rooms="6")
        browser.run(send)
        browser.wait("result.textContent.includes('US dollars')")
        wanted = server.ask("GET", "/predict?size=1500&rooms=6")[1]["predicted_price"]
        shown = browser.run("document.querySelector('#result strong').textContent")
        assert float(shown.split()[0].replace(",", "")) == pytest.approx(wanted, rel=1e-3)

        browser.fill(rooms="99")
        browser.run(send)
        browser.wait("result.textContent.includes('No prediction')")
        assert browser.run("rooms.getAttribute('aria-invalid')") == "true"
        assert browser.run("document.activeElement.id") == "rooms"
        assert "rooms" in browser.run("result.textContent")

        browser.open(f"{url}predict?size=1500&rooms=6&lot_size=&neighborhood=")
        assert "predicted_price" in browser.run("document.body.textContent")  # without a script


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_the_page_asks_for_the_key_where_the_service_wants_one(
    bundle: Path, tmp_path: Path
) -> None:
    send = "document.querySelector('button').click()"
    with (
        running(bundle, SERVE_API_KEY=KEY) as server,
        contextlib.closing(Browser(tmp_path / "b")) as browser,
    ):
        browser.open(f"http://127.0.0.1:{server.port}/")
        browser.fill(size="1500", rooms="6")
        browser.run(send)
        browser.wait("result.textContent.includes('X-API-Key')")
        assert browser.run("document.activeElement.type") == "password"
        assert browser.run("document.activeElement.labels[0].textContent") == "API key"
        browser.fill(key=KEY[:-1])
        browser.run(send + "; result.textContent = ''")
        browser.wait("result.textContent.includes('X-API-Key')")
        assert browser.run("document.querySelectorAll('#key').length") == 1
        browser.fill(key=KEY)
        browser.run(send)
        browser.wait("result.textContent.includes('US dollars')")
        assert KEY not in browser.run("location.href")


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_the_documentation_is_drawn_under_a_prefix_and_asks_no_other_host(
    bundle: Path, tmp_path: Path
) -> None:
    with (
        running(bundle, SERVE_ROOT_PATH="/prices") as server,
        contextlib.closing(Browser(tmp_path / "b")) as browser,
    ):
        address = f"http://127.0.0.1:{server.port}/prices/"
        browser.open(f"{address}docs")
        browser.wait("document.querySelectorAll('.opblock').length >= 8")
        browser.run("document.querySelector('#operations-default-predict_one_predict_get, "
                    ".opblock-get .opblock-summary-control').click()")  # fmt: skip
        asked = "performance.getEntriesByType('resource').map((one) => one.name).join(' ')"
        assert all(one.startswith((address, "data:")) for one in browser.run(asked).split())
        assert browser.run("document.querySelector('.servers option').value") == "/prices"
