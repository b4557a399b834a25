"""The page in a real browser without a screen: filled in, sent, answered; and its errors."""

import contextlib
import dataclasses
import html.parser
import json
import os
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sklearn.pipeline import Pipeline

from browser import BROWSER, Browser, needs_browser
from clones import clone, run
from fitted import SCHEMAS, fit, outcome
from mlops.columns import Column, Schema
from mlops.inference.loaded_model import Served
from mlops.serving.app import create_app
from mlops.serving.home_page import Page
from mlops.serving.prometheus import Metrics
from mlops.serving.service import Service
from mlops.serving.settings import Settings
from paths import ROOT, SOURCES
from project.schema import SCHEMA
from served import make_bundle, running, small_model
from tables import credit

TOLD = "result.textContent"
KEY = "a key of twenty four char"


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
    assert [label["for"] for label in page.all("label")] == [f["id"] for f in fields.values()]
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    described = [field["aria-describedby"].split() for field in fields.values()]
    assert all(set(found) <= set(ids) and len(found) == 2 for found in described)
    assert {n for n, f in fields.items() if "required" in f} == {"size", "rooms"}
    assert (fields["size"]["min"], fields["size"]["max"]) == ("200", "6000")
    assert page.all("html")[0]["lang"] == "en"


def test_where_every_input_is_required_none_may_be_left_empty(bundle: Path) -> None:
    served = Served.read(bundle, SCHEMA)
    required = [dataclasses.replace(column, nullable=False) for column in SCHEMA.columns]
    some, none = Page(served, SCHEMA).html, Page(served, Schema(tuple(required))).html

    assert "<p>Leave empty what is not known.</p>" in some
    assert '<option value="">not known</option>' in some
    assert "<p>All inputs are required.</p>" in none
    assert '<option value="">choose one</option>' in none
    assert "not known" not in none


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


@needs_browser
def test_a_person_fills_the_form_in_and_gets_a_prediction_or_the_faults(
    bundle: Path, tmp_path: Path
) -> None:
    send = "form.noValidate = true; document.querySelector('[type=submit]').click()"
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
        assert browser.run("fields.get('rooms').getAttribute('aria-invalid')") == "true"
        assert browser.run("document.activeElement.name") == "rooms"
        beside = browser.run("document.getElementById('in-rooms-error').textContent")
        assert beside == "Input should be less than or equal to 20"
        described = browser.run("document.activeElement.getAttribute('aria-describedby')").split()
        assert described == ["in-rooms-hint", "in-rooms-error"]
        assert f"Rooms above ground, without bathrooms: {beside}" in browser.run(TOLD)
        browser.fill(rooms="6", size="")
        browser.run(send)
        browser.wait("document.activeElement.name == 'size'")
        assert browser.run("document.getElementById('in-rooms-error').textContent") == ""
        assert not browser.run("fields.get('rooms').hasAttribute('aria-invalid')")

        browser.open(f"{url}predict?size=1500&rooms=6&lot_size=&neighborhood=")
        assert "predicted_price" in browser.run("document.body.textContent")  # without a script


@needs_browser
def test_the_page_asks_for_the_key_where_the_service_wants_one(
    bundle: Path, tmp_path: Path
) -> None:
    send = "document.querySelector('[type=submit]').click()"
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
        browser.run(f"key.value = '{KEY[:-1]}'")
        browser.run(send + "; result.textContent = ''")
        browser.wait("result.textContent.includes('X-API-Key')")
        assert browser.run("document.querySelectorAll('#key').length") == 1
        browser.run(f"key.value = '{KEY}'")
        browser.run(send)
        browser.wait("result.textContent.includes('US dollars')")
        assert KEY not in browser.run("location.href")


@needs_browser
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


HOSTILE = "'\"><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>&amp;"
EXAMPLES: list[Any] = [
    {
        "inputs": {"size": 1500.0, "rooms": 6, "neighborhood": "NAmes", "quality": 7},
        "actual": 123456.0,
        "predicted": 98765.4,
    },
    {"inputs": {"size": 900.0, "rooms": 4}, "actual": 88000.0, "predicted": 90000.0},
]
RANGE = {"share": 0.9, "low": 0.8, "high": 1.25, "relative": True}
SHOWN = {"examples": EXAMPLES, "error_range": RANGE}


