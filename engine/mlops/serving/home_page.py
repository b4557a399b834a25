"""The page at GET /: examples, a form built from the schema, and the served model's card."""

import base64
import datetime
import hashlib
import json
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from mlops.columns import LONGEST, Column, Schema
from mlops.inference.loaded_model import Served
from mlops.records import ExampleRecord, PageRecord
from mlops.serving.model_card import model_card, strengths

_HERE = Path(__file__).parent
_NEEDED = ' <span class="needed">required</span>'
_OPTIONAL, _REQUIRED = "Leave empty what is not known.", "All inputs are required."
_DESCRIBED = 3
"""Inputs by which an example is described."""
_LONGEST_TEXT = 30
_CONTROLS: dict[type, str] = {
    str: "text",
    datetime.date: "date",
    datetime.datetime: "datetime-local",
}
_NOTHING: PageRecord = {"examples": [], "error_range": None}
"""What bundles of older engines show."""


class Page:
    """The page for one model.

    Attributes:
        headers: a policy that allows only this page's own script and style, by their hashes.
    """

    def __init__(self, served: Served, schema: Schema, *, examples: bool = True) -> None:
        """Build the page; with `examples` False, it shows no single row."""
        style, script = ((_HERE / f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))
        target, manifest = schema.target, served.manifest
        shown = manifest.get("page", _NOTHING)
        self.html = Template((_HERE / "page.html").read_text("utf-8")).substitute(
            title=escape(f"Predict {target.name.replace('_', ' ')}"),
            description=escape(f"{target.description}{_in(target)}."),
            unit=escape(target.unit),
            range=escape(json.dumps(_range(shown, target))),
            examples=_examples(shown["examples"], schema) if examples else "",
            advice=_REQUIRED if all(map(_needed, schema.inputs)) else _OPTIONAL,
            fields="\n".join(_field(column, manifest["data"]["seen"]) for column in schema.inputs),
            strengths=strengths(manifest, schema),
            card=model_card(manifest),
            style=style,
            script=script,
        )
        self.headers = {
            "content-security-policy": "default-src 'none'; connect-src 'self'; "
            f"img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
            "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        }


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _in(column: Column) -> str:
    return f", in {column.unit}" if column.unit else ""


def _range(shown: PageRecord, target: Column) -> dict[str, Any] | None:
    """Return the range of the errors with the target's bounds, as the script needs them."""
    if (found := shown["error_range"]) is None:
        return None
    return {**found, "least": target.low, "most": target.high}


def _examples(examples: list[ExampleRecord], schema: Schema) -> str:
    if not examples:
        return ""
    items = "\n".join(_example(one, schema) for one in examples)
    return (
        '<section class="examples" aria-labelledby="examples" hidden>'
        '<h2 id="examples">Examples from the test rows, by their prediction</h2>'
        f"<ul>\n{items}\n</ul></section>"
    )


def _example(example: ExampleRecord, schema: Schema) -> str:
    """Return a button with the example's prediction and its first inputs, required ones first."""
    given = example["inputs"]
    known = [c for c in schema.inputs if c.name in given and c.role != "time"]
    first = sorted(known, key=lambda column: column.nullable)[:_DESCRIBED]
    about = ", ".join(f"{c.name.replace('_', ' ')} {_short(given[c.name], c)}" for c in first)
    predicted = example["predicted"]
    if not schema.target.choices:
        predicted = float(f"{predicted:.4g}")  # as the script shows the answer
    title = f"{_short(predicted, schema.target)} {schema.target.unit}".strip()
    content = escape(json.dumps({"inputs": given, "actual": example["actual"]}))
    return (
        f'<li><button type="button" aria-pressed="false" data-example="{content}">'
        f"<strong>{escape(title)}</strong> <span>{escape(about)}</span></button></li>"
    )


def _short(value: Any, column: Column) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:.12g}" if column.unit == "year" else f"{value:,.12g}"
    text = str(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"


def _needed(column: Column) -> bool:
    return not (column.nullable or column.role == "time")


def _field(column: Column, seen: dict[str, list[Any]]) -> str:
    """Return a field's HTML; for an open feature, it suggests texts of the training rows."""
    name = escape(column.name)
    place = f"in-{name}"  # no id of the page's own, which may be a column's name
    needed = _needed(column)
    nothing = f'<option value="">{"choose one" if needed else "not known"}</option>'
    shared = (
        f'id="{place}" name="{name}" aria-describedby="{place}-hint {place}-error"'
        f"{' required' if needed else ''}"
    )
    if column.choices:
        options = "".join(_option(choice) for choice in column.choices)
        control = f"<select {shared}>{nothing}{options}</select>"
        wanted = "one of the list"
    elif column.type is bool:
        words = "".join(map(_option, ("true", "false")))
        control = f"<select {shared}>{nothing}{words}</select>"
        wanted = "true or false"
    elif column.open:
        texts = "".join(map(_option, seen.get(column.name, [])))
        control = (
            f'<input type="text" maxlength="{LONGEST}" list="{place}-seen" {shared}>'
            f'<datalist id="{place}-seen">{texts}</datalist>'
        )
        wanted = "any text"
    elif column.type not in (float, int):
        control = f'<input type="{_CONTROLS[column.type]}" step="any" {shared}>'
        wanted = column.wanted
    else:
        bounds = {"min": column.low, "max": column.high}
        limits = "".join(f' {k}="{v:.12g}"' for k, v in bounds.items() if v is not None)
        step = "1" if column.type is int else "any"
        control = f'<input type="number" step="{step}"{limits} {shared}>'
        wanted = column.wanted.replace(",", "") if column.unit == "year" else column.wanted
    label = f'<label for="{place}">{escape(column.description)}{_NEEDED if needed else ""}</label>'
    unit = column.unit if column.unit not in ("grade", "year") else ""
    text = f"{wanted} {unit}".strip() + ("; empty: now" if column.role == "time" else "")
    told = f'<span class="hint" id="{place}-hint">{escape(text)}</span>'
    return f'<div>{label}{control}{told}<span class="error" id="{place}-error"></span></div>'


def _option(text: str) -> str:
    """Return a choice; its value is an attribute, since a browser trims the spaces of a content."""
    return f'<option value="{escape(text)}">{escape(text)}</option>'
