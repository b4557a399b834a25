"""The page at GET /: a form built from the schema, and the served model's card."""

import base64
import datetime
import hashlib
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from mlops.columns import LONGEST, Column, Schema
from mlops.records import Manifest, MetricRecord, RowsRecord
from mlops.serving.loaded_model import Served
from mlops.undefined import UNDEFINED, reason_of

_HERE = Path(__file__).parent
_LISTED_SLICES = 60
_CONTROLS: dict[type, str] = {
    str: "text",
    datetime.date: "date",
    datetime.datetime: "datetime-local",
}


class Page:
    """The page for one model.

    Attributes:
        headers: a policy that allows only this page's own script and style, by their hashes.
    """

    def __init__(self, served: Served, schema: Schema) -> None:
        style, script = ((_HERE / f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))
        target = schema.target
        self.html = Template((_HERE / "page.html").read_text("utf-8")).substitute(
            title=escape(f"Predict {target.name}"),
            description=escape(f"{target.description}{_in(target)}."),
            unit=escape(target.unit),
            fields="\n".join(
                _field(column, served.manifest["data"]["seen"]) for column in schema.inputs
            ),
            card=_card(served.manifest),
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


def _field(column: Column, seen: dict[str, list[Any]]) -> str:
    """Return a field's HTML; for an open feature, it suggests texts of the training rows."""
    name, hint = escape(column.name), f"{column.name}-hint"
    optional = column.nullable or column.role == "time"
    needed = "" if optional else " required"
    shared = f'id="{name}" name="{name}" aria-describedby="{hint}"{needed}'
    if column.choices:
        options = "".join(f"<option>{escape(choice)}</option>" for choice in column.choices)
        control = f'<select {shared}><option value="">not known</option>{options}</select>'
        wanted = "one of the list"
    elif column.type is bool:
        words = "".join(f"<option>{word}</option>" for word in ("true", "false"))
        control = f'<select {shared}><option value="">not known</option>{words}</select>'
        wanted = "true or false"
    elif column.open:
        texts = "".join(f"<option>{escape(text)}</option>" for text in seen.get(column.name, []))
        control = (
            f'<input type="text" maxlength="{LONGEST}" list="{name}-seen" {shared}>'
            f'<datalist id="{name}-seen">{texts}</datalist>'
        )
        wanted = "any text"
    elif column.type not in (float, int):
        control = f'<input type="{_CONTROLS[column.type]}" {shared}>'
        wanted = column.wanted
    else:
        bounds = {"min": column.low, "max": column.high}
        limits = "".join(f' {k}="{v:.12g}"' for k, v in bounds.items() if v is not None)
        step = "1" if column.type is int else "any"
        control = f'<input type="number" step="{step}"{limits} {shared}>'
        wanted = column.wanted.replace(",", "") if column.unit == "year" else column.wanted
    left = "; empty: now" if column.role == "time" else "; may be left empty" if optional else ""
    label = f'<label for="{name}">{escape(column.description)}</label>'
    text = f"{wanted}{f' {column.unit}' if column.unit not in ('', 'grade', 'year') else ''}"
    told = f'<span class="hint" id="{hint}">{escape(text + left)}</span>'
    return f"<div>{label}{control}{told}</div>"


def _card(manifest: Manifest) -> str:
    """Return the model's card as HTML: version, data, metrics, slices and limits."""
    evaluation, data = manifest["evaluation"], manifest["data"]
    kind, confidence = manifest["params"]["kind"], evaluation["confidence"]
    parts = [
        f"<p>Version <code>{manifest['model_version']}</code>, {escape(kind)}; "
        f"trained on {_window(data['train'])}, tested on {_window(data['test'])}.</p>",
        _table(
            f"On the test rows, with {confidence:.0%} intervals",
            ("metric", "value", "interval", "without a model"),
            [
                (name, *_interval(value), _number(evaluation["baseline"].get(name)) or UNDEFINED)
                for name, value in evaluation["metrics"].items()
            ],
        ),
    ]
    if (threshold := manifest.get("threshold")) is not None:
        parts.append(
            f"<p>Decides for the second of the classes from a probability of {threshold:g} on.</p>"
        )
    own = evaluation.get("own_metrics", {})
    parts += [f"<p>{escape(name)}: {escape(words)}.</p>" for name, words in own.items()]
    leading = next(iter(evaluation["metrics"]))
    lines = [
        (f"{s['column']}: {s['slice']}", str(s["rows"]), *_interval(s["metrics"][leading]))
        for s in evaluation["slices"][:_LISTED_SLICES]
    ]
    slices = _table(f"{leading} by slice", ("slice", "rows", leading, "interval"), lines)
    parts.append(f"<details><summary>By slice</summary>{slices}</details>")
    ranges = [(name, _range(seen)) for name, seen in data["seen"].items()]
    limits = _table("What the training rows held", ("feature", "values"), ranges)
    parts.append(
        "<details><summary>Limits</summary><p>For rows unlike those that trained it, a prediction "
        f"is a guess that no metric above vouches for.</p>{limits}</details>"
    )
    return "\n".join(parts)


def _window(part: RowsRecord) -> str:
    days = f" of {part['from']} to {part['to']}" if "from" in part else ""
    return f"{part['rows']:,} rows{days}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _interval(metric: MetricRecord) -> tuple[str, str]:
    if metric["value"] is None:
        return UNDEFINED, reason_of(metric)
    low, high = _number(metric["low"]), _number(metric["high"])
    return _number(metric["value"]), f"{low} to {high}" if low else ""


def _range(seen: list[Any]) -> str:
    if not seen or isinstance(seen[0], str):
        return ", ".join(map(str, seen)) or "none"
    return f"{seen[0]:,.12g} to {seen[1]:,.12g}"


def _table(caption: str, heads: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in lines
    )
    return (
        f'<div class="table"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