@pytest.fixture(scope="module")
def shown(model: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a bundle whose page has examples and a range of errors."""
    folder = tmp_path_factory.mktemp("shown") / "bundle"
    make_bundle(folder, model, page=SHOWN)
    return folder


def page_of(bundle: Path, **asked: Any) -> str:
    return Page(Served.read(bundle, SCHEMA), SCHEMA, **asked).html


def test_the_examples_are_buttons_that_hold_the_inputs(shown: Path) -> None:
    buttons = [b for b in Elements(page_of(shown)).all("button") if "data-example" in b]

    held = [json.loads(button["data-example"]) for button in buttons]
    assert [one["inputs"] for one in held] == [one["inputs"] for one in EXAMPLES]
    assert [one["actual"] for one in held] == [123456.0, 88000.0]
    assert all(button["type"] == "button" for button in buttons)
    assert "<strong>98,770 US dollars</strong> <span>size 1,500, rooms 6, " in page_of(shown)


def test_a_bundle_of_an_older_engine_or_without_examples_has_a_page_without(
    bundle: Path, model: Pipeline, tmp_path: Path
) -> None:
    assert "page" not in Served.read(bundle, SCHEMA).manifest
    make_bundle(tmp_path / "none", model, page={"examples": [], "error_range": None})
    for found in (bundle, tmp_path / "none"):
        assert "data-example=" not in page_of(found)
        assert 'class="examples"' not in page_of(found)
        assert 'data-range="null"' in page_of(found)


def test_where_predictions_want_a_key_nobody_sees_a_row_without_it(shown: Path) -> None:
    def pages(**settings: str) -> tuple[str, str]:
        set_to = Settings(bundle=shown, prediction_log_url="none", **settings)
        service = Service(set_to, SCHEMA, Metrics(SCHEMA))
        with TestClient(create_app(service)) as client:
            return client.get("/").text, client.get("/model").text

    assert "123456" in pages()[0]
    assert "123456" not in pages()[1]
    page, model = pages(api_key=KEY)
    assert "123456" not in page
    assert "123456" not in model
    assert "&quot;low&quot;: 0.8" in page


def metric(value: float | None, low: float | None = None, high: float | None = None) -> Any:
    return {"value": value, "low": low, "high": high}


PLAIN: Any = {
    "model_version": "0",
    "params": {"kind": "ridge"},
    "data": {
        "train": {"rows": 1, "sha256": ""},
        "test": {"rows": 1, "sha256": ""},
        "seen": {},
    },
    "evaluation": {
        "confidence": 0.95, "baseline": {}, "slices": [], "metrics": {"mae": metric(1.0)},
    },
}  # fmt: skip


def with_slices(folder: Path, model: Pipeline, **evaluation: Any) -> Path:
    """Write a bundle whose evaluation is another one."""
    make_bundle(
        folder,
        model,
        params={"kind": "ridge", "log_target": True},
        evaluation={"confidence": 0.95, "baseline": {"mape": 0.4}, **evaluation},
    )
    return folder


def part(name: str, rows: int, **metrics: Any) -> Any:
    return {"column": "rooms", "slice": name, "rows": rows, "metrics": metrics}


def test_the_page_says_what_the_model_is_good_at_and_what_not(
    model: Pipeline, tmp_path: Path
) -> None:
    bundle = with_slices(
        tmp_path / "bundle",
        model,
        metrics={"rmse": metric(9.0, 8.0, 10.0), "mape": metric(0.1, 0.09, 0.11)},
        slices=[
            part(name, rows, rmse=metric(1.0, 1.0, 1.0), mape=mape)
            for name, rows, mape in (
                ("good", 40, metric(0.05, 0.04, 0.06)),
                ("best", 30, metric(0.02, 0.01, 0.03)),
                ("tiny", 29, metric(0.001, 0.0, 0.002)),
                ("like all", 500, metric(0.09, 0.07, 0.11)),
                ("bad", 60, metric(0.2, 0.15, 0.25)),
                ("no end", 60, metric(0.9, 0.5, None)),
                ("undefined", 60, metric(None)),
            )
        ],
    )
    told = page_of(bundle).split('<div class="strengths">')[1].split("</section>")[0]

    assert "A prediction is off by 10.0% of the actual value on average; without a model, " in told
    better, worse = told.split("Worse than that for")
    rooms = "Rooms above ground, without bathrooms"
    assert f"<li>{rooms}: best (2.0%, 30 rows)</li><li>{rooms}: good (5.0%, 40 rows)</li>" in better
    assert f"<li>{rooms}: bad (20.0%, 60 rows)</li>" in worse
    for name in ("tiny", "like all", "no end", "undefined"):
        assert f"{name} (" not in told


def test_of_decisions_more_right_ones_are_better(model: Pipeline, tmp_path: Path) -> None:
    bundle = with_slices(
        tmp_path / "bundle",
        model,
        metrics={"log_loss": metric(0.5), "balanced_accuracy": metric(0.7, 0.6, 0.8)},
        slices=[
            part("low", 60, log_loss=metric(0.9), balanced_accuracy=metric(0.4, 0.3, 0.5)),
            part("high", 60, log_loss=metric(0.1), balanced_accuracy=metric(0.9, 0.8, 0.95)),
        ],
    )
    better, worse = page_of(bundle).split("Worse than that for")
    assert "Of the rows of each class, 70.0% are decided right on average" in better
    assert ": high (90.0%, 60 rows)" in better.split("Better than that for")[1]
    assert ": low (40.0%, 60 rows)" in worse


def test_metrics_without_a_value_or_without_words_are_still_said(
    model: Pipeline, tmp_path: Path
) -> None:
    only = with_slices(
        tmp_path / "only", model, metrics={"mape": metric(None), "mae": metric(4.0)}, slices=[]
    )
    assert "A prediction is off by 4 US dollars on average" in page_of(only)
    none = {"mape": {**metric(None), "reason": "1 of 9 targets is 0"}}
    undefined = with_slices(tmp_path / "none", model, metrics=none, slices=[])
    assert "mape of the test rows is undefined: 1 of 9 targets is 0." in page_of(undefined)
    other = with_slices(tmp_path / "other", model, metrics={"own": metric(7.0)}, slices=[])
    assert "own is 7 (" in page_of(other)
    assert "No slice is clearly better or worse than the others." in page_of(other)


def test_hostile_texts_of_rows_and_slices_are_shown_as_text(
    model: Pipeline, tmp_path: Path
) -> None:
    example = {"inputs": {"neighborhood": HOSTILE, "size": 900}, "actual": 1.0, "predicted": 2.0}
    make_bundle(
        tmp_path / "bundle",
        model,
        page={"examples": [example], "error_range": None},
        evaluation={
            "confidence": 0.95,
            "baseline": {},
            "metrics": {"mae": metric(1.0, 1.0, 1.0)},
            "slices": [part(HOSTILE, 50, mae=metric(2.0, 1.5, 3.0))],
        },
        data=PLAIN["data"] | {"seen": {"neighborhood": [HOSTILE]}},
    )
    html = page_of(tmp_path / "bundle")
    page = Elements(html)

    assert len(page.all("script")) == 1
    assert not page.all("img")
    (button,) = [b for b in page.all("button") if "data-example" in b]
    assert json.loads(button["data-example"])["inputs"]["neighborhood"] == HOSTILE
    if BROWSER is None:
        return
    with (
        running(tmp_path / "bundle") as server,
        contextlib.closing(Browser(tmp_path / "b")) as browser,
    ):
        browser.open(f"http://127.0.0.1:{server.port}/")
        browser.run("form.noValidate = true; examples[0].click()")
        browser.wait(f"{TOLD}.includes('No prediction')")
        assert browser.run("window.hacked") is None


NOTED = """
    window.violations = [];
    addEventListener("securitypolicyviolation", (event) => violations.push(event.blockedURI));
"""
ASKED = "performance.getEntriesByType('resource').map((one) => one.name)"


@needs_browser
def test_an_example_is_picked_by_keys_alone_and_answered_beside_the_form(
    shown: Path, tmp_path: Path
) -> None:
    with (
        running(shown, SERVE_ROOT_PATH="/prices") as server,
        contextlib.closing(Browser(tmp_path / "b")) as browser,
    ):
        browser.look()
        browser.call("Page.enable")
        browser.call("Page.addScriptToEvaluateOnNewDocument", source=NOTED)
        address = f"http://127.0.0.1:{server.port}/prices/"
        browser.open(address)
        browser.press("Tab")
        assert browser.run("document.activeElement === examples[0]")
        browser.press("Enter", "\r")
        browser.wait(f"{TOLD}.includes('Actual value: 123,500 US dollars')")

        query = "/prices/predict?size=1500&rooms=6&neighborhood=NAmes&quality=7"
        wanted = server.ask("GET", query)[1]["predicted_price"]
        answer = browser.run("document.querySelector('#result strong').textContent")
        assert float(answer.split()[0].replace(",", "")) == pytest.approx(wanted, rel=1e-3)
        ends = browser.run("document.querySelector('#result .range').textContent").split()
        found = [float(word.replace(",", "")) for word in (ends[1], ends[3])]
        assert found == pytest.approx([wanted * 0.8, wanted * 1.25], rel=1e-3)
        assert "for 90% of the test rows" in browser.run(TOLD)
        assert browser.run("fields.get('rooms').value") == "6"
        assert browser.run("examples.map((one) => one.ariaPressed).join()") == "true,false"
        beside = "(id) => document.getElementById(id).getBoundingClientRect()"
        assert browser.run(f"({beside})('result').left >= ({beside})('form').right")

        browser.fill(rooms="5")
        browser.run("fields.get('rooms').dispatchEvent(new Event('input', {bubbles: true}))")
        assert browser.run("examples.map((one) => one.ariaPressed).join()") == "false,false"
        browser.run("result.textContent = ''; form.requestSubmit()")
        browser.wait(f"{TOLD}.includes('US dollars')")
        assert "Actual" not in browser.run(TOLD)

        browser.run("examples[1].click()")
        browser.wait(f"{TOLD}.includes('Actual value: 88,000 US dollars')")
        assert browser.run("fields.get('neighborhood').value") == ""
        assert all(name.startswith(address) for name in browser.run(ASKED))
        assert browser.run("violations") == []
        browser.run("document.head.append(document.createElement('style')); "
                    "document.head.lastChild.textContent = 'p { color: red }'")  # fmt: skip
        browser.wait("violations.length > 0")  # one would have been seen


CONTRASTS = """(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const ground = (one) => {
    for (; one; one = one.parentElement) {
      const found = rgba(getComputedStyle(one).backgroundColor);
      if (found[3] === 255) return found;
    }
    return [255, 255, 255, 255];
  };
  const luminance = (color) => color.slice(0, 3).reduce((sum, part, place) => {
    const c = part / 255;
    const linear = c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    return sum + linear * [0.2126, 0.7152, 0.0722][place];
  }, 0);
  const contrast = (one) => {
    const both = [rgba(getComputedStyle(one).color), ground(one)].map(luminance);
    return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
  };
  const said = (one) => [...one.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  return [...document.body.querySelectorAll("*")]
    .filter((one) => said(one) && !["SCRIPT", "OPTION"].includes(one.tagName))
    .map((one) => [contrast(one), one.outerHTML.slice(0, 80)])
    .sort((one, other) => one[0] - other[0])[0];
})()"""


@needs_browser
def test_it_can_be_read_in_light_and_dark_on_a_phone_and_by_a_screen_reader(
    shown: Path, tmp_path: Path
) -> None:
    fault = "form.noValidate = true; fields.get('rooms').value = '99'; form.requestSubmit()"
    with running(shown) as server, contextlib.closing(Browser(tmp_path / "b")) as browser:
        grounds = set()
        for scheme in ("light", "dark"):
            browser.look(360, scheme)
            browser.open(f"http://127.0.0.1:{server.port}/?{scheme}")
            browser.run("for (const one of document.querySelectorAll('details')) one.open = true")
            browser.run(fault)
            browser.wait(f"{TOLD}.includes('No prediction')")
            least, where = browser.run(CONTRASTS)
            assert least >= 4.5, where
            browser.run("examples[0].click()")
            browser.wait(f"{TOLD}.includes('Actual value')")
            least, where = browser.run(CONTRASTS)
            assert least >= 4.5, where
            grounds.add(browser.run("getComputedStyle(document.body).backgroundColor"))
            assert browser.run("document.documentElement.scrollWidth") <= 360
            below = "result.getBoundingClientRect().top >= form.getBoundingClientRect().bottom"
            assert browser.run(below)
        assert len(grounds) == 2
        assert browser.run("[result.getAttribute('role'), result.ariaLive].join()") == (
            "status,polite"
        )
        nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
        controls = {"button", "textbox", "spinbutton", "combobox", "Date", "DateTime", "link"}
        named = [
            (node["role"]["value"], node.get("name", {}).get("value"))
            for node in nodes
            if not node["ignored"] and node["role"]["value"] in controls
        ]
        assert len(named) >= len(SCHEMA.inputs) + len(EXAMPLES) + 3
        assert all(name for _, name in named)


CLASSES = ("stayed", HOSTILE, "grew")
SCHEMA_FILE = f"""
from mlops.columns import Column, Schema

SCHEMA = Schema(
    (
        Column("id", "Number of the customer", str, role="key"),
        Column("plan", "Plan", str, choices=("basic", "plus", "pro"), nullable=True),
        Column("age", "Age", int, "years", 18, 99),
        Column("spent", "Spent", float, "US dollars", 0, 1e6, nullable=True),
        Column("outcome", "What happened", str, choices={CLASSES!r}, role="target"),
    )
)
"""


@needs_browser
def test_a_classification_shows_the_probability_of_each_class_and_no_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = outcome(*CLASSES)
    monkeypatch.setitem(SCHEMAS, "hostile", schema)
    (tmp_path / "project").mkdir()
    (tmp_path / "project/__init__.py").touch()
    (tmp_path / "project/schema.py").write_text(SCHEMA_FILE, encoding="utf-8")
    example = {"inputs": {"plan": "pro", "age": 40}, "actual": HOSTILE, "predicted": "grew"}
    make_bundle(
        tmp_path / "bundle",
        fit("hostile", "hist_gradient_boosting"),
        schema=schema,
        page={"examples": [example], "error_range": None},
    )
    sources = os.pathsep.join((str(tmp_path), str(ROOT / "engine")))
    with (
        running(tmp_path / "bundle", PYTHONPATH=sources) as server,
        contextlib.closing(Browser(tmp_path / "b")) as browser,
    ):
        browser.look(360)
        browser.open(f"http://127.0.0.1:{server.port}/")
        browser.run("examples[0].click()")
        browser.wait(f"{TOLD}.includes('Actual value: ')")
        wanted = server.ask("GET", "/predict?plan=pro&age=40")[1]

        rows = "[...document.querySelectorAll('#result tr')].map((row) => "
        names = browser.run(f"{rows}row.cells[0].textContent)")
        shares = [float(text[:-1]) for text in browser.run(f"{rows}row.cells[1].textContent)")]
        assert dict(zip(names, shares, strict=True)) == pytest.approx(
            {name: 100 * share for name, share in wanted["probabilities"].items()}, abs=0.06
        )
        assert shares == sorted(shares, reverse=True)
        answer = browser.run("document.querySelector('#result strong').textContent")
        assert answer == wanted["predicted_outcome"]
        assert f"Actual value: {HOSTILE}" in browser.run(TOLD)
        assert "Likely" not in browser.run(TOLD)
        assert browser.run("window.hacked") is None
        assert browser.run("document.documentElement.scrollWidth") <= 360


@needs_browser
@pytest.mark.slow
def test_an_adopted_table_of_two_classes_has_examples_and_strengths(
    origin: Path, tmp_path: Path
) -> None:
    repository = clone(origin, tmp_path / "repository")
    credit().to_csv(tmp_path / "credit.csv", index=False)
    adopt = "python -m mlops.adopt ../credit.csv --target Status --yes"
    run(repository, adopt, PYTHONPATH=SOURCES)
    run(repository, "dvc repro --no-run-cache", PYTHONPATH=SOURCES)
    sources = os.pathsep.join((f"{repository}/engine", f"{repository}/src"))
    with (
        running(repository / "artifacts/bundle", PYTHONPATH=sources) as server,
        contextlib.closing(Browser(tmp_path / "b")) as browser,
    ):
        browser.open(f"http://127.0.0.1:{server.port}/")
        assert browser.run("examples.length") == 6
        assert "are decided right on average" in browser.run("document.body.textContent")
        for place in range(6):
            browser.run(f"result.textContent = ''; examples[{place}].click()")
            browser.wait(f"{TOLD}.includes('Actual value: ')")
            decided = browser.run("document.querySelector('#result strong').textContent")
            assert decided == browser.run(f"examples[{place}].firstChild.textContent")


@pytest.mark.parametrize("name", ["result", "form", "key", "answer", "length", "elements"])
def test_a_column_may_have_any_name_also_one_of_the_page_itself(name: str, tmp_path: Path) -> None:
    schema = Schema(
        (
            Column("id", "Id", int, role="key"),
            Column(name, "A number", nullable=True),
            Column("plan", "Plan", str, choices=(" a", "a  b", 'c "d')),
            Column("price", "Price", low=1, role="target"),
        )
    )
    served = Served(PLAIN, None, schema)  # type: ignore[arg-type]
    page = Elements(Page(served, schema).html)

    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    options = [option.get("value") for option in page.all("option")]
    assert options == ["", " a", "a  b", 'c "d']
